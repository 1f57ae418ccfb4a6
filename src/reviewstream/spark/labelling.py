"""`label_reviews`: a transform that gives every review of a DataFrame its sentiment."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from functools import partial
from typing import Any, TypeAlias

import pyarrow as pa
from msgspec import structs
from pyspark.sql import DataFrame
from pyspark.sql.types import StructType

from reviewstream.core.records import LabelledReview, Origin, RejectedReview, Review
from reviewstream.errors import ConfigError
from reviewstream.pipeline.labelling import Labeller
from reviewstream.settings import LedgerSettings, OpenAISettings, Settings
from reviewstream.spark.columns import LABEL, REJECTION, SOURCE, column, missing, rows_of
from reviewstream.spark.wiring import wiring

OpenLabeller: TypeAlias = Callable[[], AbstractAsyncContextManager[Labeller]]
Outcome: TypeAlias = LabelledReview | RejectedReview | None

SLICE = 16  # reviews for each request in flight: the wait for a slice's slowest is shared by many


def label_reviews(settings: Settings) -> Callable[[DataFrame], DataFrame]:
    """Return a transform that labels reviews: `reviews.transform(label_reviews(settings))`.

    The DataFrame has the columns of `format("reviews")`, and any others, which stay as they are.
    A row that has a rejection already passes through; a review that cannot be labelled gets one.
    The order of rows in a partition stays. Works on batch and streaming DataFrames alike.

    Args:
        settings: Of them `openai` and `ledger` are used, and shipped to Spark's workers.

    Returns:
        A function that adds the columns `sentiment`, `confidence` and `provenance`.

    Raises:
        ConfigError: (from the function) a column is missing, or there is a label already.
    """
    return partial(_label, settings.openai, settings.ledger)


def _label(settings: OpenAISettings, ledger: LedgerSettings, reviews: DataFrame) -> DataFrame:
    columns = labelled_columns(reviews.schema)
    open_labeller = partial(wiring().open_labeller, settings, wiring().located(ledger))
    size = SLICE * settings.concurrency
    return reviews.mapInArrow(partial(label_batches, open_labeller, size), columns)


def labelled_columns(given: StructType) -> StructType:
    """Return the columns after labelling: the given ones, with the label before `origin`.

    Raises:
        ConfigError: A column is missing, or there is a label already.
    """
    if absent := missing(SOURCE, given.names):
        raise ConfigError(
            f"label_reviews: no column {', '.join(absent)}; it takes the columns of "
            f'format("reviews"): {", ".join(SOURCE.names)}'
        )
    if present := [name for name in LABEL.names if name in given.names]:
        raise ConfigError(f"label_reviews: column {present[0]} is there already; rename it first")
    place = given.names.index("origin")
    return StructType([*given.fields[:place], *LABEL.fields, *given.fields[place:]])


def label_batches(
    open_labeller: OpenLabeller, size: int, batches: Iterable[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Label one task's rows, `size` at a time."""
    with asyncio.Runner() as runner:
        context = AsyncExitStack()
        labeller = runner.run(context.enter_async_context(open_labeller()))
        try:
            for batch in batches:
                for start in range(0, batch.num_rows, size):
                    part = batch.slice(start, size)
                    yield with_outcomes(part, runner.run(label_rows(labeller, part)))
        finally:
            runner.run(context.aclose())


async def label_rows(labeller: Labeller, batch: pa.RecordBatch) -> list[Outcome]:
    """Return the outcome of each row, None where it was rejected before."""
    rows = rows_of(batch, SOURCE)
    waiting = [to_review(row) for row in rows if row["rejection"] is None]
    outcomes = iter(await labeller.label(waiting))
    return [None if row["rejection"] is not None else next(outcomes) for row in rows]


def with_outcomes(batch: pa.RecordBatch, outcomes: Sequence[Outcome]) -> pa.RecordBatch:
    """Return the batch with the columns of the label, and with the new rejections."""
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
    """Return the review of a row that has no rejection."""
    fields = {name: row[name] for name in Review.__struct_fields__}
    return Review(**fields), Origin(**row["origin"])
