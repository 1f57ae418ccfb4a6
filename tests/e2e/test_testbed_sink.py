"""The testbed's sink connector keeps what Confluent's promises, under the same settings."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from confluent_kafka import Consumer, Message, Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from elasticsearch import Elasticsearch as Client

from reviewstream_testbed import Elasticsearch, Kafka, KafkaConnect, SchemaRegistry

PATIENCE = 60.0  # seconds
VERSION = "reviewstream.version"
MAPPING = {"dynamic": "strict", "properties": {"stars": {"type": "integer"}}}

SCHEMA = json.dumps(
    {"type": "record", "name": "R", "fields": [{"name": "stars", "type": ["null", "int"]}]}
)


def await_value(ask: Callable[[], Any], wanted: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while (answer := ask()) != wanted:
        assert time.monotonic() < deadline, f"still {answer!r}, not {wanted!r}"
        time.sleep(0.1)


@dataclass
class Sink:
    """A connector of this test's own, its topic, its index and its dead letter topic."""

    kafka: Kafka
    connect: KafkaConnect
    elasticsearch: Elasticsearch
    documents: Client
    topic: str
    index: str
    producer: Producer = field(init=False)

    def __post_init__(self) -> None:
        self.producer = Producer({"bootstrap.servers": self.kafka.bootstrap_servers})
        topics = [NewTopic(name, 1, 1) for name in (self.topic, self.dead_letters)]
        admin = AdminClient({"bootstrap.servers": self.kafka.bootstrap_servers})
        for made in admin.create_topics(topics).values():
            made.result()

    @property
    def dead_letters(self) -> str:
        return f"{self.topic}.dlq"

    def configuration(self, **changes: str) -> dict[str, str]:
        json_converter = "org.apache.kafka.connect.json.JsonConverter"
        given = {
            "name": self.topic,
            "connector.class": self.connect.sink_connector_class,
            "topics": self.topic,
            "connection.url": self.elasticsearch.internal_url,
            "value.converter": json_converter,
            "value.converter.schemas.enable": "false",
            "schema.ignore": "true",
            "behavior.on.null.values": "delete",
            "behavior.on.malformed.documents": "warn",
            "drop.invalid.message": "true",
            "external.version.header": VERSION,
            "external.resource.usage": "INDEX",
            "topic.to.external.resource.mapping": f"{self.topic}:{self.index}",
            "errors.tolerance": "all",
            "errors.deadletterqueue.topic.name": self.dead_letters,
            "errors.deadletterqueue.topic.replication.factor": "1",
            "errors.deadletterqueue.context.headers.enable": "true",
        }
        return {**given, **{name.replace("_", "."): text for name, text in changes.items()}}

    def create(self, **changes: str) -> None:
        url = f"{self.connect.url}/connectors/{self.topic}/config"
        httpx2.put(url, json=self.configuration(**changes), timeout=30).raise_for_status()

    def delete(self) -> None:
        httpx2.delete(f"{self.connect.url}/connectors/{self.topic}", timeout=30)

    def send(self, key: str | None, value: Any, version: object = None) -> None:
        text = value if value is None or isinstance(value, bytes) else json.dumps(value)
        headers: list[tuple[str, str | bytes | None]] = []
        headers += [] if version is None else [(VERSION, str(version).encode())]
        self.producer.produce(self.topic, text, key, headers=headers)
        assert self.producer.flush(PATIENCE) == 0

    def stars(self, key: str) -> int | None:
        found = self.documents.options(ignore_status=[404, 503]).get(index=self.index, id=key)
        return found["_source"]["stars"] if found.get("found") else None

    def task_state(self) -> str:
        answer = httpx2.get(f"{self.connect.url}/connectors/{self.topic}/status", timeout=30)
        tasks = answer.json().get("tasks") if answer.status_code == httpx2.codes.OK else None
        return tasks[0]["state"] if tasks else "none"

    def refused(self, count: int) -> list[tuple[bytes | None, str]]:
        """Return the keys and reasons of the first dead letters."""
        settings = {"group.id": self.topic, "auto.offset.reset": "earliest"}
        consumer = Consumer({"bootstrap.servers": self.kafka.bootstrap_servers, **settings})
        consumer.subscribe([self.dead_letters])
        messages = consumer.consume(count, PATIENCE)
        consumer.close()
        return [(m.key(), _reason(m)) for m in messages]


def _reason(message: Message) -> str:
    reason = dict(message.headers() or [])["__connect.errors.exception.message"]
    assert isinstance(reason, bytes)
    return reason.decode()


@pytest.fixture
def sink(
    kafka: Kafka, kafka_connect: KafkaConnect, elasticsearch: Elasticsearch, topic: str, index: str
) -> Iterator[Sink]:
    with Client(elasticsearch.url) as client:
        client.indices.create(index=index, mappings=MAPPING, settings={"number_of_replicas": 0})
        made = Sink(kafka, kafka_connect, elasticsearch, client, topic, index)
        yield made
        made.delete()


