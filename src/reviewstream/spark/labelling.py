"""`label_reviews`: a transform that adds a sentiment to every review of a DataFrame."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa
from msgspec import structs
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from reviewstream import app
from reviewstream.core.labelling.labeller import Labeller
from reviewstream.core.records.reviews import LabelledReview, Origin, RejectedReview, Review
from reviewstream.errors import ConfigError, PermanentError
from reviewstream.settings import LedgerSettings, LimitsSettings, OpenAISettings, Settings
from reviewstream.spark.columns import LABEL, REJECTION, SOURCE, column, missing, rows_of
from reviewstream.spark.properties import QUERY_ID, RUN_ID

OpenLabeller: TypeAlias = Callable[[], AbstractAsyncContextManager[Labeller]]
Outcome: TypeAlias = LabelledReview | RejectedReview | None

SLICES = 3  # in progress at once: while one waits for its slowest request, the others use the slots


def label_reviews(settings: Settings) -> Callable[[DataFrame], DataFrame]:
    """Return a transform that labels reviews: `reviews.transform(label_reviews(settings))`.

    The DataFrame has the columns of `format("reviews")`; other columns are kept unchanged. A row
    with a rejection passes through; a review that cannot be labelled gets a rejection. The order
    of rows in a partition is kept. Works on batch and streaming DataFrames.

    Args:
        settings: Only `openai`, `ledger` and `limits` are used, and sent to Spark's workers.

    Returns:
        A function that adds the columns `sentiment`, `confidence` and `provenance`.

    Raises:
        ConfigError: The prompt version or dialect is unknown, or a budget is set without a price;
            (from the function) a column is missing, or a label column exists.
    """
    # Checked here, because a task would raise it as a traceback; and tasks need no price list.
    openai = app.priced(settings.openai)
    app.label_policy(openai)
    app.limit_key(openai, settings.limits)
    return partial(_label, openai, settings.ledger, settings.limits)


def _label(
    settings: OpenAISettings, ledger: LedgerSettings, limits: LimitsSettings, reviews: DataFrame
) -> DataFrame:
    columns = labelled_columns(reviews.schema)
    shared = app.absolute(ledger, limits)
    open_labeller = partial(open_in_task, settings, *shared)
    size = settings.pack * settings.concurrency
    return reviews.mapInArrow(partial(label_batches, open_labeller, size), columns)


def open_in_task(
    settings: OpenAISettings, ledger: LedgerSettings, limits: LimitsSettings
) -> AbstractAsyncContextManager[Labeller]:
    """Return a labeller for the current Spark task."""
    return app.open_labeller(settings, ledger, limits, run=current_run())


def current_run() -> str:
    """Return Spark's id of this start of a streaming query; empty in a batch query.

    A batch query has no such id: its job group, if set, may be the same in the next run.
    """
    context = TaskContext.get()
    if context is None or context.getLocalProperty(QUERY_ID) is None:
        return ""
    return context.getLocalProperty(RUN_ID) or ""


def labelled_columns(given: StructType) -> StructType:
    """Return the columns after labelling: the given ones, with the label before `origin`.

    Raises:
        ConfigError: A column is missing, or a label column exists.
    """
    if absent := missing(SOURCE, given.names):
        raise ConfigError(
            f"label_reviews: no column {', '.join(absent)}; it takes the columns of "
            f'format("reviews"): {", ".join(SOURCE.names)}'
        )
    if present := [name for name in LABEL.names if name in given.names]:
        raise ConfigError(f"label_reviews: column {present[0]} is there already; rename it first")
    place = given.names.index("origin")
    # In rows stored by an earlier version the rejection has fewer fields.
    fields = [SOURCE[one.name] if one.name == "rejection" else one for one in given.fields]
    return StructType([*fields[:place], *LABEL.fields, *fields[place:]])


def label_batches(
    open_labeller: OpenLabeller, size: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Label the rows of one task, in order.

    Args:
        open_labeller: Called once, in this task.
        size: Maximum number of rows given to the labeller at once.
        batches: The rows.
    """
    with asyncio.Runner() as runner:
        context = AsyncExitStack()
        labeller = runner.run(context.enter_async_context(open_labeller()))
        begun: deque[tuple[pa.RecordBatch, asyncio.Task[list[Outcome]]]] = deque()
        try:
            for part in slices(batches, size):
                begun.append((part, runner.get_loop().create_task(label_rows(labeller, part))))
                if len(begun) == SLICES:
                    yield _finished(runner, *begun.popleft())
            while begun:
                yield _finished(runner, *begun.popleft())
        finally:
            labeller.end()
            runner.run(_ended([task for _, task in begun]))
            runner.run(context.aclose())


def slices(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.RecordBatch]:
    """Split batches into parts of at most `size` rows."""
    for batch in batches:
        for start in range(0, batch.num_rows, size):
            yield batch.slice(start, size)


def _finished(
    runner: asyncio.Runner, part: pa.RecordBatch, task: asyncio.Task[list[Outcome]]
) -> pa.RecordBatch:
    return with_outcomes(part, runner.run(asyncio.wait_for(task, None)))


async def _ended(tasks: Sequence[asyncio.Task[list[Outcome]]]) -> None:
    """Wait for slices with unneeded results, after a failure or a `LIMIT`."""
    await asyncio.gather(*tasks, return_exceptions=True)


async def label_rows(labeller: Labeller, batch: pa.RecordBatch) -> list[Outcome]:
    """Return the outcome of each row; None for a row that has a rejection."""
    rows = rows_of(batch, SOURCE)
    waiting = [to_review(row) for row in rows if row["rejection"] is None]
    outcomes = iter(await labeller.label(waiting))
    return [None if row["rejection"] is not None else next(outcomes) for row in rows]


def with_outcomes(batch: pa.RecordBatch, outcomes: Sequence[Outcome]) -> pa.RecordBatch:
    """Return the batch with the columns of the label and the new rejections."""
    labels = [each if isinstance(each, LabelledReview) else None for each in outcomes]
    fresh = [each if isinstance(each, RejectedReview) else None for each in outcomes]
    before = rows_of(batch, StructType([SOURCE["rejection"]]))
    rejections = [
        row["rejection"] if new is None else structs.asdict(new)
        for row, new in zip(before, fresh, strict=True)
    ]
    columns: dict[str, pa.Array[Any]] = {}
    for name in batch.schema.names:
        if name == "origin":
            for field in LABEL:
                values = [getattr(label, field.name, None) for label in labels]
                columns[field.name] = column(values, field.dataType)
        columns[name] = column(rejections, REJECTION) if name == "rejection" else batch[name]
    return pa.RecordBatch.from_arrays(list(columns.values()), names=list(columns))


def to_review(row: dict[str, Any]) -> tuple[Review, Origin]:
    """Return the review of a row without a rejection.

    Raises:
        PermanentError: A column is null; the message names it.
    """
    fields = {name: row[name] for name in (*Review.__struct_fields__, "origin")}
    if null := [name for name, value in fields.items() if value is None]:
        raise PermanentError(
            f"column {null[0]} is null in the row of review {row['review_id']!r}, which has no"
            f" rejection: leave such rows out, as by .filter(col('{null[0]}').isNotNull())"
        )
    del fields["origin"]
    return Review(**fields), Origin(**row["origin"])
