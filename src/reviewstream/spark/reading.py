"""Byte ranges of the served file: cut into tasks, and read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise

from pyspark.sql.datasource import InputPartition

from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.core.transport.ports import LineReader
from reviewstream.spark.retrying_reader import RetryingReader

MIN_RANGE = 4 << 10  # bytes: less is not worth a task of its own
MAX_OFFSET = (1 << 63) - 1
PIECE = 256 << 10  # bytes asked for at once: some hundred reviews


@dataclass(frozen=True)
class ByteRange(InputPartition):
    """One task's share: every line whose first byte lies in [start, end).

    Attributes:
        source: Name of the file, for the origin of its rows.
        fingerprint: Of the file that is meant; empty if the query has not met it yet.
        limit: End of all shares; what a line has got beyond it since belongs to the next ones.
    """

    start: int
    end: int
    source: str
    fingerprint: str
    limit: int = MAX_OFFSET


def split(whole: ByteRange, parts: int) -> list[ByteRange]:
    """Cut a range into at most `parts` of about the same size; where lines end does not matter."""
    size = max(0, whole.end - whole.start)
    count = min(parts, -(-size // MIN_RANGE))
    cuts = [whole.start + size * part // count for part in range(count)] + [whole.end]
    return [replace(whole, start=start, end=end, limit=whole.end) for start, end in pairwise(cuts)]


def read_range(server: RetryingReader, whole: ByteRange) -> Iterator[list[Line | Oversized]]:
    """Read a range piece by piece; a piece that breaks off is read again, and given once.

    Raises:
        SourceReplacedError: The server has another file now.
        TransientError: It was away for too long.
    """
    for start in range(whole.start, whole.end, PIECE):
        end = min(start + PIECE, whole.end)
        _, lines = server.insist(partial(_read, start, end), fingerprint=whole.fingerprint)
        yield [*lines[:-1], *(_cut(line, whole.limit) for line in lines[-1:])]


def _cut(line: Line | Oversized, limit: int) -> Line | Oversized:
    """Return a line as it was when its micro-batch was planned."""
    if isinstance(line, Oversized) or line.offset + len(line.data) <= limit:
        return line
    return Line(line.offset, line.data[: limit - line.offset])


def _read(start: int, end: int, server: LineReader) -> list[Line | Oversized]:
    """Read a piece to its end, where its checksum is compared."""
    return list(chain.from_iterable(server.read(start, end)))
