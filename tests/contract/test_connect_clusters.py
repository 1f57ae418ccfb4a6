"""Connect in memory and the real one."""

from collections.abc import Iterator, Mapping

import httpx2
import pytest

from reviewstream.adapters.connect.connect_cluster import KafkaConnectCluster
from reviewstream.adapters.connect.connector_config import connector_config
from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.core.index.ports import ConnectCluster
from reviewstream.settings import (
    ConnectSettings,
    ElasticsearchSettings,
    KafkaSettings,
    RegistrySettings,
    Settings,
)
from reviewstream.testing import MemoryConnect
from reviewstream_testbed import KafkaConnect, Testbed
from tests.contract.connect_cluster import ConnectClusterContract, Stop


@pytest.fixture
def connector(topic: str) -> str:
    return topic


class TestMemory(ConnectClusterContract):
    @pytest.fixture
    def cluster(self) -> MemoryConnect:
        return MemoryConnect()

    @pytest.fixture
    def stop(self, cluster: MemoryConnect) -> Stop:
        return cluster.stop

    @pytest.fixture
    def config(self) -> Mapping[str, str]:
        return {"connector.class": MemoryConnect.CLASS}


class TestReal(ConnectClusterContract):
    @pytest.fixture
    def cluster(self, kafka_connect: KafkaConnect, connector: str) -> Iterator[ConnectCluster]:
        with KafkaConnectCluster(ConnectSettings(url=kafka_connect.url)) as cluster:
            yield cluster
            cluster.delete(connector)

    @pytest.fixture
    def stop(self, kafka_connect: KafkaConnect) -> Stop:
        def stop(connector: str) -> None:
            path = f"{kafka_connect.url}/connectors/{connector}/stop"
            httpx2.put(path).raise_for_status()

        return stop

    @pytest.fixture
    def config(self, testbed: Testbed, topic: str, index: str) -> Mapping[str, str]:
        connect = testbed.kafka_connect
        kafka = KafkaSettings(
            bootstrap_servers=testbed.kafka.bootstrap_servers,
            labelled_topic=topic,
            dead_letter_topic=f"{topic}.dlq",
        )
        KafkaLog(kafka).ensure([topic, kafka.dead_letter_topic])
        settings = Settings(
            kafka=kafka,
            registry=RegistrySettings(url=testbed.schema_registry.url),
            connect=ConnectSettings(
                connector_class=connect.sink_connector_class,
                value_converter=connect.value_converter,
                value_converter_config=connect.value_converter_config,
                connector={"connection.url": testbed.elasticsearch.internal_url},
            ),
            elasticsearch=ElasticsearchSettings(url=testbed.elasticsearch.url, index=index),
        )
        return connector_config(settings)
