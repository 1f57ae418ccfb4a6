"""Writes records to a topic and reads them back."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from reviewstream_testbed.services.kafka import Kafka
from reviewstream_testbed.services.schema_registry import SchemaRegistry
from reviewstream_testbed.testbed_error import TestbedError
from reviewstream_testbed.testbed_extras import named_extras

with named_extras():
    from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
    from confluent_kafka.admin import AdminClient
    from confluent_kafka.cimpl import OFFSET_BEGINNING, NewTopic, TopicPartition
    from confluent_kafka.schema_registry import SchemaRegistryClient
    from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
    from confluent_kafka.serialization import MessageField, SerializationContext

_PATIENCE = 30.0  # seconds for a write or a read


def create(kafka: Kafka, topic: str, partitions: int) -> None:
    """Create a topic, and wait until it exists."""
    admin = AdminClient(kafka.client_config)  # closing it cancels its pending requests
    with _in_words(topic):
        admin.create_topics([NewTopic(topic, partitions)])[topic].result(_PATIENCE)


def produce(kafka: Kafka, topic: str, values: Sequence[bytes | None]) -> None:
    """Write values, and wait until Kafka acknowledges them.

    Raises:
        TestbedError: Kafka does not acknowledge them.
    """
    refused: list[KafkaError] = []

    def note(error: KafkaError | None, _: object) -> None:
        if error:
            refused.append(error)

    producer = Producer(kafka.client_config | {"message.timeout.ms": int(_PATIENCE * 1000)})
    with _in_words(topic):
        _partitions(producer, topic)
    for value in values:
        producer.produce(topic, value, on_delivery=note)
    producer.flush()
    if refused:
        raise TestbedError(f"{topic}: {len(refused)} records were not taken: {refused[0].str()}")


def consume(kafka: Kafka, topic: str, count: int) -> list[bytes | None]:
    """Return the first values of a topic, in order of arrival within a partition.

    Raises:
        TestbedError: They do not arrive.
    """
    consumer = Consumer(kafka.client_config | {"group.id": topic, "enable.auto.commit": False})
    with _in_words(topic):
        try:
            partitions = _partitions(consumer, topic)
            consumer.assign([TopicPartition(topic, each, OFFSET_BEGINNING) for each in partitions])
            return _first(consumer, topic, count)
        finally:
            consumer.close()


def encoded(
    registry: SchemaRegistry, topic: str, schema: str, records: Sequence[Any]
) -> list[bytes | None]:
    """Return records encoded by Confluent's serializer; None stays None."""
    place = SerializationContext(topic, MessageField.VALUE)
    with SchemaRegistryClient(registry.client_config) as client:
        encode = AvroSerializer(client, schema)
        return [encode(record, place) for record in records]


def decoded(registry: SchemaRegistry, topic: str, values: Sequence[bytes | None]) -> list[Any]:
    """Return values decoded by Confluent's deserializer; None stays None."""
    place = SerializationContext(topic, MessageField.VALUE)
    with SchemaRegistryClient(registry.client_config) as client:
        decode = AvroDeserializer(client)
        return [None if value is None else decode(value, place) for value in values]


def _partitions(client: Consumer | Producer, topic: str) -> list[int]:
    """Return the numbers of a topic's partitions; fail at once if the topic does not exist."""
    found = client.list_topics(topic, _PATIENCE).topics[topic]
    if found.error:
        raise TestbedError(f"{topic}: {found.error.str()} (`create` makes it)")
    return [*found.partitions]


def _first(consumer: Consumer, topic: str, count: int) -> list[bytes | None]:
    found: list[bytes | None] = []
    deadline = time.monotonic() + _PATIENCE
    while len(found) < count:
        for message in consumer.consume(count - len(found), 0.1):
            if error := message.error():
                raise KafkaException(error)
            found.append(message.value())
        if time.monotonic() > deadline:
            raise TestbedError(
                f"{topic}: {len(found)} of {count} records came in {_PATIENCE:.0f} s"
            )
    return found


@contextmanager
def _in_words(topic: str) -> Iterator[None]:
    try:
        yield
    except KafkaException as error:
        raise TestbedError(f"{topic}: {error.args[0].str()}") from error
