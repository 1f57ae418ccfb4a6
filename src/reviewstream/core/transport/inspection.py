"""Inspection of lines: counts invalid ones, and describes a file without valid reviews."""

from collections.abc import Iterable, Iterator
from typing import Final

from msgspec import Struct, structs

from reviewstream.core.records.file_kinds import LOOKED_AT, seems_to_be
from reviewstream.core.records.outcomes import Rejected
from reviewstream.core.records.parsing import MAX_LINE, is_blank, parse_review
from reviewstream.core.records.reviews import Reason
from reviewstream.core.transport.framing import NEWLINE, Line, Oversized

MOST: Final = 3  # reasons in a sentence


class BadLines(Struct, frozen=True, kw_only=True):
    """Lines that are invalid for one reason.

    Attributes:
        line: Number of the first of them, from 1.
        detail: Error of the first of them.
    """

    reason: Reason
    count: int
    line: int
    detail: str


class Inspection:
    """A counter of lines, and of invalid lines by reason.

    Attributes:
        lines: Lines that are not blank.
        reviews: Lines that are valid reviews.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.reviews = 0
        self._bad: dict[Reason, BadLines] = {}
        self._start = bytearray()

    def watched(self, lines: Iterable[Line | Oversized]) -> Iterator[Line | Oversized]:
        """Yield the lines unchanged, and count each."""
        for number, line in enumerate(lines, 1):
            self._take(number, line)
            yield line

    def has_review(self, lines: Iterable[Line | Oversized]) -> bool:
        """Read lines up to the first review, and say whether there is one."""
        return any(self.reviews for _ in self.watched(lines))

    def bad_lines(self) -> list[BadLines]:
        """Return the invalid lines by reason, the most frequent first."""
        return sorted(self._bad.values(), key=lambda bad: (-bad.count, bad.line))

    def reasons(self) -> str:
        """Return the most frequent reasons in one sentence."""
        named = [
            f"{bad.reason} in {bad.count:,} of {self.lines:,} lines, first in line {bad.line:,}"
            f" ({bad.detail})"
            for bad in self.bad_lines()[:MOST]
        ]
        return "; ".join(named)

    def verdict(self, name: str) -> str:
        """Return a message about a file without valid reviews."""
        reasons = f" {self.reasons()}." if self._bad else ""
        return f"{name} holds no review: it seems to be {seems_to_be(bytes(self._start))}.{reasons}"

    def _take(self, number: int, line: Line | Oversized) -> None:
        data = line.head if isinstance(line, Oversized) else line.data
        if not self.reviews and len(self._start) < LOOKED_AT:
            self._start += data[:LOOKED_AT] + NEWLINE
        if isinstance(line, Oversized):
            self._refuse(number, Reason.LINE_TOO_LONG, f"{line.size} bytes (limit {MAX_LINE})")
        elif not is_blank(data):
            outcome = parse_review(data)
            if isinstance(outcome, Rejected):
                self._refuse(number, outcome.reason, outcome.detail)
            else:
                self.lines += 1
                self.reviews += 1

    def _refuse(self, number: int, reason: Reason, detail: str) -> None:
        self.lines += 1
        known = self._bad.get(reason)
        first = known or BadLines(reason=reason, count=0, line=number, detail=detail)
        self._bad[reason] = structs.replace(first, count=first.count + 1)
