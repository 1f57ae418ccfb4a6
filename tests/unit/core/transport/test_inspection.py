"""Lines that are looked at on their way."""

from reviewstream.core.records.reviews import Reason
from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.core.transport.inspection import Inspection
from reviewstream.samples import expand

GOOD = Line(0, next(iter(expand(1, seed=1))).rstrip(b"\n"))


def test_lines_are_handed_on_and_counted_by_what_is_wrong_with_them() -> None:
    short = [Line(0, b"x"), Line(0, b""), GOOD, Line(0, b"7"), Line(0, b"8")]
    lines: list[Line | Oversized] = [*short, Oversized(0, 9, b"x")]
    seen = Inspection()
    assert list(seen.watched(lines)) == lines
    assert (seen.lines, seen.reviews) == (5, 1)
    found = [(bad.reason, bad.count, bad.line) for bad in seen.bad_lines()]
    assert found == [
        (Reason.NOT_AN_OBJECT, 2, 4),
        (Reason.NOT_JSON, 1, 1),
        (Reason.LINE_TOO_LONG, 1, 6),
    ]
    assert seen.reasons().startswith("NOT_AN_OBJECT in 2 of 5 lines, first in line 4 ($: expected")


def test_the_look_for_a_review_ends_with_the_first() -> None:
    lines = iter([Line(0, b"7"), GOOD, Line(0, b"8")])
    assert Inspection().has_review(lines)
    assert list(lines) == [Line(0, b"8")]


def test_a_file_without_a_review_is_said_to_be_what_it_seems() -> None:
    seen = Inspection()
    assert not seen.has_review([Oversized(0, 2_000_000, b'[{"a":1},'), Line(0, b"7")])
    verdict = seen.verdict("f")
    assert verdict.startswith("f holds no review: it seems to be a JSON array: ")
    assert "LINE_TOO_LONG in 1 of 2 lines, first in line 1 (2000000 bytes" in verdict
    assert Inspection().verdict("f") == "f holds no review: it seems to be empty."
