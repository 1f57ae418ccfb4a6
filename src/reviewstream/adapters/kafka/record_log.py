# ruff: noqa: SLF001 - confluent-kafka names librdkafka's own error codes with an underscore
"""Reads committed records of Kafka, and creates topics."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from reviewstream.adapters.kafka.configuration import REQUEST_TIMEOUT, SLICE, client_config
from reviewstream.adapters.kafka.error_mapper import ErrorMapper, error_in
from reviewstream.core.delivery.ports import StoredRecord
from reviewstream.core.retry import waits
from reviewstream.core.retry.backoff import Attempts
from reviewstream.errors import FatalError, PermanentError, TransientError
from reviewstream.settings import KafkaSettings

EXPIRY: Final = 10.0  # seconds between a broker's checks for expired transactions
QUIET: Final = 3.0  # seconds of waiting for transactions before a warning
_DEFAULT_TRANSACTION: Final = "60000"  # default of `transaction.timeout.ms`, and our sinks' value

_log = logging.getLogger(__name__)


class KafkaLog:
    """`RecordLog` of topics and their committed records, without a cache."""

    def __init__(self, settings: KafkaSettings, *, timeout: float = REQUEST_TIMEOUT) -> None:
        self._settings = settings
        self._timeout = timeout
        self._problems = ErrorMapper(settings)

    def ensure(self, topics: Sequence[str]) -> Sequence[str]:
        """Create the missing topics, and return their names."""
        admin = self._admin()
        existing = self._partitions(admin)
        missing = [topic for topic in dict.fromkeys(topics) if topic not in existing]
        for topic in missing:
            self._create(admin, topic)
        with self._problems.asking():
            self._await(missing)
        return missing

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Return the offset after the last record of each partition."""
        with closing(self._consumer()) as consumer:
            return {part: end for part, (_, end) in self._bounds(consumer, topic).items()}

    def read_all(self, topic: str) -> Iterator[StoredRecord]:
        """Yield every record that was committed when the call began."""
        self._settle(topic)
        with closing(self._consumer()) as consumer:
            bounds = self._bounds(consumer, topic)
            unread = {part: end for part, (start, end) in bounds.items() if start < end}
            consumer.assign([TopicPartition(topic, part, bounds[part][0]) for part in unread])
            while unread:
                message = self._next(consumer, topic)
                part = cast("int", message.partition())
                if message.error() is not None:  # the end of the partition
                    unread.pop(part, None)
                    continue
                record = _stored(message)
                if part in unread:
                    if record.offset < unread[part]:
                        yield record
                    if record.offset + 1 >= unread[part]:
                        del unread[part]

    def _settle(self, topic: str) -> None:
        """Wait until no open transaction hides a record that is committed now.

        Committing a transaction takes the brokers a moment. A dead process's transaction stays open
        until the brokers abort it, and hides all records that others have committed behind it.
        """
        with closing(self._consumer(isolation="read_uncommitted")) as consumer:
            ends = {part: end for part, (_, end) in self._bounds(consumer, topic).items()}
        with closing(self._consumer()) as consumer:
            for _ in self._while_it_may_be_open(topic):
                stable = self._bounds(consumer, topic)
                if all(stable[part][1] >= end for part, end in ends.items()):
                    return
        raise TransientError(
            f"a transaction is open on topic {topic}: try again when whoever writes has ended it"
        )

    def _while_it_may_be_open(self, topic: str) -> Iterator[None]:
        """Yield repeatedly for as long as a transaction may stay open; log a warning once."""
        config = client_config(self._settings)
        transaction = int(config.get("transaction.timeout.ms", _DEFAULT_TRANSACTION)) / 1000
        longest = transaction + EXPIRY + self._timeout
        yield from _now_and_then(QUIET, pause=0.02)
        _log.warning(
            "A transaction is open on topic %s: waiting for its end, %.0f s at most", topic, longest
        )
        yield from _now_and_then(longest - QUIET, pause=SLICE)

    def _next(self, consumer: Consumer, topic: str) -> Message:
        """Return the next record, or the event of a partition's end."""
        with self._problems.translated(f"read topic {topic}"):
            message = consumer.poll(self._timeout)
        if message is None:
            raise self._problems.away(f"no record of topic {topic} in {self._timeout:g} s")
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise self._problems.error(f"read topic {topic}", error)
        return message

    def _bounds(self, consumer: Consumer, topic: str) -> dict[int, tuple[int, int]]:
        partitions = self._partitions(consumer).get(topic)
        if partitions is None:
            raise PermanentError(
                f"topic {topic} does not exist at {self._settings.bootstrap_servers}: "
                "`reviewstream run` creates it"
            )
        with self._problems.translated(f"ask for the ends of topic {topic}"):
            return {
                part: consumer.get_watermark_offsets(
                    TopicPartition(topic, part), timeout=self._timeout
                )
                for part in partitions
            }

    def _partitions(self, client: AdminClient | Consumer) -> dict[str, list[int]]:
        """Return the partitions of each topic."""
        with self._problems.translated("list topics", client):
            topics = client.list_topics(timeout=self._timeout).topics
        return {name: sorted(topic.partitions) for name, topic in topics.items()}

    def _create(self, admin: AdminClient, topic: str) -> None:
        wanted = NewTopic(
            topic,
            num_partitions=self._settings.partitions,
            replication_factor=self._settings.replication_factor,
        )
        future = admin.create_topics([wanted], operation_timeout=self._timeout)[topic]
        with self._problems.translated(f"create topic {topic}", admin):
            try:
                future.result(timeout=3 * self._timeout)
            except KafkaException as err:
                if error_in(err).code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise

    def _await(self, topics: Sequence[str]) -> None:
        """Wait until the metadata has the topics, and every partition has a leader."""
        attempts = Attempts(waits.TOPICS.within(self._timeout), time)
        while absent := [topic for topic in topics if not self._is_ready(topic)]:
            if not attempts.again():
                raise TransientError(f"topics {sorted(absent)} were created but do not appear")

    def _is_ready(self, topic: str) -> bool:
        try:
            self.end_offsets(topic)
        except FatalError:
            raise
        except (PermanentError, TransientError):
            return False
        return True

    def _admin(self) -> AdminClient:
        with self._problems.translated("make a client"):
            return AdminClient(client_config(self._settings) | self._problems.hooks)

    def _consumer(self, isolation: str = "read_committed") -> Consumer:
        reading = {
            "group.id": "reviewstream-reader",  # never joined: partitions are assigned by hand
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "isolation.level": isolation,
            "auto.offset.reset": "earliest",
        }
        with self._problems.translated("make a consumer"):
            return Consumer(client_config(self._settings) | reading | self._problems.hooks)


def _now_and_then(seconds: float, *, pause: float) -> Iterator[None]:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(pause)


def _stored(message: Message) -> StoredRecord:
    headers = cast("list[tuple[str, bytes | None]]", message.headers() or [])
    return StoredRecord(
        topic=message.topic() or "",
        partition=cast("int", message.partition()),
        offset=cast("int", message.offset()),
        key=message.key(),
        value=message.value(),
        headers=tuple((name, value or b"") for name, value in headers),
        stored_at=_moment(*message.timestamp()),
    )


def _moment(kind: int, milliseconds: int) -> datetime | None:
    if kind == TIMESTAMP_NOT_AVAILABLE:
        return None
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    except OverflowError:  # the record's producer chose the time, which may be any number
        return None
