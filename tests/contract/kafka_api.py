"""What every Kafka must do with topics and records; subclass these and provide `kafka_api`.

Spoken with librdkafka, Confluent's own client, so that the brokers are judged and not our adapter.

Source: Apache Kafka 4 documentation, "Design" and "Configuration"; its protocol's error codes.
"""

import time
from collections.abc import Iterator
from functools import partial

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it re-exports them all
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    OffsetSpec,
    ResourceType,
)
from confluent_kafka.cimpl import NewPartitions, NewTopic

from tests.contract.kafka_client import PARTITIONS, KafkaApi, refused
from tests.contract.waiting import eventually

EARLIEST, LATEST = OffsetSpec.earliest(), OffsetSpec.latest()  # type: ignore[no-untyped-call] # they have no types
CREATE_TIME = 1  # the kind of a time that the producer gave
MOMENT = 1_234_567_890_123  # milliseconds since 1970


class TopicsContract:
    def test_a_created_topic_is_listed_and_has_its_partitions(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        kafka_api.create(topic, partitions=PARTITIONS)
        assert kafka_api.topics()[topic] == PARTITIONS
        described = kafka_api.describe(topic)
        assert [each.id for each in described.partitions] == [*range(PARTITIONS)]
        assert all(each.leader is not None for each in described.partitions)
        assert not described.is_internal

    def test_a_created_topic_has_the_settings_that_were_asked_for_and_defaults(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        settings = {"cleanup.policy": "compact", "retention.ms": "3600000"}
        kafka_api.create(topic, settings=settings)
        found = kafka_api.settings(topic)
        assert (found["cleanup.policy"], found["retention.ms"]) == ("compact", "3600000")
        assert found["message.timestamp.type"] == "CreateTime"

    def test_a_topic_cannot_be_created_twice(self, kafka_api: KafkaApi, topic: str) -> None:
        kafka_api.create(topic)
        with refused(KafkaError.TOPIC_ALREADY_EXISTS):
            kafka_api.ask_to_create(topic)

    @pytest.mark.parametrize("name", ["a b", "a/b", "ключ", ".", "..", "x" * 250])
    def test_a_name_that_is_none_is_refused(self, kafka_api: KafkaApi, name: str) -> None:
        with refused(KafkaError.TOPIC_EXCEPTION):
            kafka_api.ask_to_create(name)

    def test_more_replicas_than_brokers_are_refused(self, kafka_api: KafkaApi, topic: str) -> None:
        wanted = NewTopic(topic, num_partitions=1, replication_factor=999)
        with refused(KafkaError.INVALID_REPLICATION_FACTOR):
            kafka_api.administer(lambda admin: admin.create_topics([wanted]))
        assert topic not in kafka_api.topics()

    @pytest.mark.parametrize(
        ("name", "value"),
        [("cleanup.policy", "sometimes"), ("colour", "red"), ("retention.ms", "x")],
    )
    def test_a_setting_that_makes_no_sense_is_refused(
        self, kafka_api: KafkaApi, topic: str, name: str, value: str
    ) -> None:
        with refused(KafkaError.INVALID_CONFIG):
            kafka_api.ask_to_create(topic, settings={name: value})

    def test_a_setting_is_changed_and_the_others_stay(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        kafka_api.create(topic, settings={"retention.ms": "3600000"})
        change = ConfigEntry(
            "cleanup.policy", "compact", incremental_operation=AlterConfigOpType.SET
        )
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[change])
        kafka_api.administer(lambda admin: admin.incremental_alter_configs([resource]))
        found = eventually(
            lambda: kafka_api.settings(topic), lambda it: it["cleanup.policy"] == "compact"
        )
        assert found["retention.ms"] == "3600000"

    def test_what_is_only_validated_is_not_created(self, kafka_api: KafkaApi, topic: str) -> None:
        kafka_api.ask_to_create(topic, only_validate=True)
        assert topic not in kafka_api.topics()

    def test_an_unknown_topic_is_neither_described_nor_deleted(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        with refused(KafkaError.UNKNOWN_TOPIC_OR_PART):
            kafka_api.describe(topic)
        with refused(KafkaError.UNKNOWN_TOPIC_OR_PART):
            kafka_api.delete(topic)

    def test_an_unknown_topic_is_told_to_its_reader(self, kafka_api: KafkaApi, topic: str) -> None:
        with kafka_api.member(topic, topic) as reader:
            with refused(KafkaError.UNKNOWN_TOPIC_OR_PART):
                kafka_api.take(reader, 1)

    def test_a_deleted_topic_is_gone_and_comes_back_empty(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        kafka_api.create(topic)
        kafka_api.write(topic, b"old")
        kafka_api.delete(topic)
        eventually(kafka_api.topics, lambda topics: topic not in topics)
        kafka_api.create(topic)
        assert kafka_api.read(topic) == []

    def test_partitions_are_added_and_never_taken_away(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        kafka_api.create(topic, partitions=2)
        more, fewer = (NewPartitions(topic, count) for count in (4, 1))
        kafka_api.administer(lambda admin: admin.create_partitions([more]))
        eventually(lambda: kafka_api.topics()[topic], lambda count: count == 4)
        with refused(KafkaError.INVALID_PARTITIONS):
            kafka_api.administer(lambda admin: admin.create_partitions([fewer]))

    def test_records_are_deleted_up_to_an_offset(self, kafka_api: KafkaApi, topic: str) -> None:
        kafka_api.create(topic)
        kafka_api.write(topic, b"a", b"b", b"c", partition=1)
        upto = TopicPartition(topic, 1, 2)
        kafka_api.administer(lambda admin: admin.delete_records([upto]))
        with kafka_api.member(topic) as reader:
            bounds = reader.get_watermark_offsets(
                TopicPartition(topic, 1), timeout=kafka_api.patience
            )
        assert bounds == (2, 3)

    def test_a_compacted_topic_takes_no_record_without_a_key(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        kafka_api.create(topic, settings={"cleanup.policy": "compact"})
        producer = Producer(kafka_api.config())
        with refused(KafkaError.INVALID_RECORD):
            kafka_api.send(producer, topic, b"value")
        kafka_api.send(producer, topic, b"value", key=b"key")
        kafka_api.send(producer, topic, None, key=b"key")
        assert kafka_api.values(topic) == [b"value", None]


class RecordsContract:
    @pytest.fixture
    def producer(self, kafka_api: KafkaApi, topic: str) -> Producer:
        kafka_api.create(topic)
        return Producer(kafka_api.config(enable_idempotence=True))

    @pytest.fixture
    def reader(self, kafka_api: KafkaApi, topic: str) -> Iterator[Consumer]:
        with kafka_api.member(topic) as reader:
            yield reader

    def test_a_record_is_read_as_it_was_written(
        self, kafka_api: KafkaApi, producer: Producer, topic: str
    ) -> None:
        headers = [("version", b"1"), ("version", b"2"), ("none", None), ("ключ", b"")]
        kafka_api.send(
            producer, topic, b"\0\xff", key="ключ", headers=headers, timestamp=MOMENT, partition=1
        )
        (found,) = kafka_api.read(topic)
        assert (found.topic(), found.partition(), found.offset()) == (topic, 1, 0)
        assert (found.key(), found.value()) == ("ключ".encode(), b"\0\xff")
        assert found.headers() == headers
        assert found.timestamp() == (CREATE_TIME, MOMENT)

    @pytest.mark.parametrize("value", [None, b""])
    @pytest.mark.parametrize("key", [None, b""])
    def test_null_and_empty_stay_apart(
        self,
        kafka_api: KafkaApi,
        producer: Producer,
        topic: str,
        key: bytes | None,
        value: bytes | None,
    ) -> None:
        kafka_api.send(producer, topic, value, key=key)
        (found,) = kafka_api.read(topic)
        assert (found.key(), found.value(), found.headers()) == (key, value, None)

    def test_a_record_without_a_time_has_the_producers(
        self, kafka_api: KafkaApi, producer: Producer, topic: str
    ) -> None:
        before = int(time.time() * 1000)
        kafka_api.send(producer, topic, b"v")
        (found,) = kafka_api.read(topic)
        kind, moment = found.timestamp()
        assert kind == CREATE_TIME
        assert before <= moment <= time.time() * 1000

    def test_offsets_count_from_zero_and_are_those_that_the_writer_was_told(
        self, kafka_api: KafkaApi, producer: Producer, topic: str
    ) -> None:
        told = [kafka_api.send(producer, topic, b"v", partition=n % 2) for n in range(6)]
        assert [(each.partition(), each.offset()) for each in told] == [
            (n % 2, n // 2) for n in range(6)
        ]
        found = kafka_api.read(topic)
        assert [(each.partition(), each.offset()) for each in found] == [
            (part, offset) for part in (0, 1) for offset in range(3)
        ]

    def test_one_key_has_one_partition_and_its_records_keep_their_order(
        self, kafka_api: KafkaApi, producer: Producer, topic: str
    ) -> None:
        for number in range(600):
            producer.produce(topic, str(number), key=f"k{number % 6}")
        assert producer.flush(kafka_api.patience) == 0
        seen: dict[bytes | None, list[tuple[int | None, int]]] = {}
        for each in kafka_api.read(topic):
            seen.setdefault(each.key(), []).append((each.partition(), int(each.value() or b"")))
        assert len(seen) == 6
        assert all(len({part for part, _ in of_one_key}) == 1 for of_one_key in seen.values())
        orders = sorted([number for _, number in of_one_key] for of_one_key in seen.values())
        assert orders == [[*range(first, 600, 6)] for first in range(6)]

    @pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
    def test_every_compression_is_undone_by_the_reader(
        self, kafka_api: KafkaApi, topic: str, codec: str
    ) -> None:
        kafka_api.create(topic)
        producer = Producer(kafka_api.config(compression_type=codec, linger_ms=50))
        for number in range(50):
            producer.produce(topic, f"{number} {'x' * 1000}", partition=0)
        assert producer.flush(kafka_api.patience) == 0
        found = [int((value or b"").split()[0]) for value in kafka_api.values(topic)]
        assert found == [*range(50)]

    def test_a_record_over_the_brokers_limit_is_refused_and_the_others_are_written(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        kafka_api.create(topic)
        generous = Producer(kafka_api.config(message_max_bytes=20_000_000))
        kafka_api.send(generous, topic, b"before", partition=0)
        with refused(KafkaError.MSG_SIZE_TOO_LARGE):
            kafka_api.send(generous, topic, b"x" * 15_000_000, partition=0)
        kafka_api.send(generous, topic, b"after", partition=0)
        assert kafka_api.values(topic) == [b"before", b"after"]

    def test_a_record_over_the_topics_own_limit_is_refused(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        kafka_api.create(topic, settings={"max.message.bytes": "1000"})
        producer = Producer(kafka_api.config())
        with refused(KafkaError.MSG_SIZE_TOO_LARGE):
            kafka_api.send(producer, topic, b"x" * 2_000)
        kafka_api.send(producer, topic, b"x" * 500)

    def test_the_ends_of_a_partition_are_known(
        self, kafka_api: KafkaApi, producer: Producer, reader: Consumer, topic: str
    ) -> None:
        part = TopicPartition(topic, 0)
        assert reader.get_watermark_offsets(part, timeout=kafka_api.patience) == (0, 0)
        for value in (b"a", b"b"):
            kafka_api.send(producer, topic, value, partition=0)
        assert reader.get_watermark_offsets(part, timeout=kafka_api.patience) == (0, 2)
        earliest, latest = (
            kafka_api.administer(partial(AdminClient.list_offsets, topic_partition_offsets=asked))
            for asked in ({part: EARLIEST}, {part: LATEST})
        )
        assert (earliest.offset, latest.offset) == (0, 2)

    def test_a_time_leads_to_the_first_record_of_that_time_or_later(
        self, kafka_api: KafkaApi, producer: Producer, reader: Consumer, topic: str
    ) -> None:
        for number in range(3):
            kafka_api.send(producer, topic, b"v", partition=0, timestamp=MOMENT + 10 * number)
        found = [
            reader.offsets_for_times(
                [TopicPartition(topic, 0, MOMENT + later)], timeout=kafka_api.patience
            )[0].offset
            for later in (-5, 0, 5, 20)
        ]
        assert found == [0, 0, 1, 2]

    def test_a_reader_goes_back_and_reads_the_same_again(
        self, kafka_api: KafkaApi, producer: Producer, reader: Consumer, topic: str
    ) -> None:
        for value in (b"a", b"b", b"c"):
            kafka_api.send(producer, topic, value, partition=0)
        reader.assign([TopicPartition(topic, 0, 0)])
        first = [each.value() for each in kafka_api.take(reader, 3)]
        reader.seek(TopicPartition(topic, 0, 1))
        assert [each.value() for each in kafka_api.take(reader, 2)] == first[1:] == [b"b", b"c"]
