"""Apache Kafka: one broker that is its own controller (KRaft)."""

import shutil
from typing import Any

from reviewstream_testbed.building import class_path
from reviewstream_testbed.ports import LOOPBACK
from reviewstream_testbed.readiness import has_brokers
from reviewstream_testbed.server import Server

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
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
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


class Kafka(Server):
    """A broker; topics are made by asking, never by accident."""

    name = "kafka"
    memory = 400
    port_count = 2

    @property
    def bootstrap_servers(self) -> str:
        """What Kafka clients call `bootstrap.servers`."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def client_config(self) -> dict[str, Any]:
        """What confluent-kafka's clients take; yours to change and add to."""
        return {"bootstrap.servers": self.bootstrap_servers}

    @property
    def address(self) -> str:
        """The same as `bootstrap_servers`."""
        return self.bootstrap_servers

    def prepare(self) -> None:
        """Write the configuration."""
        data = self.folder / "data"
        if not data.exists():
            shutil.copytree(self._installation.homes / "kafka", data)
        port, controller = self._ports
        settings = _SETTINGS.format(port=port, controller=controller, data=data)
        (self.folder / "server.properties").write_text(settings)
        (self.folder / "log4j2.yaml").write_text(LOGGING)

    def arguments(self) -> list[str]:
        """Return the heap, the class path and the main class."""
        jars = sorted((self._installation.jars / "kafka").glob("*.jar"))
        options = ["-Xms128m", "-Xmx384m", f"-Dlog4j2.configurationFile={self.folder}/log4j2.yaml"]
        settings = str(self.folder / "server.properties")
        return [*options, "-cp", class_path(*jars), "kafka.Kafka", settings]

    def is_ready(self) -> bool:
        """Ask for the brokers."""
        return has_brokers(self.port)
