# ruff: noqa: SLF001 - confluent-kafka names librdkafka's own error codes with an underscore
"""Kafka's transactions: records, and in the same transaction an offset as their marker."""

import time
from contextlib import AbstractContextManager, closing
from typing import Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from reviewstream.adapters.kafka.configuration import (
    REQUEST_TIMEOUT,
    client_config,
    producer_config,
)
from reviewstream.adapters.kafka.error_mapper import ErrorMapper, error_in
from reviewstream.adapters.kafka.record_sink import KafkaRecordSink
from reviewstream.core.delivery.marker_text import marker_of, marker_text
from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.settings import KafkaSettings

FENCE_TIMEOUT: Final = 30.0  # seconds: aborting a dead attempt's transaction takes time
FENCE_SLICE: Final = 1.0  # seconds between checks of librdkafka's errors
TRANSACTION_TIMEOUT: Final = 60_000  # milliseconds
_MARKER_PARTITION: Final = 0  # of the labelled topic: every topic has it


def transaction_config(settings: KafkaSettings, name: str) -> dict[str, Any]:
    """Return the configuration of a transactional producer; one per name can be active."""
    config: dict[str, Any] = {
        "transaction.timeout.ms": TRANSACTION_TIMEOUT,
        **producer_config(settings),
        "transactional.id": name,
    }
    # A record that is acknowledged later than that cannot be committed.
    longest = min(int(config["delivery.timeout.ms"]), int(config["transaction.timeout.ms"]))
    return config | {"delivery.timeout.ms": longest}


def find_marker(settings: KafkaSettings, name: str) -> Marker | None:
    """Return the last committed marker of a name, or None, without fencing other sinks.

    It does not wait for an open transaction, which may be committed or aborted.
    """
    # A late token counts as a refusal, so its issuer gets the time of a fence.
    timeout = FENCE_TIMEOUT if settings.oauth_token_url else REQUEST_TIMEOUT
    with closing(_Markers(settings, name, ErrorMapper(settings), "read_uncommitted")) as markers:
        return markers.newest(timeout)


class KafkaTransactionalSink:
    """`TransactionalSink` with its marker in an offset of the consumer group of the sink's name.

    The marker is stored for the labelled topic, and is deleted with it.
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
        """Fence all other sinks of this name, and abort their open transactions."""
        deadline = time.monotonic() + FENCE_TIMEOUT
        with self._translated("fence"):
            self._sink.connect(self._settings.labelled_topic)
            while not self._is_fenced(deadline):
                self._problems.check(f"fence for {self._name}")

    def _is_fenced(self, deadline: float) -> bool:
        """Wait one slice for the fence; the next call continues the same request."""
        try:
            self._producer.init_transactions(FENCE_SLICE)
        except KafkaException as err:
            self._producer.poll(0)  # the cause
            if not _may_pass(error_in(err)) or time.monotonic() > deadline:
                raise
            return False
        return True

    def marker(self) -> Marker | None:
        """Return the last committed marker of this name, or None."""
        return self._markers.newest()

    def begin(self) -> None:
        """Begin a transaction; after `fence`."""
        with self._translated("begin"):
            self._producer.begin_transaction()

    def write(self, record: OutgoingRecord) -> None:
        """Add a record to the transaction; see `RecordSink.write`."""
        self._sink.write(record)

    def commit(self, marker: Marker) -> None:
        """Commit the records and the marker atomically."""
        self._sink.flush()  # names a refused record; a commit would not
        with self._translated("commit"):
            place, group = self._markers.place_of(marker), self._markers.group()
            self._producer.send_offsets_to_transaction([place], group, REQUEST_TIMEOUT)
            self._producer.commit_transaction(FENCE_TIMEOUT)

    def abort(self) -> None:
        """Abort the transaction, and discard its records."""
        with self._translated("abort"):
            self._producer.abort_transaction(REQUEST_TIMEOUT)
        self._sink.forget()

    def close(self) -> None:
        """Close the consumer's connections; the producer's close with this object.

        The producer's `close` raises a `SystemError` after a fence (confluent-kafka 2.16).
        """
        self._markers.close()

    def _translated(self, what: str) -> AbstractContextManager[None]:
        return self._problems.translated(f"{what} for {self._name}")


class _Markers:
    """Reads the newest marker: the offset and metadata of a consumer group without members."""

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
        """Return the last committed marker, or None."""
        place = TopicPartition(self._topic, _MARKER_PARTITION)
        with self._problems.translated(self._what, self._consumer):
            [found] = self._consumer.committed([place], timeout=timeout)
        if found.error is not None:
            raise self._problems.error(self._what, found.error)
        return None if found.offset < 0 else marker_of(found.metadata or "")

    def place_of(self, marker: Marker) -> TopicPartition:
        """Return the offset that stores the marker."""
        text = marker_text(marker)
        return TopicPartition(self._topic, _MARKER_PARTITION, marker.batch + 1, metadata=text)

    def group(self) -> Any:  # noqa: ANN401 - librdkafka's own, without a type
        """Return the metadata of the consumer group that commits the offset."""
        return self._consumer.consumer_group_metadata()

    def close(self) -> None:
        """Close the connections."""
        self._consumer.close()


def _may_pass(error: KafkaError) -> bool:
    """Say whether the fence may still succeed: a slice ends with the brokers' latest answer.

    The coordinator may be loading, or be busy with the dead attempt's transaction.
    """
    return bool(error.code() == KafkaError._TIMED_OUT or error.retriable())
