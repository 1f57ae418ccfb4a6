"""What every Kafka must do with groups of readers and with transactions; provide `kafka_api`.

Source: Apache Kafka 4 documentation, "Design": "Consumer position", "Message delivery semantics",
"Using transactions".
"""

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupTopicPartitions,
    KafkaError,
    Message,
    TopicPartition,
)

from tests.contract.kafka_client import PARTITIONS, KafkaApi, is_end, offsets, refused
from tests.contract.waiting import eventually

FENCED = (
    KafkaError._FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
    KafkaError.PRODUCER_FENCED,
)


class GroupsContract:
    @pytest.fixture
    def filled(self, kafka_api: KafkaApi, topic: str) -> str:
        """A topic with ten records in each partition."""
        kafka_api.create(topic)
        for part in range(PARTITIONS):
            kafka_api.write(topic, *(b"%d" % n for n in range(10)), partition=part)
        return topic

    def test_a_group_that_never_committed_begins_where_it_says(
        self, kafka_api: KafkaApi, filled: str
    ) -> None:
        with kafka_api.member(filled, filled) as reader:
            assert len(kafka_api.take(reader, 30)) == 30
        late = {"auto_offset_reset": "latest", "enable_partition_eof": True}
        with kafka_api.member(f"{filled}-late", filled, **late) as reader:
            for _ in range(kafka_api.topics()[filled]):
                assert is_end(kafka_api.next(reader))
            kafka_api.write(filled, b"new", partition=0)
            (found,) = kafka_api.take(reader, 1)
            assert found.value() == b"new"

    def test_a_group_goes_on_after_what_it_committed(
        self, kafka_api: KafkaApi, filled: str
    ) -> None:
        seen = []
        for _ in range(3):  # each is a new member that knows nothing but the group's name
            with kafka_api.member(filled, filled) as reader:
                found = kafka_api.take(reader, 7)
                seen += [(each.partition(), each.offset()) for each in found]
                reader.commit(offsets=_after(found, filled), asynchronous=False)
        assert len(set(seen)) == len(seen) == 21

    def test_what_was_not_committed_is_read_again(self, kafka_api: KafkaApi, filled: str) -> None:
        for _ in range(2):
            with kafka_api.member(filled, filled) as reader:
                assert len(kafka_api.take(reader, 30)) == 30

    def test_committed_offsets_are_the_groups_own(self, kafka_api: KafkaApi, filled: str) -> None:
        parts = [TopicPartition(filled, number) for number in range(PARTITIONS)]
        with kafka_api.member(filled) as reader:
            reader.commit(offsets=[TopicPartition(filled, 1, 4)], asynchronous=False)
            assert offsets(reader.committed(parts, timeout=kafka_api.patience)) == {1: 4}
        with kafka_api.member(f"{filled}-other") as other:
            assert offsets(other.committed(parts, timeout=kafka_api.patience)) == {}

    def test_two_members_share_the_partitions_and_one_that_is_left_has_them_all(
        self, kafka_api: KafkaApi, filled: str
    ) -> None:
        every = {*range(kafka_api.topics()[filled])}
        with kafka_api.member(filled, filled) as first:
            kafka_api.take(first, 1)
            with kafka_api.member(filled, filled) as second:
                shares = eventually(
                    lambda: [_share(member) for member in (first, second)],
                    lambda found: all(found) and found[0] | found[1] == every,
                )
                assert shares[0] & shares[1] == set()
            eventually(lambda: _share(first), lambda found: found == every)

    def test_a_group_is_described_with_its_members(self, kafka_api: KafkaApi, filled: str) -> None:
        with kafka_api.member(filled, filled, client_id="one") as reader:
            kafka_api.take(reader, 1)
            found = kafka_api.administer(lambda admin: admin.describe_consumer_groups([filled]))
            assert (found.group_id, found.state.name) == (filled, "STABLE")
            (member,) = found.members
            assert member.client_id == "one"
            assert {p.partition for p in member.assignment.topic_partitions} == {0, 1, 2}

    def test_a_group_that_has_members_cannot_be_deleted(
        self, kafka_api: KafkaApi, filled: str
    ) -> None:
        with kafka_api.member(filled, filled) as reader:
            kafka_api.take(reader, 1)
            with refused(KafkaError.NON_EMPTY_GROUP):
                kafka_api.administer(lambda admin: admin.delete_consumer_groups([filled]))
        kafka_api.administer(lambda admin: admin.delete_consumer_groups([filled]))

    def test_a_group_that_is_not_there_cannot_be_deleted(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        with refused(KafkaError.GROUP_ID_NOT_FOUND):
            kafka_api.administer(lambda admin: admin.delete_consumer_groups([topic]))

    def test_the_offsets_of_a_group_can_be_set_for_it(
        self, kafka_api: KafkaApi, filled: str
    ) -> None:
        wanted = [TopicPartition(filled, number, 8) for number in range(PARTITIONS)]
        change = ConsumerGroupTopicPartitions(filled, wanted)
        kafka_api.administer(lambda admin: admin.alter_consumer_group_offsets([change]))
        asked = ConsumerGroupTopicPartitions(filled)
        found = kafka_api.administer(lambda admin: admin.list_consumer_group_offsets([asked]))
        assert offsets(found.topic_partitions or []) == {0: 8, 1: 8, 2: 8}
        with kafka_api.member(filled, filled) as reader:
            values = {each.value() for each in kafka_api.take(reader, 6)}
        assert values == {b"8", b"9"}


class TransactionsContract:
    @pytest.fixture(autouse=True)
    def _two_topics(self, kafka_api: KafkaApi, topic: str, other: str) -> None:
        for name in (topic, other):
            kafka_api.create(name, partitions=1)

    @pytest.fixture
    def other(self, topic: str) -> str:
        return f"{topic}-other"

    def test_what_is_committed_is_read_in_every_topic(
        self, kafka_api: KafkaApi, topic: str, other: str
    ) -> None:
        producer = kafka_api.transactional(topic)
        producer.begin_transaction()
        for name in (topic, other):
            kafka_api.send(producer, name, b"kept", partition=0)
        producer.commit_transaction(kafka_api.patience)
        assert kafka_api.values(topic) == kafka_api.values(other) == [b"kept"]

    def test_what_is_rolled_back_is_read_only_by_those_who_ask_for_it(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        producer = kafka_api.transactional(topic)
        for value, end in (
            (b"lost", producer.abort_transaction),
            (b"kept", producer.commit_transaction),
        ):
            producer.begin_transaction()
            kafka_api.send(producer, topic, value, partition=0)
            end(kafka_api.patience)
        assert kafka_api.values(topic) == [b"kept"]
        assert kafka_api.values(topic, "read_uncommitted") == [b"lost", b"kept"]

    def test_what_is_not_committed_yet_holds_back_what_comes_after_it(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        producer = kafka_api.transactional(topic)
        producer.begin_transaction()
        kafka_api.send(producer, topic, b"open", partition=0)
        kafka_api.write(topic, b"plain", partition=0)
        assert kafka_api.values(topic) == []
        assert kafka_api.values(topic, "read_uncommitted") == [b"open", b"plain"]
        producer.commit_transaction(kafka_api.patience)
        eventually(lambda: kafka_api.values(topic), lambda found: found == [b"open", b"plain"])

    def test_the_end_of_a_transaction_takes_an_offset_of_its_own(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        producer = kafka_api.transactional(topic)
        for _ in range(2):
            producer.begin_transaction()
            kafka_api.send(producer, topic, b"v", partition=0)
            producer.commit_transaction(kafka_api.patience)
        assert [each.offset() for each in kafka_api.read(topic)] == [0, 2]

    def test_a_zombie_is_fenced_and_what_it_left_open_is_never_read(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        zombie = kafka_api.transactional(topic)
        zombie.begin_transaction()
        kafka_api.send(zombie, topic, b"left open", partition=0)
        heir = kafka_api.transactional(topic)
        with refused(*FENCED):
            zombie.commit_transaction(kafka_api.patience)
        heir.begin_transaction()
        kafka_api.send(heir, topic, b"the heir's", partition=0)
        heir.commit_transaction(kafka_api.patience)
        assert kafka_api.values(topic) == [b"the heir's"]

    def test_a_zombie_writes_nothing_more(self, kafka_api: KafkaApi, topic: str) -> None:
        zombie, _ = (kafka_api.transactional(topic) for _ in range(2))
        zombie.begin_transaction()
        with refused(*FENCED, KafkaError._PURGE_QUEUE):
            kafka_api.send(zombie, topic, b"zombie's", partition=0)
            zombie.commit_transaction(kafka_api.patience)
        assert kafka_api.values(topic, "read_uncommitted") == []

    def test_a_new_instance_ends_what_a_dead_one_left_open(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        dead = kafka_api.transactional(topic)
        dead.begin_transaction()
        kafka_api.send(dead, topic, b"lost", partition=0)
        kafka_api.write(topic, b"plain", partition=0)
        assert kafka_api.values(topic) == []
        kafka_api.transactional(topic)
        eventually(lambda: kafka_api.values(topic), lambda found: found == [b"plain"])

    def test_offsets_are_committed_with_the_transaction_or_not_at_all(
        self, kafka_api: KafkaApi, topic: str, other: str
    ) -> None:
        part = TopicPartition(topic, 0)
        kafka_api.write(topic, b"a", b"b", partition=0)
        producer = kafka_api.transactional(other)
        with kafka_api.member(topic) as reader:
            for upto, end in (
                (2, producer.abort_transaction),
                (1, producer.commit_transaction),
            ):
                producer.begin_transaction()
                kafka_api.send(producer, other, b"%d" % upto, partition=0)
                producer.send_offsets_to_transaction(
                    [TopicPartition(topic, 0, upto)],
                    reader.consumer_group_metadata(),
                    kafka_api.patience,
                )
                end(kafka_api.patience)
            assert offsets(reader.committed([part], timeout=kafka_api.patience)) == {0: 1}
        assert kafka_api.values(other) == [b"1"]

    def test_a_transaction_may_not_outlast_the_brokers_limit(
        self, kafka_api: KafkaApi, topic: str
    ) -> None:
        with refused(KafkaError.INVALID_TRANSACTION_TIMEOUT):
            kafka_api.transactional(topic, transaction_timeout_ms=2**31 - 1)


def _after(messages: list[Message], topic: str) -> list[TopicPartition]:
    """Return the offset after the last record of each partition."""
    last = {each.partition() or 0: each.offset() or 0 for each in messages}
    return [TopicPartition(topic, part, offset + 1) for part, offset in last.items()]


def _share(member: Consumer) -> set[int]:
    """Return the member's partitions; it must be polled to be told of them."""
    member.poll(0.1)
    return {part.partition for part in member.assignment()}
