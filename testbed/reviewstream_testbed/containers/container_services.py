"""The servers of a testbed as containers, from official images or stand-ins."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

from docker.errors import APIError
from docker.models.containers import Container as EnginesContainer
from testcontainers.community.elasticsearch import ElasticSearchContainer
from testcontainers.community.kafka import KafkaContainer

from reviewstream_testbed.containers.container import Container, OnLoopback, WaitingElsewhere
from reviewstream_testbed.containers.container_group import ContainerGroup
from reviewstream_testbed.installation.builder import CONVERTER
from reviewstream_testbed.processes.free_ports import LOOPBACK
from reviewstream_testbed.services.elasticsearch import Elasticsearch
from reviewstream_testbed.services.kafka import Kafka
from reviewstream_testbed.services.kafka_connect import KafkaConnect, apicurio_converter
from reviewstream_testbed.services.readiness import answers, read_json
from reviewstream_testbed.services.schema_registry import SchemaRegistry
from reviewstream_testbed.services.server_process import Server
from reviewstream_testbed.services.servers import Servers

_BROKER = "kafka:9092"  # address inside the containers' network
_CONFLUENT = "io.confluent.connect.avro.AvroConverter"
_PLUGINS = "/usr/share/confluent-hub-components"
_END_JAVA = (
    'for each in /proc/[0-9]*; do [ "$(cat $each/comm)" = java ] && kill ${each#/proc/}; done'
)
_KAFKA = {
    "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    "KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS": "5",
    "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
    "KAFKA_TRANSACTION_STATE_LOG_NUM_PARTITIONS": "5",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
    "KAFKA_SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
    "KAFKA_LOG_CLEANER_DEDUPE_BUFFER_SIZE": "4194304",
    "KAFKA_HEAP_OPTS": "-Xms128m -Xmx384m",
}
_REGISTRY = {
    "SCHEMA_REGISTRY_HOST_NAME": "schema-registry",
    "SCHEMA_REGISTRY_LISTENERS": "http://0.0.0.0:8081",
    "SCHEMA_REGISTRY_KAFKASTORE_BOOTSTRAP_SERVERS": _BROKER,
    "SCHEMA_REGISTRY_HEAP_OPTS": "-Xms64m -Xmx384m",
}
# Short session timeouts move a killed worker's tasks in 9 seconds instead of 45.
_CONNECT = {
    "CONNECT_BOOTSTRAP_SERVERS": _BROKER,
    "CONNECT_GROUP_ID": "testbed-connect",
    "CONNECT_KEY_CONVERTER": "org.apache.kafka.connect.storage.StringConverter",
    "CONNECT_VALUE_CONVERTER": "org.apache.kafka.connect.json.JsonConverter",
    "CONNECT_VALUE_CONVERTER_SCHEMAS_ENABLE": "false",
    "CONNECT_CONFIG_STORAGE_TOPIC": "_connect-configs",
    "CONNECT_CONFIG_STORAGE_REPLICATION_FACTOR": "1",
    "CONNECT_OFFSET_STORAGE_TOPIC": "_connect-offsets",
    "CONNECT_OFFSET_STORAGE_REPLICATION_FACTOR": "1",
    "CONNECT_OFFSET_STORAGE_PARTITIONS": "1",
    "CONNECT_STATUS_STORAGE_TOPIC": "_connect-status",
    "CONNECT_STATUS_STORAGE_REPLICATION_FACTOR": "1",
    "CONNECT_STATUS_STORAGE_PARTITIONS": "1",
    "CONNECT_OFFSET_FLUSH_INTERVAL_MS": "1000",
    "CONNECT_SESSION_TIMEOUT_MS": "6000",
    "CONNECT_HEARTBEAT_INTERVAL_MS": "2000",
    "CONNECT_CONSUMER_SESSION_TIMEOUT_MS": "6000",
    "CONNECT_CONSUMER_HEARTBEAT_INTERVAL_MS": "2000",
    "CONNECT_SCHEDULED_REBALANCE_MAX_DELAY_MS": "0",
    "CONNECT_REST_ADVERTISED_HOST_NAME": "connect",
    "CONNECT_LISTENERS": "http://0.0.0.0:8083",
    "CONNECT_PLUGIN_PATH": f"/usr/share/java,{_PLUGINS}",
    "KAFKA_HEAP_OPTS": "-Xms64m -Xmx256m",
}
_ELASTICSEARCH = {
    "discovery.type": "single-node",
    "cluster.routing.allocation.disk.threshold_enabled": "false",
    "action.auto_create_index": "false",
    "ES_JAVA_OPTS": "-Xms256m -Xmx512m",
}


class _KafkaContainer(KafkaContainer, OnLoopback):
    def start(self, timeout: int = int(Server.patience)) -> Self:
        """Start with a longer timeout: testcontainers' 30 s are too few on a slow machine."""
        return super().start(timeout)

    def configure(self) -> None:
        """Reset the start script first, so that a restart does not add another format command."""
        super().configure()  # type: ignore[no-untyped-call]
        script = "/etc/confluent/docker/configure"
        line = f"kafka-storage format --ignore-formatted -t {self.cluster_id}"
        line = f"{line} -c /etc/kafka/kafka.properties"
        self.boot_command = f"grep -q '{line}' {script} || echo '{line}' >> {script}"


