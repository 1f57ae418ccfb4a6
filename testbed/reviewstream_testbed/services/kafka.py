"""Apache Kafka: one node that is broker and controller (KRaft)."""

import shutil
from typing import Any

from reviewstream_testbed.faults.link import Link
from reviewstream_testbed.installation.builder import class_path
from reviewstream_testbed.processes.free_ports import LOOPBACK
from reviewstream_testbed.services.readiness import has_brokers
from reviewstream_testbed.services.server_process import Server

LOGGING = """\
Configuration:
  Appenders:
    Console: {name: STDOUT, PatternLayout: {pattern: "[%d] %p %m (%c)%n"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: STDOUT}}
"""
_SETTINGS = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=5
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=5
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.dedupe.buffer.size=4194304
"""
# Clients connect to the advertised address, so a link's listener advertises the link's port.
_LISTENERS = """\
listeners=PLAINTEXT://127.0.0.1:{port},LINK://127.0.0.1:{behind},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},LINK://127.0.0.1:{link}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,LINK:PLAINTEXT,CONTROLLER:PLAINTEXT
"""


class Kafka(Server):
    """A broker; automatic topic creation is off."""

    name = "kafka"
    memory = 400
    port_count = 4

    @property
    def bootstrap_servers(self) -> str:
        """The value of `bootstrap.servers` for Kafka clients."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def client_config(self) -> dict[str, Any]:
        """A new dict of settings for confluent-kafka's clients; callers may change it."""
        return {"bootstrap.servers": self.bootstrap_servers}

    @property
    def address(self) -> str:
        """The same as `bootstrap_servers`."""
        return self.bootstrap_servers

    def link(self) -> Link:
        """Return a simulated network to the broker, one at a time; its clients stay on it.

        with bed.kafka.link() as link:
            producer = Producer({"bootstrap.servers": f"{link.host}:{link.port}"})
        """
        _, _, behind, link = self._ports
        return Link(LOOPBACK, behind, listen=link)

    def prepare(self) -> None:
        """Write the configuration."""
        data = self.folder / "data"
        if not data.exists():
            shutil.copytree(self._installation.homes / "kafka", data)
        settings = _SETTINGS.format(controller=self._ports[1], data=data) + self.listeners()
        (self.folder / "server.properties").write_text(settings)
        (self.folder / "log4j2.yaml").write_text(LOGGING)

    def listeners(self) -> str:
        """Return the settings of its listeners and their protocols."""
        port, controller, behind, link = self._ports
        return _LISTENERS.format(port=port, controller=controller, behind=behind, link=link)

    def arguments(self) -> list[str]:
        """Return the heap, the class path and the main class."""
        jars = sorted((self._installation.jars / "kafka").glob("*.jar"))
        options = ["-Xms128m", "-Xmx384m", f"-Dlog4j2.configurationFile={self.folder}/log4j2.yaml"]
        settings = str(self.folder / "server.properties")
        return [*options, "-cp", class_path(*jars), "kafka.Kafka", settings]

    def is_ready(self) -> bool:
        """Report whether the metadata lists a broker."""
        return has_brokers(self.port)
