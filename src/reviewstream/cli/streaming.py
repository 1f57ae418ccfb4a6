"""Run the query in the foreground: watch it, and end it in order."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from reviewstream.spark.query import BatchCounts, RunningQuery

POLL: Final = 0.5  # seconds between two checks of the query


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """Counts of the query since its start.

    Attributes:
        from_ledger: Number of the labelled reviews that were paid for before.
        tokens: Paid for, in prompts and completions.
        cost_micro_usd: Cost of these tokens.
        rate: Reviews per second of the last micro-batch.
        offset: Bytes from the start of the file to the next line; None before the first batch.
        head: Bytes from the start of the file to its end, or None if unknown.
    """

    batches: int = 0
    labelled: int = 0
    rejected: int = 0
    from_ledger: int = 0
    tokens: int = 0
    cost_micro_usd: int = 0
    rate: float = 0.0
    offset: int | None = None
    head: int | None = None


def spending(tokens: int, micro_usd: int, *, rate: float = 0.0) -> str:
    """Format tokens and money, and the reviews per second unless they are 0."""
    fast = f"{rate:,.0f} reviews/s, " if rate else ""
    return f"{fast}{tokens:,} tokens, ${micro_usd / 1_000_000:,.4f}"


def watch(
    running: "RunningQuery", tell: Callable[[Counts], None], stop: Event | None = None
) -> Counts:
    """Wait until the query ends, or until `stop` is set and the running batch is done.

    Args:
        running: The query.
        tell: Called regularly with the current counts, and once more at the end.
        stop: Event that requests the query's end.

    Raises:
        ReviewStreamError: The query failed; the message gives the reason in one sentence.
    """
    from pyspark.errors import StreamingQueryException

    from reviewstream.spark.query import await_tasks, drain_and_stop, failure

    tally = _Tally(running)
    try:
        while not running.query.awaitTermination(POLL):  # type: ignore[arg-type] # takes fractions
            tell(tally.count())
            if stop is not None and stop.is_set():
                drain_and_stop(running)
    except StreamingQueryException as err:
        await_tasks(running)
        raise failure(err) from err
    tell(counts := tally.count())
    return counts


class _Tally:
    """Sums the micro-batches, and reads only new ones from Spark."""

    def __init__(self, running: "RunningQuery") -> None:
        self._query = running.query
        self._last: BatchCounts | None = None
        self._before = Counts()  # all batches but the last, which Spark may report again

    def count(self) -> Counts:
        """Return the current counts."""
        from reviewstream.spark.query import batch_counts

        last_id = -1 if self._last is None else self._last.batch_id
        for batch in batch_counts(self._query, after=last_id - 1):
            if batch.batch_id != last_id and self._last is not None:
                self._before = _add(self._before, self._last)
            self._last, last_id = batch, batch.batch_id
        return self._before if self._last is None else _add(self._before, self._last)


def _add(counts: Counts, batch: "BatchCounts") -> Counts:
    return Counts(
        batches=counts.batches + 1,
        labelled=counts.labelled + batch.labelled,
        rejected=counts.rejected + batch.rejected,
        from_ledger=counts.from_ledger + batch.from_ledger,
        tokens=counts.tokens + batch.tokens,
        cost_micro_usd=counts.cost_micro_usd + batch.cost_micro_usd,
        rate=(batch.labelled + batch.rejected) / batch.seconds if batch.seconds else 0.0,
        offset=batch.offset,
        head=batch.head,
    )