class _ElasticsearchContainer(ElasticSearchContainer, OnLoopback):
    pass


class ContainerKafka(Container, Kafka):
    """Confluent's Kafka: one node that is broker and controller."""

    inner_port = 9093
    alias = "kafka"

    def build(self, image: str) -> OnLoopback:
        """Return testcontainers' Kafka, configured like the embedded one."""
        container = _KafkaContainer(image)
        container.with_kraft()
        container.with_envs(**_KAFKA)
        return container

    def ask_to_end(self, container: EnginesContainer) -> None:
        """Signal Java itself, because testcontainers' shell does not forward SIGTERM."""
        with suppress(APIError):  # it does not run
            container.exec_run(["sh", "-c", _END_JAVA])


class ContainerSchemaRegistry(Container, SchemaRegistry):
    """Confluent's registry, which stores its subjects in Kafka; the stand-in is Apicurio."""

    inner_port = 8081
    alias = "schema-registry"

    def __init__(self, group: ContainerGroup, kafka: Callable[[], Kafka]) -> None:
        super().__init__(group)
        self._kafka = kafka

    @property
    def url(self) -> str:
        """The base URL of Confluent's API."""
        return f"http://{LOOPBACK}:{self.port}"

    def build(self, image: str) -> OnLoopback:
        """Start Kafka, which Confluent's registry needs, and return the registry."""
        self._kafka()
        return OnLoopback(image, env=dict(_REGISTRY))

    def is_ready(self) -> bool:
        """Report whether it answers a request for its subjects."""
        return answers(self.port, "/subjects")


class ContainerKafkaConnect(Container, KafkaConnect):
    """Confluent's Connect with the testbed's sink and Confluent's or Apicurio's Avro converter."""

    inner_port = 8083
    alias = "connect"

    def __init__(
        self,
        group: ContainerGroup,
        *,
        kafka: Callable[[], Kafka],
        registry: Callable[[], SchemaRegistry],
        sink: Callable[[], Path],
    ) -> None:
        super().__init__(group)
        self._kafka_of_bed = kafka
        self._registry = registry
        self._sink = sink

    @property
    def value_converter(self) -> str:
        """The class of the Avro converter that the image has: Confluent's or Apicurio's."""
        plugins = read_json(self.port, "/connector-plugins?connectorsOnly=false")
        return _CONFLUENT if _CONFLUENT in {each["class"] for each in plugins} else CONVERTER

    @property
    def value_converter_config(self) -> dict[str, str]:
        """The converter's settings, without the prefix `value.converter.`."""
        url = self._registry().internal_url
        if self.value_converter == _CONFLUENT:
            return {"schema.registry.url": url}
        return apicurio_converter(f"{url}/apis/registry/v2")

    def build(self, image: str) -> OnLoopback:
        """Start Kafka, and return Connect with the sink as a plugin."""
        self._kafka_of_bed()
        container = OnLoopback(image, env=dict(_CONNECT))
        sink = f"{_PLUGINS}/reviewstream-sink/sink.jar"
        return container.with_copy_into_container(self._sink(), sink)


class ContainerElasticsearch(Container, Elasticsearch):
    """Elastic's Elasticsearch: a node without security."""

    inner_port = 9200
    alias = "elasticsearch"

    def build(self, image: str) -> OnLoopback:
        """Return testcontainers' Elasticsearch, configured like the embedded one."""
        container = _ElasticsearchContainer(image)
        container.env.update(_ELASTICSEARCH)
        return container.waiting_for(WaitingElsewhere())


def container_of(part: str, group: ContainerGroup, bed: Servers) -> Server:
    """Return the part as a container, not started."""
    match part:
        case "kafka":
            return ContainerKafka(group)
        case "schema_registry":
            return ContainerSchemaRegistry(group, lambda: bed.kafka)
        case "kafka_connect":
            return ContainerKafkaConnect(
                group,
                kafka=lambda: bed.kafka,
                registry=lambda: bed.schema_registry,
                sink=lambda: bed.installation.homes / "plugins" / "elasticsearch-sink" / "sink.jar",
            )
        case _:
            return ContainerElasticsearch(group)
