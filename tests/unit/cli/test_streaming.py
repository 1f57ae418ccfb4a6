"""Counts of a running query."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from reviewstream.cli import streaming
from reviewstream.cli.streaming import Counts, spending, watch
from reviewstream.spark import query
from reviewstream.spark.query import BatchCounts, RunningQuery


def batch(batch_id: int, labelled: int, rejected: int = 0) -> BatchCounts:
    return BatchCounts(
        batch_id=batch_id,
        labelled=labelled,
        from_ledger=labelled // 2,
        rejected=rejected,
        tokens=10 * labelled,
        cost_micro_usd=labelled,
        seconds=0.5,
        offset=labelled,
        head=100,
    )


@dataclass
class Scripted:
    """A query whose micro-batches are those of one row after the other."""

    looks: list[list[BatchCounts]]
    seen: list[int] = field(default_factory=list)

    def awaitTermination(self, _: float) -> bool:  # noqa: N802 - Spark's name
        return len(self.looks) == 1

    def counts(self, *, after: int) -> list[BatchCounts]:
        look = self.looks[0] if len(self.looks) == 1 else self.looks.pop(0)
        return [one for one in look if one.batch_id > after]


@pytest.mark.parametrize(
    "looks",
    [
        [[], [batch(7, 1)], [batch(7, 1), batch(8, 2, 1)], [batch(7, 1), batch(8, 2, 1)]],
        [[batch(7, 0)], [batch(7, 1)], [batch(7, 1), batch(8, 2, 1)]],  # a batch told twice
        [[batch(7, 1), batch(8, 2, 1)]],
    ],
)
def test_every_micro_batch_is_counted_once(
    looks: list[list[BatchCounts]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(query, "batch_counts", Scripted.counts)
    monkeypatch.setattr(streaming, "POLL", 0)
    told: list[Counts] = []
    running = RunningQuery(query=Scripted(looks), drain_file=tmp_path)  # type: ignore[arg-type] # enough of it
    counts = watch(running, told.append)
    assert counts == Counts(
        batches=2,
        labelled=3,
        rejected=1,
        from_ledger=1,
        tokens=30,
        cost_micro_usd=3,
        rate=6.0,
        offset=2,
        head=100,
    )
    assert told[-1] == counts


def test_what_was_spent_is_written_for_people() -> None:
    assert spending(47_542, 8_300) == "47,542 tokens, $0.0083"
    assert spending(0, 0, rate=1_234.4) == "1,234 reviews/s, 0 tokens, $0.0000"
