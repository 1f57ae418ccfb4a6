"""Byte ranges of the served file: split into tasks, and read."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import chain, pairwise

from pyspark.sql.datasource import InputPartition

from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.core.transport.ports import LineReader
from reviewstream.spark.retrying_reader import RetryingReader

MIN_RANGE = 4 << 10  # bytes: less is not worth a separate task
MAX_OFFSET = (1 << 63) - 1
PIECE = 256 << 10  # bytes of one request: a few hundred reviews


@dataclass(frozen=True)
class ByteRange(InputPartition):
    """The range of one task: every line that starts in [start, end).

    Attributes:
        source: Name of the file, for the origin of its rows.
        fingerprint: Fingerprint of the file; empty until the query has connected to the server.
        limit: End of all ranges; bytes that a line has gained beyond it belong to later ranges.
    """

    start: int
    end: int
    source: str
    fingerprint: str
    limit: int = MAX_OFFSET


def split(whole: ByteRange, parts: int) -> list[ByteRange]:
    """Split a range into at most `parts` of similar size; line ends are ignored."""
    size = max(0, whole.end - whole.start)
    count = min(parts, -(-size // MIN_RANGE))
    cuts = [whole.start + size * part // count for part in range(count)] + [whole.end]
    return [replace(whole, start=start, end=end, limit=whole.end) for start, end in pairwise(cuts)]


def read_range(server: RetryingReader, whole: ByteRange) -> Iterator[list[Line | Oversized]]:
    """Read a range in pieces; an interrupted piece is read again, and yielded once.

    Raises:
        SourceReplacedError: The server now serves another file.
        TransientError: The server was unavailable for too long.
    """
    for start in range(whole.start, whole.end, PIECE):
        end = min(start + PIECE, whole.end)
        _, lines = server.insist(partial(_read, start, end), fingerprint=whole.fingerprint)
        yield [*lines[:-1], *(_cut(line, whole.limit) for line in lines[-1:])]


def _cut(line: Line | Oversized, limit: int) -> Line | Oversized:
    """Return a line with its length at the time that its micro-batch was planned."""
    if isinstance(line, Oversized) or line.offset + len(line.data) <= limit:
        return line
    return Line(line.offset, line.data[: limit - line.offset])


def _read(start: int, end: int, server: LineReader) -> list[Line | Oversized]:
    """Read a piece to its end, where its checksum is verified."""
    return list(chain.from_iterable(server.read(start, end)))
