"""Topics in memory."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from zlib import crc32

from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import OutgoingRecord, StoredRecord
from reviewstream.errors import PermanentError, TransientError


class MemoryLog:
    """`RecordLog` in memory.

    Args:
        partitions: Number of partitions of each topic.

    Attributes:
        epochs: Number of times each name was fenced.
        markers: The last committed marker of each name.
    """

    def __init__(self, partitions: int = 3) -> None:
        self._partitions = partitions
        self._topics: dict[str, list[list[StoredRecord]]] = {}
        self.epochs: Counter[str] = Counter()
        self.markers: dict[str, Marker] = {}

    def sink(self) -> "MemorySink":
        """Return a new `RecordSink` that writes to this log."""
        return MemorySink(self)

    def transactional_sink(self, name: str) -> "MemoryTransactionalSink":
        """Return a new `TransactionalSink` that writes to this log."""
        return MemoryTransactionalSink(self, name)

    def ensure(self, topics: Sequence[str]) -> Sequence[str]:
        """See `RecordLog.ensure`."""
        missing = [topic for topic in topics if topic not in self._topics]
        for topic in missing:
            self._topics[topic] = [[] for _ in range(self._partitions)]
        return missing

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        """See `RecordLog.end_offsets`."""
        return {number: len(records) for number, records in enumerate(self._of(topic))}

    def read_all(self, topic: str) -> Iterator[StoredRecord]:
        """See `RecordLog.read_all`."""
        yield from [record for records in self._of(topic) for record in records]

    def append(self, record: OutgoingRecord) -> None:
        """Add a record to the end of its key's partition."""
        self._append(record.topic, record.key, record.value, record.headers)

    def append_tombstone(self, topic: str, key: bytes) -> None:
        """Add a record without a value: the deletion of a key."""
        self._append(topic, key, None)

    def delete_topic(self, topic: str) -> None:
        """Delete a topic with its records.

        Raises:
            PermanentError: There is no such topic.
        """
        self._of(topic)
        del self._topics[topic]

    def _append(
        self,
        topic: str,
        key: bytes,
        value: bytes | None,
        headers: tuple[tuple[str, bytes], ...] = (),
    ) -> None:
        partitions = self._of(topic)
        number = crc32(key) % self._partitions
        partitions[number].append(
            StoredRecord(
                topic=topic,
                partition=number,
                offset=len(partitions[number]),
                key=key,
                value=value,
                headers=headers,
            )
        )

    def _of(self, topic: str) -> list[list[StoredRecord]]:
        if topic not in self._topics:
            raise PermanentError(f"topic {topic} does not exist")
        return self._topics[topic]


class MemorySink:
    """`RecordSink` into a `MemoryLog`.

    Attributes:
        LIMIT: Bytes of the largest record.
    """

    LIMIT = 1_000_000

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._queue: list[OutgoingRecord] = []

    def write(self, record: OutgoingRecord) -> None:
        """See `RecordSink.write`."""
        _check_size(record, self.LIMIT)
        self._queue.append(record)

    def flush(self) -> int:
        """See `RecordSink.flush`."""
        queue, self._queue = self._queue, []
        refusals = [refused for record in queue if (refused := self._refusal(record))]
        if refusals:
            raise refusals[0]
        return len(queue)

    def _refusal(self, record: OutgoingRecord) -> PermanentError | None:
        """Append the record to the log; return the error if that fails."""
        try:
            self._log.append(record)
        except PermanentError as error:
            return error
        return None


class MemoryTransactionalSink:
    """`TransactionalSink` into a `MemoryLog`; records appear in the log on commit."""

    def __init__(self, log: MemoryLog, name: str) -> None:
        self._log = log
        self._name = name
        self._epoch = 0
        self._open: list[OutgoingRecord] = []

    def fence(self) -> None:
        """See `TransactionalSink.fence`."""
        self._log.epochs[self._name] += 1
        self._epoch = self._log.epochs[self._name]

    def marker(self) -> Marker | None:
        """See `TransactionalSink.marker`."""
        return self._log.markers.get(self._name)

    def begin(self) -> None:
        """See `TransactionalSink.begin`."""
        self._check_epoch()
        self._open = []

    def write(self, record: OutgoingRecord) -> None:
        """See `TransactionalSink.write`."""
        self._check_epoch()
        _check_size(record, MemorySink.LIMIT)
        self._open.append(record)

    def commit(self, marker: Marker) -> None:
        """See `TransactionalSink.commit`."""
        self._check_epoch()
        for record in self._open:
            self._log.end_offsets(record.topic)  # raises if the topic does not exist
        for record in self._open:
            self._log.append(record)
        self._log.markers[self._name] = marker

    def abort(self) -> None:
        """See `TransactionalSink.abort`."""
        self._check_epoch()
        self._open = []

    def close(self) -> None:
        """See `TransactionalSink.close`."""

    def _check_epoch(self) -> None:
        if self._epoch != self._log.epochs[self._name]:
            raise TransientError(f"{self._name}: another sink has been fenced in")


def _check_size(record: OutgoingRecord, limit: int) -> None:
    size = len(record.key) + len(record.value)
    if size > limit:
        raise PermanentError(f"topic {record.topic}: {size:,} bytes (limit {limit:,})")
