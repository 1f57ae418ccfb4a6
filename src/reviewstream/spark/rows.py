"""Convert a line to a row: a review with its origin, a rejection, or None if it is blank."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import chain
from typing import TypeAlias

from reviewstream.core.records.batches import bounded
from reviewstream.core.records.outcomes import Ok, Rejected
from reviewstream.core.records.parsing import MAX_LINE, is_blank, parse_review
from reviewstream.core.records.reviews import Origin, Reason, RejectedReview, Review, Stage
from reviewstream.core.transport.framing import Line, Oversized

SourceRow: TypeAlias = tuple[Review, Origin] | RejectedReview

MAX_ROWS = 2_048  # rows in one Arrow batch
MAX_BYTES = 4 << 20  # bytes of lines in one Arrow batch, unless its first line is longer


def to_row(line: Line | Oversized, source: str, now: Callable[[], datetime]) -> SourceRow | None:
    """Return the row of a line, or None if it is blank."""
    origin = Origin(source=source, offset=line.offset)
    if isinstance(line, Oversized):
        return _rejection(_too_long(line), origin, now())
    if is_blank(line.data):
        return None
    match parse_review(line.data):
        case Ok(review):
            return review, origin
        case Rejected() as refused:
            return _rejection(refused, origin, now())


def in_batches(
    chunks: Iterable[list[Line | Oversized]],
    *,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> Iterator[list[Line | Oversized]]:
    """Split lines, in chunks of any size, into lists of bounded size."""
    lines = chain.from_iterable(chunks)
    return bounded(lines, _length, size=max_rows, room=max_bytes)


def _length(line: Line | Oversized) -> int:
    return len(line.head if isinstance(line, Oversized) else line.data)


def _too_long(line: Oversized) -> Rejected:
    detail = f"$: {line.size} bytes (limit {MAX_LINE})"
    return Rejected(reason=Reason.LINE_TOO_LONG, detail=detail, raw=line.head)


def _rejection(refused: Rejected, origin: Origin, now: datetime) -> RejectedReview:
    return refused.dead_letter(stage=Stage.PARSE, origin=origin, rejected_at=now)
