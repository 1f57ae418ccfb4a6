# ruff: noqa: SLF001 - confluent-kafka names librdkafka's own error codes with an underscore
"""Writes records to Kafka."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from reviewstream.adapters.kafka.configuration import REQUEST_TIMEOUT, SLICE, producer_config
from reviewstream.adapters.kafka.error_mapper import ErrorMapper, error_in
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.errors import ReviewStreamError, TransientError
from reviewstream.settings import KafkaSettings

CONNECT: Final = 1.0  # seconds; after that the next call waits, and reports why
_ASKS: Final = 3  # for a connection; it answers the second request
_DEFAULT_LIMIT: Final = "1000000"  # librdkafka's default of `message.max.bytes`


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
