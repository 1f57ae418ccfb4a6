"""Kafka, as delivery needs it."""

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
    """Writes records to a log."""

    def write(self, record: OutgoingRecord) -> None:
        """Queue a record; waits while the queue is full.

        Raises:
            TransientError: the queue stays full, or nobody takes what is in it.
            PermanentError: the record is too large, or the topic does not exist.
        """
        ...

    def flush(self) -> int:
        """Wait until everything queued is acknowledged, and return how many records were.

        Raises:
            TransientError: some records were not acknowledged in time.
            PermanentError: a record was refused.
        """
        ...


class TransactionalSink(Protocol):
    """Writes records and a marker together, or none of them. Of a name, one at a time can write.

    Every method raises a `TransientError` where another sink of the name has been fenced in since,
    or the log is away: a new sink may succeed.
    """

    def fence(self) -> None:
        """Shut out every other sink of this name, and undo what it has not committed."""
        ...

    def marker(self) -> Marker | None:
        """Return the marker that was committed last under this name, or None."""
        ...

    def begin(self) -> None:
        """Begin a transaction; after `fence`."""
        ...

    def write(self, record: OutgoingRecord) -> None:
        """Add a record to the transaction; see `RecordSink.write`."""
        ...

    def commit(self, marker: Marker) -> None:
        """Make the records and the marker visible, all at once.

        Raises:
            TransientError: not done, or nobody knows: the next sink of the name will see.
            PermanentError: a record was refused; nothing is visible.
        """
        ...

    def abort(self) -> None:
        """End the transaction without a trace."""
        ...

    def close(self) -> None:
        """Free the connections; a transaction that is open stays so until somebody fences."""
        ...


class StoredRecord(Struct, frozen=True, kw_only=True):
    """One Kafka record as it was read.

    Attributes:
        stored_at: UTC, to the millisecond; None if the log does not say.
    """

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...] = ()
    stored_at: datetime | None = None


class RecordLog(Protocol):
    """Keeps records in topics (Kafka), seen from outside of the stream."""

    def ensure(self, topics: Sequence[str]) -> Sequence[str]:
        """Create the topics that do not exist, and return those."""
        ...

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """Return the offset after the last record of each partition.

        Raises:
            PermanentError: no such topic.
        """
        ...

    def read_all(self, topic: str) -> Iterator[StoredRecord]:
        """Read every committed record that was there at the start of the call.

        Raises:
            PermanentError: no such topic.
            TransientError: the log stopped answering, or records are hidden by a transaction that
                nobody ends.
        """
        ...
