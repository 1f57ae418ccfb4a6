from datetime import UTC, datetime

import msgspec
import pyarrow as pa
from pyspark.sql.pandas.types import to_arrow_schema

from reviewstream.core.records.reviews import (
    LabelledReview,
    Origin,
    Provenance,
    RejectedReview,
    Review,
)
from reviewstream.spark.columns import (
    LABELLED,
    ORIGIN,
    PROVENANCE,
    REJECTION,
    REVIEW,
    SOURCE,
    arrow_type,
    column,
    missing,
)


def test_arrow_types_are_those_that_spark_demands_of_a_source() -> None:
    for columns in (SOURCE, LABELLED):
        ours = [pa.field(f.name, arrow_type(f.dataType), f.nullable) for f in columns]
        assert pa.schema(ours) == to_arrow_schema(columns, timezone="UTC")


def test_columns_are_the_fields_of_the_records() -> None:
    assert tuple(REVIEW.names) == Review.__struct_fields__
    assert tuple(ORIGIN.names) == Origin.__struct_fields__
    assert tuple(PROVENANCE.names) == Provenance.__struct_fields__
    rejected = [name for name in RejectedReview.__struct_fields__ if name != "origin"]
    assert REJECTION.names == rejected
    assert [n for n in LABELLED.names if n != "rejection"] == list(LabelledReview.__struct_fields__)


def test_no_provenance_is_lost_on_the_way_to_a_column() -> None:
    provenance = Provenance(
        model="m",
        prompt_version=1,
        generation=2,
        request_id=None,
        attempts=3,
        prompt_tokens=4,
        completion_tokens=5,
        cost_micro_usd=1 << 40,
        from_ledger=True,
        truncated=True,
        labelled_at=datetime(2026, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
    )
    [found, nothing] = column([provenance, None], PROVENANCE).to_pylist()
    assert msgspec.convert(found, Provenance) == provenance
    assert nothing is None


def test_missing_columns_are_named_in_the_order_they_are_wanted() -> None:
    assert missing(SOURCE, ["stars", "origin", "mine"])[:2] == ["review_id", "user_id"]
