"""Runs the query in the foreground: watches it, and ends it in order."""

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final

from reviewstream.errors import PermanentError

if TYPE_CHECKING:
    from reviewstream.spark.query import RunningQuery

POLL: Final = 0.5  # seconds between two looks at the query


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What the query has done since it was started.

    Attributes:
        offset: Bytes from the start of the file to the next line; None before the first batch.
        head: Bytes from the start of the file to the end of what there is, if that is known.
    """

    batches: int = 0
    labelled: int = 0
    rejected: int = 0
    offset: int | None = None
    head: int | None = None


def watch(
    running: "RunningQuery", tell: Callable[[Counts], None], stop: Event | None = None
) -> Counts:
    """Wait until the query ends by itself, or until `stop` is set and the batch is done.

    Args:
        running: The query.
        tell: Called now and then with the counts so far, and once more at the end.
        stop: Set by whoever wants the query to end.

    Raises:
        PermanentError: The query failed; the message says why in one sentence.
    """
    from pyspark.errors import StreamingQueryException

    from reviewstream.spark.query import drain_and_stop, failure_sentence

    try:
        while not running.query.awaitTermination(POLL):  # type: ignore[arg-type] # takes fractions
            tell(count(running))
            if stop is not None and stop.is_set():
                drain_and_stop(running)
    except StreamingQueryException as err:
        raise PermanentError(failure_sentence(err)) from err
    tell(counts := count(running))
    return counts


def count(running: "RunningQuery") -> Counts:
    """Return the counts so far."""
    from reviewstream.spark.query import batch_counts

    batches = batch_counts(running.query)
    last = batches[-1] if batches else None
    return Counts(
        batches=len(batches),
        labelled=sum(batch.labelled for batch in batches),
        rejected=sum(batch.rejected for batch in batches),
        offset=last.offset if last else None,
        head=last.head if last else None,
    )
