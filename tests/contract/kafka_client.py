"""Kafka by its own clients, for tests: what they ask, and what they are told."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias, TypeVar, cast

import pytest
from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (  # type: ignore[attr-defined] # it re-exports them all
    AdminClient,
    ConfigResource,
    ResourceType,
)
from confluent_kafka.cimpl import NewTopic

from tests.contract.kafka_differences import KafkaKind
from tests.contract.waiting import eventually

T = TypeVar("T")
Settings: TypeAlias = Mapping[str, str]
PARTITIONS = 3
NONE: Settings = {}


@dataclass(frozen=True)
class KafkaApi:
    """Brokers, and which kind of brokers they are."""

    servers: str
    kind: KafkaKind

    @property
    def patience(self) -> float:
        """Seconds that an answer may take."""
        return self.kind.patience

    def config(self, **more: Any) -> dict[str, Any]:
        """Return a client's configuration; `_` stands for `.` in a name."""
        dotted = {name.replace("_", "."): value for name, value in more.items()}
        return {"bootstrap.servers": self.servers, "log_level": 0} | dotted

    def administer(self, ask: Callable[[AdminClient], Mapping[Any, Future[T]]]) -> T:
        """Return the one answer to what an administrator asks; the client lives until it is there.

        Raises:
            KafkaException: The answer is no.
        """
        admin = AdminClient(self.config())
        (answer,) = ask(admin).values()
        return answer.result(timeout=2 * self.patience)

    def create(self, topic: str, partitions: int = PARTITIONS, settings: Settings = NONE) -> None:
        """Create a topic, and wait until clients are told of it, and who leads its partitions."""
        self.ask_to_create(topic, partitions, settings)
        eventually(lambda: self.topics().get(topic), lambda found: found == partitions)
        with self.member(topic) as reader:
            for number in range(partitions):
                part = TopicPartition(topic, number)
                eventually(partial(self._is_led, reader, part), bool)

    def _is_led(self, reader: Consumer, part: TopicPartition) -> bool:
        try:
            reader.get_watermark_offsets(part, timeout=self.patience)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.NOT_LEADER_FOR_PARTITION:
                raise
            return False
        return True

    def ask_to_create(
        self,
        topic: str,
        partitions: int = PARTITIONS,
        settings: Settings = NONE,
        *,
        only_validate: bool = False,
    ) -> None:
        wanted = NewTopic(topic, num_partitions=partitions, config=dict(settings))
        self.administer(
            lambda admin: admin.create_topics(
                [wanted], operation_timeout=self.patience, validate_only=only_validate
            )
        )

    def delete(self, topic: str) -> None:
        self.administer(lambda admin: admin.delete_topics([topic]))

    def topics(self) -> dict[str, int]:
        """Return the number of partitions of every topic."""
        listed = AdminClient(self.config()).list_topics(timeout=self.patience).topics
        return {name: len(topic.partitions) for name, topic in listed.items()}

    def describe(self, topic: str) -> Any:
        return self.administer(lambda admin: admin.describe_topics(TopicCollection([topic])))

    def settings(self, topic: str) -> dict[str, str]:
        """Return the configuration in force for a topic."""
        resource = ConfigResource(ResourceType.TOPIC, topic)
        found = self.administer(lambda admin: admin.describe_configs([resource]))
        return {name: entry.value for name, entry in cast("dict[str, Any]", found).items()}

    def write(self, topic: str, *values: bytes | None, **more: Any) -> None:
        """Write records and see them acknowledged."""
        producer = Producer(self.config())
        for value in values:
            self.send(producer, topic, value, **more)

    def send(self, producer: Producer, topic: str, value: bytes | None, **more: Any) -> Message:
        """Write one record, and return what the broker acknowledged.

        Raises:
            KafkaException: It refused.
        """
        told: list[tuple[KafkaError | None, Message]] = []
        producer.produce(topic, value, on_delivery=lambda *each: told.append(each), **more)
        assert producer.flush(self.patience) == 0, "no acknowledgement"
        ((error, message),) = told
        if error is not None:
            raise KafkaException(error)
        return message

    def transactional(self, transactional_id: str, **more: Any) -> Producer:
        """Return a producer whose transactions are ready to begin."""
        config = self.config(transactional_id=transactional_id, **more)
        producer = Producer(config)  # not closed: what was fenced cannot be, and raises
        producer.init_transactions(self.patience)
        return producer

    @contextmanager
    def member(self, group: str, *topics: str, **more: Any) -> Iterator[Consumer]:
        """Give a member of a group, subscribed to the topics."""
        usual = {
            "auto_offset_reset": "earliest",
            "enable_auto_commit": False,
            "session_timeout_ms": 6_000,  # so long may a group wait for one that left
        }
        with closing(Consumer(self.config(group_id=group, **(usual | more)))) as consumer:
            if topics:
                consumer.subscribe([*topics])
            yield consumer

    def next(self, consumer: Consumer) -> Message:
        """Return the next record, or the event that a partition has no more.

        Raises:
            KafkaException: The broker refused.
        """
        message = consumer.poll(2 * self.patience)
        assert message is not None, "neither a record nor an end"
        error = message.error()
        if error is not None and not is_end(message):
            raise KafkaException(error)
        return message

    def take(self, consumer: Consumer, count: int) -> list[Message]:
        """Return the next so many records."""
        return [self.next(consumer) for _ in range(count)]

    def read(self, topic: str, isolation: str = "read_committed") -> list[Message]:
        """Return every record, by partition, that such a reader sees before it is at the end."""
        more = {"enable_partition_eof": True, "isolation_level": isolation}
        found: list[Message] = []
        with self.member(topic, **more) as consumer:
            left = {*range(self.topics()[topic])}
            consumer.assign([TopicPartition(topic, number, 0) for number in left])
            while left:
                message = self.next(consumer)
                if is_end(message):
                    left.discard(cast("int", message.partition()))
                else:
                    found.append(message)
        return sorted(found, key=lambda each: (each.partition() or 0, each.offset() or 0))

    def values(self, topic: str, isolation: str = "read_committed") -> list[bytes | None]:
        """Return the values of what `read` returns."""
        return [message.value() for message in self.read(topic, isolation)]


class MockApi(KafkaApi):
    """The same where there is no controller to ask."""

    def create(self, topic: str, partitions: int = PARTITIONS, settings: Settings = NONE) -> None:
        """Name the topic; the settings are the cluster's own."""
        assert not settings, "a mock cluster's topics have no settings"
        Producer(self.config()).list_topics(topic, timeout=self.patience)
        eventually(lambda: self.topics().get(topic, 0), lambda found: found >= partitions)


def is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


@contextmanager
def refused(*codes: int) -> Iterator[None]:
    """See that Kafka refuses what is asked inside, with one of these error codes."""
    with pytest.raises(KafkaException) as caught:
        yield
    error = caught.value.args[0]
    assert error.code() in codes, error


def offsets(found: Sequence[TopicPartition]) -> dict[int, int]:
    """Return partition -> offset where there is one."""
    return {each.partition: each.offset for each in found if each.offset >= 0}
