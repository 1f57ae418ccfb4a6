"""The contract of Kafka Connect's own API, on whatever worker there is."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import httpx2
import pytest
from confluent_kafka import Producer
from elasticsearch import Elasticsearch as Client

from reviewstream_testbed import Elasticsearch, Kafka, KafkaConnect, Testbed
from tests.contract.connect_api import (
    ConnectorsContract,
    Documents,
    OffsetsContract,
    TasksContract,
    WorkerContract,
    Write,
)
from tests.contract.connect_http import ConnectApi
from tests.contract.kafka_client import KafkaApi
from tests.contract.kafka_differences import APACHE

VERSION = "contract.version"


@pytest.fixture(scope="module")
def http(kafka_connect: KafkaConnect) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=kafka_connect.url, timeout=90) as http:
        yield http


@pytest.fixture(scope="module")
def client(elasticsearch: Elasticsearch) -> Iterator[Client]:
    with Client(elasticsearch.url) as client:
        yield client


@pytest.fixture
def connect_api(
    http: httpx2.Client, testbed: Testbed, topic: str, index: str
) -> Iterator[ConnectApi]:
    KafkaApi(testbed.kafka.bootstrap_servers, APACHE).create(topic, partitions=1)
    config = {
        "connector.class": testbed.kafka_connect.sink_connector_class,
        "tasks.max": "1",
        "topics": topic,
        "consumer.override.auto.offset.reset": "earliest",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "org.apache.kafka.connect.json.JsonConverter",
        "value.converter.schemas.enable": "false",
        "errors.tolerance": "all",
        "connection.url": testbed.elasticsearch.internal_url,
        "external.resource.usage": "INDEX",
        "topic.to.external.resource.mapping": f"{topic}:{index}",
        "schema.ignore": "true",
        "key.ignore": "false",
        "write.method": "INSERT",
        "external.version.header": VERSION,
        "behavior.on.null.values": "delete",
    }
    api = ConnectApi(http, config, topic)
    yield api
    api.ask("DELETE", api.path)


@pytest.fixture(autouse=True)
def _index(request: pytest.FixtureRequest, client: Client, index: str) -> None:
    if "documents" in request.fixturenames:
        client.indices.create(index=index)


@pytest.fixture
def write(kafka: Kafka, topic: str) -> Write:
    producer = Producer({"bootstrap.servers": kafka.bootstrap_servers})

    def put(key: str, value: Mapping[str, Any] | str | None, *, version: int = 1) -> None:
        text = value if value is None or isinstance(value, str) else json.dumps(value)
        producer.produce(topic, text, key, headers={VERSION: str(version)}, partition=0)
        assert producer.flush(30) == 0

    return put


@pytest.fixture
def documents(client: Client, index: str) -> Documents:
    def found() -> dict[str, Any]:
        client.indices.refresh(index=index)
        hits = client.search(index=index)["hits"]["hits"]
        return {hit["_id"]: hit["_source"] for hit in hits}

    return found


@pytest.fixture
def forget(client: Client, index: str) -> Callable[[], None]:
    """Empty the index."""

    def anew() -> None:
        client.indices.delete(index=index)
        client.indices.create(index=index)

    return anew


class TestWorker(WorkerContract):
    pass


class TestConnectors(ConnectorsContract):
    pass


class TestTasks(TasksContract):
    pass


class TestOffsets(OffsetsContract):
    pass