def test_a_newer_version_wins_an_equal_one_too_and_an_older_one_is_skipped(sink: Sink) -> None:
    sink.create()
    newest = 1_700_000_000_000  # as large as real ones
    sink.send("newer", {"stars": 1}, newest)
    sink.send("newer", {"stars": 2}, newest + 1)
    sink.send("older", {"stars": 3}, newest)
    sink.send("older", {"stars": 4}, newest - 1)
    sink.send("equal", {"stars": 5}, newest)
    sink.send("equal", {"stars": 6}, newest)
    sink.send("last", {"stars": 7}, 0)
    await_value(lambda: sink.stars("last"), 7)
    assert [sink.stars(key) for key in ("newer", "older", "equal")] == [2, 3, 6]


def test_a_tombstone_deletes_and_is_itself_versioned(sink: Sink) -> None:
    sink.create()
    sink.send("gone", {"stars": 1}, 10)
    sink.send("kept", {"stars": 2}, 10)
    sink.send("gone", None, 11)
    sink.send("kept", None, 9)
    sink.send("never there", None, 1)
    sink.send("last", {"stars": 3}, 1)
    await_value(lambda: sink.stars("last"), 3)
    assert [sink.stars(key) for key in ("gone", "kept")] == [None, 2]


def test_what_cannot_be_a_document_goes_to_the_dead_letters_and_the_rest_goes_on(
    sink: Sink,
) -> None:
    sink.create()
    sink.send("unknown field", {"nope": 1}, 1)
    sink.send("mistyped", {"stars": "many"}, 1)
    sink.send(None, {"stars": 1}, 1)
    sink.send("no version", {"stars": 1})
    sink.send("bad version", {"stars": 1}, "first")
    sink.send("not json", b"{", 1)
    sink.send("last", {"stars": 5}, 1)
    await_value(lambda: sink.stars("last"), 5)
    reasons = dict(sink.refused(6))
    assert "strict_dynamic_mapping_exception" in reasons[b"unknown field"]
    assert "document_parsing_exception" in reasons[b"mistyped"]
    assert "the key is the document's id" in reasons[None]
    assert f"header {VERSION} is not a version: ''" in reasons[b"no version"]
    assert f"header {VERSION} is not a version: 'first'" in reasons[b"bad version"]
    assert "Converting byte[] to Kafka Connect data failed" in reasons[b"not json"]
    assert sink.task_state() == "RUNNING"


@pytest.mark.parametrize(
    ("changes", "value"),
    [
        ({"behavior_on_malformed_documents": "FAIL"}, {"nope": 1}),
        ({"drop_invalid_message": "false", "behavior_on_null_values": "fail"}, None),
        ({"topic_to_external_resource_mapping": "{topic}:no-such-index"}, {"stars": 1}),
    ],
)
def test_a_task_told_to_fail_fails(sink: Sink, changes: dict[str, str], value: Any) -> None:
    sink.create(**{name: text.format(topic=sink.topic) for name, text in changes.items()})
    sink.send("key", value, 1)
    await_value(sink.task_state, "FAILED")


def test_without_a_mapping_the_index_is_made_and_named_like_the_topic(sink: Sink) -> None:
    sink.create(external_resource_usage="DISABLED", key_ignore="true")
    sink.send("any", {"stars": 4})
    sink.index = sink.topic
    await_value(lambda: sink.stars(f"{sink.topic}+0+0"), 4)


def test_documents_wait_for_an_elasticsearch_that_is_away(
    sink: Sink, elasticsearch: Elasticsearch
) -> None:
    sink.create(max_retries="0")
    sink.send("before", {"stars": 1}, 1)
    await_value(lambda: sink.stars("before"), 1)
    elasticsearch.kill()
    sink.send("meanwhile", {"stars": 2}, 1)
    elasticsearch.restart()
    await_value(lambda: sink.stars("meanwhile"), 2)
    assert sink.stars("before") == 1


def test_confluents_avro_is_read_through_the_registry(
    sink: Sink, kafka_connect: KafkaConnect, schema_registry: SchemaRegistry
) -> None:
    converter = kafka_connect.value_converter_config
    settings = {f"value.converter.{name}": text for name, text in converter.items()}
    sink.create(**settings, value_converter=kafka_connect.value_converter)
    with SchemaRegistryClient({"url": schema_registry.url}) as registry:
        serialise = AvroSerializer(registry, SCHEMA)
        where = SerializationContext(sink.topic, MessageField.VALUE)
        sink.send("null", serialise({"stars": None}, where), 1)
        sink.send("five", serialise({"stars": 5}, where), 1)
    await_value(lambda: sink.stars("five"), 5)
    assert sink.stars("null") is None


def test_settings_are_validated_as_confluents_are(sink: Sink) -> None:
    url = f"{sink.connect.url}/connector-plugins/ElasticsearchSinkConnector/config/validate"
    changes = {"write_method": "REPLACE", "batch_size": "0", "external_resource_usage": "ALIAS"}
    answer = httpx2.put(url, json=sink.configuration(**changes), timeout=30).json()
    wrong = {item["value"]["name"] for item in answer["configs"] if item["value"]["errors"]}
    assert wrong == {"write.method", "batch.size", "external.resource.usage"}
