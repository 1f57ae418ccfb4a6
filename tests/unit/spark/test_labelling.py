from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyspark.sql.types import LongType, StructField, StructType

from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.labelling.null_objects import NoLedger, NoLimit
from reviewstream.core.records.reviews import (
    Origin,
    Reason,
    RejectedReview,
    Review,
    Sentiment,
    Stage,
)
from reviewstream.errors import ConfigError, FatalError, PermanentError
from reviewstream.settings import OpenAISettings, Settings
from reviewstream.spark.columns import LABELLED, SOURCE, rows_of, source_batch
from reviewstream.spark.labelling import SLICES, label_batches, label_reviews, labelled_columns
from reviewstream.spark.rows import SourceRow
from reviewstream.testing import FakeChatModel, FakeClock, judging

WHEN = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
POLICY = LabelPolicy(model="fake", pack=3)
POSITIVE = judging(lambda _: Sentiment.POSITIVE)


def review(n: int, text: str = "") -> SourceRow:
    return (
        Review(
            review_id=f"r{n}",
            user_id="u",
            business_id="b",
            stars=4.0,
            text=text or f"text {n}",
            written_at=WHEN,
        ),
        Origin(source="reviews.json", offset=n),
    )


def rejection(n: int) -> SourceRow:
    return RejectedReview(
        stage=Stage.PARSE,
        reason=Reason.NOT_JSON,
        detail="$: no",
        raw=b"{bad",
        origin=Origin(source="reviews.json", offset=n),
        rejected_at=WHEN,
    )


def opener(
    model: FakeChatModel,
) -> Callable[[], AbstractAsyncContextManager[Labeller]]:
    @asynccontextmanager
    async def open_labeller() -> AsyncIterator[Labeller]:
        try:
            yield Labeller(model, NoLedger(), NoLimit(), FakeClock(), POLICY)
        finally:
            await model.aclose()

    return open_labeller


def refuse_bad_texts(request: ChatRequest) -> ChatAnswer | Exception:
    texts = [one["text"] for one in msgspec.json.decode(request.user)["reviews"]]
    return PermanentError("too odd") if "bad" in texts else POSITIVE(request)


@given(
    kinds=st.lists(st.lists(st.sampled_from(["good", "bad", "rejected"]), max_size=7), max_size=5),
    size=st.integers(1, 9),
)
def test_every_row_comes_back_once_and_in_order_with_its_outcome(
    kinds: list[list[str]], size: int
) -> None:
    numbers = iter(range(1000))
    batches = [
        source_batch(
            rejection(n) if kind == "rejected" else review(n, "bad" if kind == "bad" else "")
            for kind, n in ((kind, next(numbers)) for kind in batch)
        )
        for batch in kinds
    ]
    labelled = list(label_batches(opener(FakeChatModel(refuse_bad_texts)), size, batches))
    rows = [row for batch in labelled for row in rows_of(batch, LABELLED)]
    flat = [kind for batch in kinds for kind in batch]
    assert [row["origin"]["offset"] for row in rows] == list(range(len(flat)))
    for kind, row in zip(flat, rows, strict=True):
        assert row["sentiment"] == ("POSITIVE" if kind == "good" else None)
        assert (row["provenance"] is None) == (kind != "good")
        assert (row["rejection"] or {}).get("stage") == {"rejected": "PARSE", "bad": "LABEL"}.get(
            kind
        )
        assert (row["review_id"] is None) == (kind == "rejected")


def test_other_columns_stay_as_they_are() -> None:
    batch = source_batch([review(1), rejection(2)]).append_column("mine", pa.array([7, 8]))
    [labelled] = label_batches(opener(FakeChatModel()), 10, [batch])
    given_columns = StructType([*SOURCE.fields, StructField("mine", LongType())])
    assert labelled.schema.names == labelled_columns(given_columns).names
    assert labelled["mine"].to_pylist() == [7, 8]


def test_the_label_stands_before_the_origin() -> None:
    assert labelled_columns(SOURCE) == LABELLED


def test_times_keep_their_instant_in_any_zone() -> None:
    batch = source_batch([review(1)])
    zone = pa.timestamp("us", tz="America/New_York")
    place = batch.schema.get_field_index("written_at")
    elsewhere = batch.set_column(place, "written_at", batch["written_at"].cast(zone))
    [labelled] = label_batches(opener(FakeChatModel()), 10, [elsewhere])
    assert rows_of(labelled, LABELLED)[0]["written_at"] == WHEN


def test_many_requests_are_in_flight() -> None:
    model = FakeChatModel()
    list(label_batches(opener(model), 100, [source_batch(review(n) for n in range(100))]))
    assert model.peak == POLICY.concurrency


def test_a_stop_ends_the_task_and_closes_the_model() -> None:
    model = FakeChatModel(lambda _: FatalError("no money"))
    with pytest.raises(FatalError, match="no money"):
        list(label_batches(opener(model), 10, [source_batch([review(1)])]))
    assert model.closed


def test_slices_overlap_so_that_none_waits_for_the_slowest_of_another() -> None:
    model = FakeChatModel()
    list(label_batches(opener(model), 3, [source_batch(review(n) for n in range(30))]))
    assert model.peak == SLICES


def test_a_consumer_that_wants_no_more_ends_the_questions() -> None:
    model = FakeChatModel()
    rows = [source_batch(review(n) for n in range(1000))]
    labelled = label_batches(opener(model), 10, rows)
    next(labelled)
    del labelled  # as Spark does with a task that has enough rows
    assert len(model.requests) <= SLICES * 10
    assert model.closed


def test_a_missing_column_is_named() -> None:
    fewer = StructType([f for f in SOURCE if f.name != "stars"])
    with pytest.raises(ConfigError, match=r"label_reviews: no column stars; it takes"):
        labelled_columns(fewer)


def test_labels_are_never_overwritten() -> None:
    with pytest.raises(ConfigError, match="column sentiment is there already; rename it first"):
        labelled_columns(LABELLED)


def test_an_unknown_prompt_is_an_error_before_any_task() -> None:
    settings = Settings.model_construct(openai=OpenAISettings(prompt_version=99))
    with pytest.raises(ConfigError, match=r"prompt_version .* is 99: there are 1, 2"):
        label_reviews(settings)


@pytest.mark.parametrize("name", ["text", "stars", "written_at", "review_id", "origin"])
def test_a_null_in_a_column_is_one_sentence_that_names_it(name: str) -> None:
    batch = source_batch([review(1)])
    at = batch.schema.get_field_index(name)
    null = pa.nulls(1, batch.schema.field(at).type)
    other = batch.set_column(at, batch.schema.field(at), null)
    with pytest.raises(PermanentError, match=rf"^column {name} is null in the row of review"):
        list(label_batches(opener(FakeChatModel(POSITIVE)), 10, [other]))


@pytest.mark.parametrize(
    ("name", "value", "wanted"),
    [
        ("written_at", "yesterday", "timestamp"),
        ("stars", [4.0], "double"),
        ("text", {"a": 1}, "string"),
    ],
)
def test_a_column_of_another_type_is_one_sentence_that_names_it(
    name: str, value: object, wanted: str
) -> None:
    batch = source_batch([review(1)])
    other = batch.set_column(batch.schema.get_field_index(name), name, pa.array([value]))
    with pytest.raises(PermanentError, match=rf"^column {name} .* cannot be read as {wanted}"):
        list(label_batches(opener(FakeChatModel(POSITIVE)), 10, [other]))
