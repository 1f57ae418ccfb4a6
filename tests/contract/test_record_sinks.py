"""The log in memory and Kafka."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from reviewstream.adapters.kafka.configuration import client_config
from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.adapters.kafka.record_sink import KafkaRecordSink
from reviewstream.adapters.kafka.transactions import KafkaTransactionalSink, find_marker
from reviewstream.core.delivery.avro import AvroCodec, to_avro
from reviewstream.core.delivery.ports import OutgoingRecord, RecordLog, RecordSink
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.errors import ReviewStreamError
from reviewstream.settings import KafkaSettings
from reviewstream.testing import MemoryLog, MemorySink
from reviewstream_testbed import Kafka, SchemaRegistry
from tests.contract.record_sink import RecordSinkContract, of
from tests.contract.transactional_sink import (
    OpenSink,
    TransactionalSinkContract,
    commit,
    marker,
)
from tests.unit.core.delivery.test_avro import REVIEW


class TestMemory(RecordSinkContract):
    @pytest.fixture
    def log(self) -> MemoryLog:
        return MemoryLog()

    @pytest.fixture
    def sink(self, log: MemoryLog) -> MemorySink:
        return log.sink()


class TestTransactionsInMemory(TransactionalSinkContract):
    @pytest.fixture
    def log(self) -> MemoryLog:
        return MemoryLog()

    @pytest.fixture
    def open_sink(self, log: MemoryLog) -> OpenSink:
        return partial(log.transactional_sink, "name")


@pytest.fixture
def settings(kafka: Kafka) -> KafkaSettings:
    return KafkaSettings(bootstrap_servers=kafka.bootstrap_servers)


def writing(settings: KafkaSettings, topic: str, value: bytes) -> Producer:
    """Return a producer whose open transaction has one record."""
    name = f"{topic}-{value.decode()}"
    producer = Producer({**client_config(settings), "transactional.id": name})
    producer.init_transactions(30)
    producer.begin_transaction()
    producer.produce(topic, value, key="k")
    producer.flush(30)
    return producer


class TestReal(RecordSinkContract):
    @pytest.fixture
    def log(self, settings: KafkaSettings) -> RecordLog:
        return KafkaLog(settings)

    @pytest.fixture
    def sink(self, settings: KafkaSettings) -> RecordSink:
        return KafkaRecordSink(settings)

    def test_a_rolled_back_transaction_is_not_read(
        self, log: RecordLog, settings: KafkaSettings, topic: str
    ) -> None:
        log.ensure([topic])
        config: dict[str, Any] = {
            "bootstrap.servers": settings.bootstrap_servers,
            "transactional.id": topic,
        }
        producer = Producer(config)
        producer.init_transactions(30)
        for word, end in (
            ("kept", producer.commit_transaction),
            ("lost", producer.abort_transaction),
        ):
            producer.begin_transaction()
            producer.produce(topic, word.encode(), key="k")
            producer.flush(30)
            end(30)
        assert [record.value for record in log.read_all(topic)] == [b"kept"]

    def test_what_was_committed_behind_the_open_transaction_of_a_dead_process_is_read(
        self, settings: KafkaSettings, topic: str
    ) -> None:
        settings = settings.model_copy(update={"client": {"transaction.timeout.ms": "6000"}})
        log = KafkaLog(settings, timeout=3.0)
        log.ensure([topic])
        writing(settings, topic, b"dead")
        writing(settings, topic, b"alive").commit_transaction(30)
        assert [record.value for record in log.read_all(topic)] == [b"alive"]

    def test_reading_ends_where_the_topic_ended_when_it_began(
        self, log: RecordLog, sink: RecordSink, topic: str
    ) -> None:
        log.ensure([topic])
        sink.write(of(topic, "first"))
        sink.flush()
        reading = log.read_all(topic)
        assert next(reading).key == b"first"
        sink.write(of(topic, "later"))
        sink.flush()
        assert list(reading) == []

    def test_a_record_says_when_it_was_stored(
        self, log: RecordLog, sink: RecordSink, topic: str
    ) -> None:
        log.ensure([topic])
        sink.write(of(topic, "k"))
        sink.flush()
        (record,) = log.read_all(topic)
        assert record.stored_at is not None
        assert abs(datetime.now(UTC) - record.stored_at) < timedelta(minutes=5)

    def test_confluents_deserializer_reads_the_topic(
        self,
        log: RecordLog,
        sink: RecordSink,
        schema_registry: SchemaRegistry,
        topic: str,
        subject: str,
    ) -> None:
        log.ensure([topic])
        text = schema_text("labelled_review")
        context = SerializationContext(topic, MessageField.VALUE)
        with SchemaRegistryClient({"url": schema_registry.url}) as client:
            schema_id = client.register_schema(subject, Schema(text, "AVRO"))
            value = AvroCodec(text).encode(to_avro(REVIEW), schema_id)
            sink.write(OutgoingRecord(topic=topic, key=b"r1", value=value))
            sink.flush()
            (record,) = log.read_all(topic)
            assert AvroDeserializer(client)(record.value, context) == to_avro(REVIEW)

    def test_a_topic_that_nobody_made_is_an_error_and_not_a_wait(
        self, settings: KafkaSettings, topic: str
    ) -> None:
        impatient = settings.model_copy(update={"delivery_timeout": 5.0})
        sink = KafkaRecordSink(impatient)
        sink.write(of(topic, "k"))
        with pytest.raises(ReviewStreamError, match=topic):
            sink.flush()


class TestTransactions(TransactionalSinkContract):
    def test_a_marker_is_found_without_shutting_anyone_out(
        self, log: RecordLog, settings: KafkaSettings, topic: str
    ) -> None:
        mine = settings.model_copy(update={"labelled_topic": topic})
        assert find_marker(mine, topic) is None
        with closing(KafkaTransactionalSink(mine, topic)) as sink:
            sink.fence()
            commit(sink, [of(topic, "a")], 3)
            sink.begin()
            sink.write(of(topic, "b"))
            assert find_marker(mine, topic) == marker(3)
            sink.commit(marker(4))
        assert find_marker(mine, topic) == marker(4)
        assert len(list(log.read_all(topic))) == 2

    @pytest.fixture
    def log(self, settings: KafkaSettings) -> RecordLog:
        return KafkaLog(settings)

    @pytest.fixture
    def open_sink(self, settings: KafkaSettings, topic: str) -> OpenSink:
        mine = settings.model_copy(update={"labelled_topic": topic})
        return partial(KafkaTransactionalSink, mine, topic)

    def test_a_topic_that_nobody_made_is_an_error_and_not_a_wait(
        self, settings: KafkaSettings, topic: str
    ) -> None:
        missing = settings.model_copy(
            update={"labelled_topic": f"{topic}-missing", "delivery_timeout": 5.0}
        )
        with closing(KafkaTransactionalSink(missing, topic)) as sink:
            sink.fence()
            sink.begin()
            sink.write(of(f"{topic}-missing", "k"))
            with pytest.raises(ReviewStreamError, match=f"{topic}-missing"):
                sink.commit(marker(0))
