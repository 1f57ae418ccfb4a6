"""Reconciliation finds every planted fault, and nothing else."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream import Review
from reviewstream.core.parsing import to_line
from reviewstream.pipeline.reconcile import Reconciliation, Source, reconcile
from reviewstream.wire.framing import Line, Oversized

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def line(review_id: str) -> bytes:
    return to_line(
        Review(
            review_id=review_id,
            user_id="u",
            business_id="b",
            stars=3,
            text="",
            written_at=NOW,
        )
    )


@dataclass(frozen=True)
class Run:
    """A run in which three lines were labelled, one was rejected, and one was blank."""

    published: tuple[tuple[str, int], ...] = (("a", 0), ("b", 200), ("a", 400))
    rejected: tuple[int, ...] = (300,)
    indexed: tuple[str, ...] = ("a", "b")
    labelled: int = 3

    def sums(self) -> Reconciliation:
        lines: list[Line | Oversized] = [
            Line(0, line("a")),
            Line(100, b" \r"),
            Line(200, line("b")),
            Oversized(300, 1 << 21, b"   "),
            Line(400, line("a")),
        ]
        return reconcile(
            Source.of(lines),
            labelled=self.labelled,
            published=self.published,
            rejected=self.rejected,
            indexed=self.indexed,
        )


def test_a_clean_run_adds_up() -> None:
    sums = Run().sums()
    assert sums.adds_up
    assert (sums.read, sums.blank, sums.rejected, sums.published) == (4, 1, 1, 3)
    assert (sums.distinct, sums.indexed, sums.missing, sums.doubled) == (2, 2, (), ())


@pytest.mark.parametrize(
    ("fault", "missing", "doubled"),
    [
        ({"published": (("a", 0), ("a", 400)), "labelled": 2}, ("b",), ()),
        ({"published": (*Run.published, ("b", 200)), "labelled": 4}, (), ("b",)),
        ({"rejected": ()}, ("@300",), ()),
        ({"rejected": (300, 300)}, (), ("@300",)),
        ({"rejected": (300, 400)}, (), ("a",)),
        ({"indexed": ("a",)}, ("b",), ()),
        ({"indexed": ("a", "b", "x")}, (), ()),
        ({"labelled": 2}, (), ()),
        ({"published": (*Run.published, ("a", 999), ("a", 999))}, (), ("@999",)),
    ],
    ids=str,
)
def test_each_fault_is_named(
    fault: dict[str, object], missing: tuple[str, ...], doubled: tuple[str, ...]
) -> None:
    sums = replace(Run(), **fault).sums()  # type: ignore[arg-type] # a table of faults
    assert not sums.adds_up
    assert (sums.missing, sums.doubled) == (missing, doubled)


@given(st.sets(st.integers(0, 30), min_size=1), st.data())
def test_a_lost_line_is_never_overlooked(offsets: set[int], data: st.DataObject) -> None:
    lost = data.draw(st.sampled_from(sorted(offsets)))
    sums = reconcile(
        Source.of(Line(offset, line(f"r{offset}")) for offset in offsets),
        labelled=len(offsets),
        published=[(f"r{offset}", offset) for offset in offsets - {lost}],
        rejected=[],
        indexed=[f"r{offset}" for offset in offsets],
    )
    assert sums.missing == (f"r{lost}",)
    assert not sums.adds_up
