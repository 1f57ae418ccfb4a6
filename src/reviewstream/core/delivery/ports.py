"""Ports of delivery: Kafka."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from reviewstream.core.delivery.markers import Marker


class OutgoingRecord(Struct, frozen=True, kw_only=True, array_like=True):
    """One Kafka record to be written."""

    topic: str
    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...] = ()


class RecordSink(Protocol):
    """A writer of records to a log."""

    def write(self, record: OutgoingRecord) -> None:
        """Queue a record; block while the queue is full.

        Raises:
            TransientError: The queue stays full, because records are not acknowledged.
            PermanentError: The record is too large, or the topic does not exist.
        """
        ...

    def flush(self) -> int:
        """Wait until all queued records are acknowledged, and return their number.

        Raises:
            TransientError: Some records were not acknowledged in time.
            PermanentError: A record was refused.
        """
        ...


class TransactionalSink(Protocol):
    """A sink that writes records and a marker atomically. Only one sink per name can be active.

    Every method raises a `TransientError` if another sink of the name has fenced this one, or if
    the log is unavailable: a new sink may succeed.
    """

    def fence(self) -> None:
        """Fence all other sinks of this name, and abort their open transactions."""
        ...

    def marker(self) -> Marker | None:
        """Return the last marker committed under this name, or None."""
        ...

    def begin(self) -> None:
        """Begin a transaction; call `fence` first."""
        ...

    def write(self, record: OutgoingRecord) -> None:
        """Add a record to the transaction; see `RecordSink.write`."""
        ...

    def commit(self, marker: Marker) -> None:
        """Make the records and the marker visible atomically.

        Raises:
            TransientError: Not committed, or the outcome is unknown: the next sink of the name can
                tell.
            PermanentError: A record was refused; nothing is visible.
        """
        ...

    def abort(self) -> None:
        """Abort the transaction; nothing of it becomes visible."""
        ...

    def close(self) -> None:
        """Close the connections; an open transaction stays open until the next fence."""
        ...


class StoredRecord(Struct, frozen=True, kw_only=True):
    """One Kafka record as read.

    Attributes:
        stored_at: UTC, to the millisecond; None if the log does not report it.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    stored_at: datetime | None = None


class RecordLog(Protocol):
    """A log of records in topics (Kafka), used outside the stream."""

    def ensure(self, topics: Sequence[str]) -> Sequence[str]:
        """Create the topics that do not exist, and return those created."""
        ...

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Return the offset after the last record of each partition.

        Raises:
            PermanentError: There is no such topic.
        """
        ...

    def read_all(self, topic: str) -> Iterator[StoredRecord]:
        """Yield every committed record present at the start of the call.

        Raises:
            PermanentError: There is no such topic.
            TransientError: The log stopped answering, or an open transaction hides records.
        """
        ...
