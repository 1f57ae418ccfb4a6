"""The columns of our DataFrames, for Spark and for Arrow, and the conversion of records."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

import pyarrow as pa
from msgspec import Struct, structs
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from reviewstream.core.records.reviews import Origin, RejectedReview, Review
from reviewstream.errors import PermanentError


def _struct(**fields: DataType) -> StructType:
    return StructType([StructField(name, of_type) for name, of_type in fields.items()])


REVIEW: Final = _struct(
    review_id=StringType(),
    user_id=StringType(),
    business_id=StringType(),
    stars=DoubleType(),
    useful=LongType(),
    funny=LongType(),
    cool=LongType(),
    text=StringType(),
    written_at=TimestampType(),
)
ORIGIN: Final = _struct(source=StringType(), offset=LongType())
REJECTION: Final = _struct(
    stage=StringType(),
    reason=StringType(),
    detail=StringType(),
    raw=BinaryType(),
    attempts=IntegerType(),
    prompt_tokens=IntegerType(),
    completion_tokens=IntegerType(),
    cost_micro_usd=LongType(),
    rejected_at=TimestampType(),
)
PROVENANCE: Final = _struct(
    model=StringType(),
    prompt_version=IntegerType(),
    generation=IntegerType(),
    request_id=StringType(),
    attempts=IntegerType(),
    prompt_tokens=IntegerType(),
    completion_tokens=IntegerType(),
    cost_micro_usd=LongType(),
    from_ledger=BooleanType(),
    truncated=BooleanType(),
    labelled_at=TimestampType(),
)
LABEL: Final = _struct(sentiment=StringType(), confidence=DoubleType(), provenance=PROVENANCE)

_END: Final = _struct(origin=ORIGIN, rejection=REJECTION)
SOURCE: Final = StructType([*REVIEW, *_END])
LABELLED: Final = StructType([*REVIEW, *LABEL, *_END])

_ARROW: Final[dict[type[DataType], pa.DataType]] = {
    BinaryType: pa.binary(),
    BooleanType: pa.bool_(),
    DoubleType: pa.float64(),
    IntegerType: pa.int32(),
    LongType: pa.int64(),
    StringType: pa.string(),
    TimestampType: pa.timestamp("us", tz="UTC"),
}


def arrow_type(of_type: DataType) -> pa.DataType:
    """Return the Arrow type that Spark expects for one of our types."""
    if isinstance(of_type, StructType):
        return pa.struct([pa.field(f.name, arrow_type(f.dataType), f.nullable) for f in of_type])
    return _ARROW[type(of_type)]


def column(values: Sequence[Any], of_type: DataType) -> "pa.Array[Any]":
    """Return values, each of which may be None, as a column; records become structs."""
    plain = [structs.asdict(value) if isinstance(value, Struct) else value for value in values]
    return pa.array(plain, type=arrow_type(of_type))


def source_batch(rows: Iterable[tuple[Review, Origin] | RejectedReview]) -> pa.RecordBatch:
    """Return the rows of `format("reviews")`."""
    reviews: list[Review | None] = []
    origins: list[Origin] = []
    rejections: list[RejectedReview | None] = []
    for row in rows:
        review, origin, rejection = (
            (None, row.origin, row) if isinstance(row, RejectedReview) else (*row, None)
        )
        reviews.append(review)
        origins.append(origin)
        rejections.append(rejection)
    columns = [column([getattr(r, f.name, None) for r in reviews], f.dataType) for f in REVIEW]
    columns += [column(origins, ORIGIN), column(rejections, REJECTION)]
    return pa.RecordBatch.from_arrays(columns, schema=_arrow_schema(SOURCE))


def rows_of(batch: pa.RecordBatch, columns: StructType) -> list[dict[str, Any]]:
    """Return some columns of a batch as dictionaries, with all times in UTC.

    Spark passes times in the session's zone, which may not be able to represent the year 1 or
    9999; a cast to UTC changes only the zone's name.

    Raises:
        PermanentError: A column has values of another type; the message names it.
    """
    chosen = [_cast(batch, field) for field in columns]
    return pa.RecordBatch.from_arrays(chosen, names=columns.fieldNames()).to_pylist()


def _cast(batch: pa.RecordBatch, field: StructField) -> "pa.Array[Any]":
    given, wanted = batch.column(field.name), field.dataType.simpleString()
    try:
        return given.cast(arrow_type(field.dataType))
    except pa.ArrowException as err:
        raise PermanentError(
            f"column {field.name} is of type {given.type}, and cannot be read as {wanted} ({err}):"
            f" cast it, as by .withColumn('{field.name}', col('{field.name}').cast('{wanted}'))"
        ) from err


def missing(wanted: StructType, given: Iterable[str]) -> list[str]:
    """Return the names of wanted columns that are missing."""
    names = set(given)
    return [name for name in wanted.fieldNames() if name not in names]


def _arrow_schema(columns: StructType) -> pa.Schema:
    return pa.schema([pa.field(f.name, arrow_type(f.dataType), f.nullable) for f in columns])
