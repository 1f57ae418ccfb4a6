# ruff: noqa: SLF001 - confluent-kafka names librdkafka's own error codes with an underscore
"""Kafka's transactions: records, and in the same transaction an offset that says so."""

import time
from contextlib import AbstractContextManager, closing
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from reviewstream.adapters.kafka import (
    REQUEST_TIMEOUT,
    KafkaRecordSink,
    client_config,
    producer_config,
)
from reviewstream.adapters.kafka_errors import ErrorMapper, error_in
from reviewstream.core.delivery.marker_text import marker_of, marker_text
from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.settings import KafkaSettings

FENCE_TIMEOUT: Final = 30.0  # seconds: undoing a dead attempt's transaction takes a moment
FENCE_SLICE: Final = 1.0  # seconds of it, between which librdkafka's errors are looked at
TRANSACTION_TIMEOUT: Final = 60_000  # milliseconds
_MARKER_PARTITION: Final = 0  # of the labelled topic: any will do, and every topic has this one


def transaction_config(settings: KafkaSettings, name: str) -> dict[str, Any]:
    """Return the configuration of a producer of transactions; one of each name can write."""
    config: dict[str, Any] = {
        "transaction.timeout.ms": TRANSACTION_TIMEOUT,
        **producer_config(settings),
        "transactional.id": name,
    }
    # A record that is not acknowledged by then cannot be committed any more.
    longest = min(int(config["delivery.timeout.ms"]), int(config["transaction.timeout.ms"]))
    return config | {"delivery.timeout.ms": longest}


def find_marker(settings: KafkaSettings, name: str) -> Marker | None:
    """Return the marker that was committed last under a name, or None, without shutting anyone out.

    It waits for no transaction: what is open may end either way.
    """
    # A token that does not come in time is a refusal: so whoever issues it has as long as a fence.
    timeout = FENCE_TIMEOUT if settings.oauth_token_url else REQUEST_TIMEOUT
    with closing(_Markers(settings, name, ErrorMapper(settings), "read_uncommitted")) as markers:
        return markers.newest(timeout)


class KafkaTransactionalSink:
    """`TransactionalSink`: the marker is the offset that a group of the same name commits.

    It is kept with the labelled topic, and goes with it.
    """

    def __init__(self, settings: KafkaSettings, name: str) -> None:
        self._settings = settings
        self._name = name
        with ErrorMapper(settings).translated("make a producer"):
            config = transaction_config(settings, name)
        self._sink = KafkaRecordSink(settings, config)
        self._problems = self._sink.problems
        self._producer = self._sink.producer
        self._markers = _Markers(settings, name, self._problems, "read_committed")

    def fence(self) -> None:
        """Shut out every other sink of this name, and undo what it has not committed."""
        deadline = time.monotonic() + FENCE_TIMEOUT
        with self._translated("fence"):
            self._sink.connect(self._settings.labelled_topic)
            while not self._is_fenced(deadline):
                self._problems.check(f"fence for {self._name}")

    def _is_fenced(self, deadline: float) -> bool:
        """Wait a moment for the fence; the next call waits on for the same one."""
        try:
            self._producer.init_transactions(FENCE_SLICE)
        except KafkaException as err:
            self._producer.poll(0)  # the cause
            if not _may_pass(error_in(err)) or time.monotonic() > deadline:
                raise
            return False
        return True

    def marker(self) -> Marker | None:
        """Return the marker that was committed last under this name, or None."""
        return self._markers.newest()

    def begin(self) -> None:
        """Begin a transaction; after `fence`."""
        with self._translated("begin"):
            self._producer.begin_transaction()

    def write(self, record: OutgoingRecord) -> None:
        """Add a record to the transaction; see `RecordSink.write`."""
        self._sink.write(record)

    def commit(self, marker: Marker) -> None:
        """Make the records and the marker visible, all at once."""
        self._sink.flush()  # it names the record that was refused; a commit would not
        with self._translated("commit"):
            place, group = self._markers.place_of(marker), self._markers.group()
            self._producer.send_offsets_to_transaction([place], group, REQUEST_TIMEOUT)
            self._producer.commit_transaction(FENCE_TIMEOUT)

    def abort(self) -> None:
        """End the transaction without a trace."""
        with self._translated("abort"):
            self._producer.abort_transaction(REQUEST_TIMEOUT)
        self._sink.forget()

    def close(self) -> None:
        """Free the consumer's connections; the producer's end with this object.

        Its own `close` raises a `SystemError` after it was fenced (confluent-kafka 2.16).
        """
        self._markers.close()

    def _translated(self, what: str) -> AbstractContextManager[None]:
        return self._problems.translated(f"{what} for {self._name}")


class _Markers:
    """The offset of a group that nobody joins, with the newest marker of its name beside it."""

    def __init__(
        self, settings: KafkaSettings, name: str, problems: ErrorMapper, isolation: str
    ) -> None:
        reading = {"group.id": name, "enable.auto.commit": False, "isolation.level": isolation}
        with problems.translated("make a consumer"):
            self._consumer = Consumer(client_config(settings) | reading | problems.hooks)
        self._topic = settings.labelled_topic
        self._problems = problems
        self._what = f"look for the marker of {name}"

    def newest(self, timeout: float = REQUEST_TIMEOUT) -> Marker | None:
        """Return the marker that was committed last, or None."""
        place = TopicPartition(self._topic, _MARKER_PARTITION)
        with self._problems.translated(self._what, self._consumer):
            [found] = self._consumer.committed([place], timeout=timeout)
        if found.error is not None:
            raise self._problems.error(self._what, found.error)
        return None if found.offset < 0 else marker_of(found.metadata or "")

    def place_of(self, marker: Marker) -> TopicPartition:
        """Return the offset that says it."""
        text = marker_text(marker)
        return TopicPartition(self._topic, _MARKER_PARTITION, marker.batch + 1, metadata=text)

    def group(self) -> Any:  # noqa: ANN401 - librdkafka's own, without a type
        """Return whose offset it is."""
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Free the connections."""
        self._consumer.close()


def _may_pass(error: KafkaError) -> bool:
    """Say whether a fence goes on: at the end of a slice it has the latest answer of the brokers.

    The coordinator may be loading, or be busy with what the dead attempt has left.
    """
    return bool(error.code() == KafkaError._TIMED_OUT or error.retriable())
