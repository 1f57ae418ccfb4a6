"""Kafka Connect: one distributed worker with the Elasticsearch sink and the Avro converter."""

from collections.abc import Callable
from pathlib import Path
from typing import TypedDict

from reviewstream_testbed.installation.builder import CONVERTER, SINK, class_path
from reviewstream_testbed.installation.homes import Installation
from reviewstream_testbed.services.kafka import LOGGING, Kafka
from reviewstream_testbed.services.readiness import answers
from reviewstream_testbed.services.schema_registry import SchemaRegistry
from reviewstream_testbed.services.server_process import Server
from reviewstream_testbed.testbed_error import TestbedError

# Short session timeouts move a killed worker's tasks in 9 seconds instead of 45.
_SETTINGS = """\
bootstrap.servers={bootstrap_servers}
group.id={prefix}testbed-connect
key.converter=org.apache.kafka.connect.storage.StringConverter
value.converter=org.apache.kafka.connect.json.JsonConverter
value.converter.schemas.enable=false
config.storage.topic={prefix}_connect-configs
config.storage.replication.factor=1
offset.storage.topic={prefix}_connect-offsets
offset.storage.replication.factor=1
offset.storage.partitions=1
status.storage.topic={prefix}_connect-status
status.storage.replication.factor=1
status.storage.partitions=1
offset.flush.interval.ms=1000
session.timeout.ms=6000
heartbeat.interval.ms=2000
consumer.session.timeout.ms=6000
consumer.heartbeat.interval.ms=2000
scheduled.rebalance.max.delay.ms=0
# It starts beside Kafka: it asks for it often, and for as long as a slow machine may need.
reconnect.backoff.max.ms=100
default.api.timeout.ms=240000
listeners=http://127.0.0.1:{port}
rest.advertised.host.name=127.0.0.1
plugin.path={plugins}
plugin.discovery=service_load
"""


class ConnectConfig(TypedDict):
    """Arguments of `httpx2.Client` and `httpx.Client`."""

    base_url: str


class KafkaConnect(Server):
    """A distributed worker, configured over REST.

    Args:
        kafka: Returns Kafka, possibly still starting; raises if it is unavailable.
        registry: Returns the registry; called when a connector needs it.
        prefix: Name prefix of its internal topics.

    Attributes:
        sink_connector_class: A sink with the settings of Confluent's Elasticsearch sink.
    """

    name = "kafka_connect"
    memory = 300
    sink_connector_class = SINK

    def __init__(
        self,
        installation: Installation,
        folder: Path,
        *,
        kafka: Callable[[], Kafka],
        registry: Callable[[], SchemaRegistry],
        prefix: str = "",
    ) -> None:
        super().__init__(installation, folder)
        self._prefix = prefix  # of the topics it creates on an external Kafka
        self._kafka = kafka
        self._registry = registry

    @property
    def client_config(self) -> ConnectConfig:
        """Arguments for `httpx2.Client(**client_config)`, for Connect's REST API."""
        return {"base_url": self.url}

    @property
    def value_converter(self) -> str:
        """The class of a converter that reads Confluent's Avro format."""
        return CONVERTER

    @property
    def value_converter_config(self) -> dict[str, str]:
        """The converter's settings, without the prefix `value.converter.`."""
        return apicurio_converter(self._registry().native_url)

    def prepare(self) -> None:
        """Write the configuration."""
        self._told = self._kafka().bootstrap_servers
        settings = _SETTINGS.format(
            bootstrap_servers=self._told,
            port=self.port,
            plugins=self._installation.homes / "plugins",
            prefix=self._prefix,
        )
        (self.folder / "connect.properties").write_text(settings)
        (self.folder / "log4j2.yaml").write_text(LOGGING)

    def arguments(self) -> list[str]:
        """Return the heap, the class path and the main class."""
        jars = sorted((self._installation.jars / "kafka").glob("*.jar"))
        options = ["-Xms64m", "-Xmx256m", f"-Dlog4j2.configurationFile={self.folder}/log4j2.yaml"]
        main = "org.apache.kafka.connect.cli.ConnectDistributed"
        return [*options, "-cp", class_path(*jars), main, str(self.folder / "connect.properties")]

    def is_ready(self) -> bool:
        """Report whether it answers a request for its connectors."""
        return answers(self.port, "/connectors")

    def check(self) -> None:
        """Raise if Kafka has moved to another address or is unavailable."""
        if self._has_kafka_moved():
            raise TestbedError("kafka_connect was told a port that Kafka did not get")

    def deserves_another_try(self) -> bool:
        """Report whether another port, of the worker or of Kafka, may help."""
        return self._has_kafka_moved() or super().deserves_another_try()

    def _has_kafka_moved(self) -> bool:
        return self._told != self._kafka().bootstrap_servers


def apicurio_converter(url: str) -> dict[str, str]:
    """Return the settings of Apicurio's converter; `url` is the registry's Apicurio API."""
    serdes = "io.apicurio.registry.serde.avro"
    return {
        "apicurio.registry.url": url,
        "apicurio.registry.as-confluent": "true",
        "apicurio.registry.use-id": "contentId",
        "apicurio.registry.converter.serializer": f"{serdes}.AvroKafkaSerializer",
        "apicurio.registry.converter.deserializer": f"{serdes}.AvroKafkaDeserializer",
    }
