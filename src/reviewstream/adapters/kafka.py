# ruff: noqa: SLF001 - confluent-kafka names librdkafka's own error codes with an underscore
"""Kafka over confluent-kafka (librdkafka): writes records, and reads them back for checks."""

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

from confluent_kafka import (
    TIMESTAMP_NOT_AVAILABLE,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from reviewstream.adapters.kafka_errors import ErrorMapper, error_in
from reviewstream.core.delivery.kafka_login import oauth_login
from reviewstream.core.delivery.ports import OutgoingRecord, StoredRecord
from reviewstream.errors import FatalError, PermanentError, ReviewStreamError, TransientError
from reviewstream.settings import KafkaSettings, secret_value

REQUEST_TIMEOUT: Final = 10.0  # seconds for one request to the brokers
SLICE: Final = 0.1  # seconds between status checks during a longer wait
QUEUE_SIZE: Final = 64 << 10  # KiB of records waiting in one sink
CONNECT: Final = 1.0  # seconds; after that the next call waits, and reports why
EXPIRY: Final = 10.0  # seconds between a broker's checks for expired transactions
QUIET: Final = 3.0  # seconds of waiting for transactions before a warning
_ASKS: Final = 3  # for a connection; it answers the second request
_DEFAULT_LIMIT: Final = "1000000"  # librdkafka's default of `message.max.bytes`
_DEFAULT_TRANSACTION: Final = "60000"  # default of `transaction.timeout.ms`, and our sinks' value

_log = logging.getLogger(__name__)


def client_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return librdkafka's configuration; `settings.client` overrides the rest."""
    ours = {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": "reviewstream",
        # Each task has a separate client: librdkafka's 100 ms are longer than a task's writing.
        "reconnect.backoff.ms": 10,
        "retry.backoff.ms": 10,
        "security.protocol": settings.security_protocol,
        "sasl.mechanism": settings.sasl_mechanism,
        "sasl.username": settings.sasl_username,
        "sasl.password": secret_value(settings.sasl_password),
        "ssl.ca.location": settings.ssl_ca_location,
        **oauth_login(settings),
    }
    secrets = {name: secret.get_secret_value() for name, secret in settings.client_secrets.items()}
    given = {name: value for name, value in ours.items() if value is not None}
    return given | settings.client | secrets


def producer_config(settings: KafkaSettings) -> dict[str, Any]:
    """Return the configuration of a producer that neither loses, doubles nor reorders records."""
    return {
        "acks": "all",
        "enable.idempotence": True,
        "linger.ms": 20,
        "partitioner": "murmur2_random",  # the Java clients' choice: one key, one partition
        "queue.buffering.max.kbytes": QUEUE_SIZE,
        "delivery.timeout.ms": int(settings.delivery_timeout * 1000),
    } | client_config(settings)


class KafkaRecordSink:
    """`RecordSink` over an idempotent producer. Records with the same key keep their order.

    Args:
        settings: Settings of Kafka.
        config: librdkafka's configuration, instead of `producer_config`.

    Attributes:
        producer: librdkafka's producer.
        problems: Maps its errors to ours.
    """

    def __init__(self, settings: KafkaSettings, config: Mapping[str, Any] | None = None) -> None:
        config = producer_config(settings) if config is None else config
        self._timeout = settings.delivery_timeout
        self.problems = ErrorMapper(settings)
        self._acknowledged = 0
        self._failed: list[ReviewStreamError] = []
        self._is_connected = False
        with self.problems.translated("make a producer"):
            self._limit = int(config.get("message.max.bytes", _DEFAULT_LIMIT))
            self.producer = Producer({**config, **self.problems.hooks})

    def connect(self, topic: str) -> None:
        """Wait up to 3 s for a broker; otherwise librdkafka checks again half a second later.

        The first answer comes over the bootstrap connection, which then closes. So it asks again
        until one of the cluster's connections has answered.
        """
        # The next call reports any error.
        with suppress(KafkaException), self.problems.asking():
            for _ in range(_ASKS):
                if self.producer.list_topics(topic, CONNECT).orig_broker_id >= 0:
                    break
        self._is_connected = True

    def write(self, record: OutgoingRecord) -> None:
        """Queue a record; block while the queue is full."""
        if not self._is_connected:
            self.connect(record.topic)
        if not self._queued(record):
            with self.problems.asking():
                self._await_room(record)
        self._poll(0)

    def _await_room(self, record: OutgoingRecord) -> None:
        """Queue a record as soon as the full queue has room for it."""
        deadline = time.monotonic() + self._timeout
        while not self._queued(record):
            if time.monotonic() > deadline:
                raise self.problems.away(f"{len(self.producer)} records wait")
            self._poll(SLICE)
            self.problems.check("write records")
            if self._failed:  # the queue empties because the records are refused
                raise self._failure()

    def flush(self) -> int:
        """Wait until all queued records are acknowledged, and return their number."""
        with self.problems.translated("write records"):
            left = self._flushed(self._timeout + REQUEST_TIMEOUT)
        acknowledged, self._acknowledged = self._acknowledged, 0
        if self._failed:
            raise self._failure()
        if left:
            raise self.problems.away(f"{left} records are not acknowledged")
        return acknowledged

    def _flushed(self, timeout: float) -> int:
        """Wait for the queue to empty, and return the number of records left."""
        deadline = time.monotonic() + timeout
        while (left := self.producer.flush(SLICE)) and time.monotonic() < deadline:
            self.problems.check(f"{left} records are not acknowledged")
        return left

    def forget(self) -> None:
        """Discard the results of all records so far: their transaction was aborted."""
        with self.problems.translated("abort"):
            self.producer.flush(REQUEST_TIMEOUT)
        self._failed, self._acknowledged = [], 0

    def _poll(self, timeout: float) -> None:
        with self.problems.mapped("write records"):
            self.producer.poll(timeout)

    def _failure(self) -> ReviewStreamError:
        """Return one error for all records that were not written."""
        failed, self._failed = self._failed, []
        worst = next((e for e in failed if not isinstance(e, TransientError)), failed[0])
        return type(worst)(f"{len(failed)} records were not written; {worst}")

    def _queued(self, record: OutgoingRecord) -> bool:
        try:
            self.producer.produce(
                record.topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                on_delivery=self._delivered,
            )
        except BufferError:
            return False
        except KafkaException as err:
            raise self._refusal(record, error_in(err)) from err
        return True

    def _refusal(self, record: OutgoingRecord, error: KafkaError) -> ReviewStreamError:
        """Return the error of a record that cannot be queued; the producer may be the cause."""
        if error.code() == KafkaError._FATAL:
            self._poll(SLICE)  # raises the cause: librdkafka reports it as an event
            return self.problems.error("write records", error)
        what = self._describe(record.topic, record.key, len(record.key) + len(record.value))
        return self.problems.error(what, error)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self._acknowledged += 1
            self.problems.let_in()
            return
        what = self._describe(message.topic() or "", message.key() or b"", len(message))
        self._failed.append(self.problems.error(what, error))

    def _describe(self, topic: str, key: bytes, size: int) -> str:
        shown = key.decode("utf-8", "backslashreplace")
        return f"topic {topic}, key {shown!r}, {size:,} bytes (limit {self._limit:,})"


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
        deadline = time.monotonic() + self._timeout
        while absent := [topic for topic in topics if not self._is_ready(topic)]:
            if time.monotonic() > deadline:
                raise TransientError(f"topics {sorted(absent)} were created but do not appear")
            time.sleep(0.05)

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
