"""Records survive the way to bytes and back; what are no records is refused, in one way only."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer, AvroSerializer
from confluent_kafka.serialization import MessageField, SerializationContext
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.delivery.avro import (
    AvroCodec,
    AvroDecodeError,
    AvroEncodeError,
    labelled_of_avro,
    labelled_of_row,
    rejected_of_avro,
    rejected_of_row,
    schema_id_of,
    to_avro,
)
from reviewstream.core.records.reviews import (
    LabelledReview,
    Origin,
    Provenance,
    Reason,
    RejectedReview,
    Sentiment,
    Stage,
)
from reviewstream.core.schemas.schema_files import schema_text

LABELLED = AvroCodec(schema_text("labelled_review"))
REJECTED = AvroCodec(schema_text("rejected_review"))

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
ints = st.integers(0, 2**31 - 1)
longs = st.integers(0, 2**63 - 1)
moments = st.datetimes(
    datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC)
).map(lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000))
origins = st.builds(Origin, source=texts, offset=longs)
provenances = st.builds(
    Provenance,
    model=texts,
    prompt_version=ints,
    generation=st.integers(0, 999),
    request_id=st.none() | texts,
    attempts=ints,
    prompt_tokens=ints,
    completion_tokens=ints,
    cost_micro_usd=longs,
    from_ledger=st.booleans(),
    truncated=st.booleans(),
    labelled_at=moments,
)
labelled_reviews = st.builds(
    LabelledReview,
    review_id=texts,
    user_id=texts,
    business_id=texts,
    stars=st.floats(1, 5),
    useful=longs,
    funny=longs,
    cool=longs,
    text=texts,
    written_at=moments,
    sentiment=st.sampled_from(Sentiment),
    confidence=st.none() | st.floats(0, 1),
    provenance=provenances,
    origin=origins,
)
rejected_reviews = st.builds(
    RejectedReview,
    stage=st.sampled_from(Stage),
    reason=st.sampled_from(Reason),
    detail=texts,
    raw=st.binary(max_size=60),
    origin=origins,
    attempts=ints,
    prompt_tokens=ints,
    completion_tokens=ints,
    cost_micro_usd=longs,
    rejected_at=moments,
)
REVIEW = LabelledReview(
    review_id="r1",
    user_id="u1",
    business_id="b1",
    stars=4.0,
    text="Café 🍰",
    written_at=datetime(2018, 7, 7, 22, 9, 11, tzinfo=UTC),
    sentiment=Sentiment.POSITIVE,
    provenance=Provenance(
        model="m", prompt_version=1, labelled_at=datetime(2026, 1, 1, tzinfo=UTC)
    ),
    origin=Origin(source="reviews.json", offset=0),
)


@given(labelled_reviews, st.integers(0, 2**31 - 1))
def test_a_labelled_review_survives_the_way_there_and_back(
    review: LabelledReview, schema_id: int
) -> None:
    data = LABELLED.encode(to_avro(review), schema_id)
    found, fields = LABELLED.decode(data)
    assert (found, labelled_of_avro(fields)) == (schema_id, review)


@given(rejected_reviews)
def test_a_rejected_review_survives_the_way_there_and_back(review: RejectedReview) -> None:
    assert rejected_of_avro(REJECTED.decode(REJECTED.encode(to_avro(review), 1))[1]) == review


@pytest.fixture(scope="module")
def serializer() -> AvroSerializer:
    registry = SchemaRegistryClient.new_client({"url": "mock://bytes"})
    serializer: AvroSerializer = AvroSerializer(registry, schema_text("labelled_review"))
    return serializer


@given(review=labelled_reviews)
def test_the_bytes_are_those_of_confluents_serializer(
    serializer: AvroSerializer, review: LabelledReview
) -> None:
    context = SerializationContext("reviews.labelled", MessageField.VALUE)
    theirs = serializer(to_avro(review), context)
    assert theirs is not None
    assert LABELLED.encode(to_avro(review), schema_id_of(theirs)) == theirs


def test_confluents_deserializer_reads_our_bytes() -> None:
    registry = SchemaRegistryClient.new_client({"url": "mock://reads"})
    context = SerializationContext("reviews.labelled", MessageField.VALUE)
    serializer = AvroSerializer(registry, schema_text("labelled_review"))
    known = serializer(to_avro(REVIEW), context)
    assert known is not None
    data = LABELLED.encode(to_avro(REVIEW), schema_id_of(known))
    assert AvroDeserializer(registry)(data, context) == to_avro(REVIEW)


def test_the_header_is_a_zero_byte_and_the_schemas_id_in_network_order() -> None:
    assert LABELLED.encode(to_avro(REVIEW), 0x01020304)[:5] == bytes([0, 1, 2, 3, 4])


@given(st.binary(max_size=200))
@example(b"")
@example(b"\0\0\0\0\1")
@example(b"\0\0\0\0\1" + b"\x01" * 60)  # strings of negative length
@example(b"\0\0\0\0\1" + b"\xff" * 60)  # numbers that never end
@example(b"\0\0\0\0\1" + b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01")  # a string of 2**63 bytes
@example(b"\0\0\0\0\1\x02\xff")  # a string that is not UTF-8
def test_what_is_no_record_is_refused_in_one_way_only(data: bytes) -> None:
    for codec in (LABELLED, REJECTED):
        with pytest.raises(AvroDecodeError):
            codec.decode(data)


def test_what_the_decoder_said_is_told() -> None:
    with pytest.raises(AvroDecodeError, match=r"^not a LabelledReview: EOFError: "):
        LABELLED.decode(b"\0\0\0\0\1")


def test_a_text_is_never_taken_for_a_time() -> None:
    for convert, fields, name in (
        (labelled_of_avro, to_avro(REVIEW), "written_at"),
        (rejected_of_avro, _rejected_fields(), "rejected_at"),
    ):
        convert(fields)
        with pytest.raises(msgspec.ValidationError, match=rf"got `str` - at `\$\.{name}`"):
            convert({**fields, name: "2018-07-07T22:09:11Z"})


@given(rejected_reviews, st.data())
def test_a_damaged_record_is_decoded_or_refused(review: RejectedReview, data: Any) -> None:
    damaged = bytearray(REJECTED.encode(to_avro(review), 1))
    at = data.draw(st.integers(5, len(damaged) - 1))
    damaged[at] = data.draw(st.integers(0, 255))
    with suppress(AvroDecodeError):
        REJECTED.decode(bytes(damaged))


@given(labelled_reviews)
def test_a_record_cut_short_or_with_a_tail_is_refused(review: LabelledReview) -> None:
    data = LABELLED.encode(to_avro(review), 1)
    with pytest.raises(AvroDecodeError):
        LABELLED.decode(data[:-1])
    with pytest.raises(AvroDecodeError, match="1 bytes are left over"):
        LABELLED.decode(data + b"\0")


def test_an_unknown_magic_byte_is_named() -> None:
    with pytest.raises(AvroDecodeError, match="unknown magic byte 0x7b"):
        LABELLED.decode(b'{"review_id": 1}')


def test_what_is_too_short_for_a_header_is_measured() -> None:
    with pytest.raises(AvroDecodeError, match=r"^4 bytes, too short for Confluent's header of 5$"):
        LABELLED.decode(bytes(4))
    assert schema_id_of(bytes(5)) == 0


def test_a_time_that_no_calendar_has_is_refused() -> None:
    later = json.loads(schema_text("rejected_review"))
    later["fields"][-1]["type"] = "long"
    codec = AvroCodec(json.dumps(later))
    fields = {**_rejected_fields(), "rejected_at": 2**62}
    with pytest.raises(AvroDecodeError, match="RejectedReview"):
        REJECTED.decode(codec.encode(fields, 1))


def test_a_schema_that_is_no_record_gives_no_record() -> None:
    codec = AvroCodec('{"type": "fixed", "name": "Two", "size": 2}')
    with pytest.raises(AvroDecodeError, match="not a Two: a bytes"):
        codec.decode(b"\0\0\0\0\1ab")


def test_a_record_of_a_newer_schema_is_read_with_todays() -> None:
    newer = json.loads(schema_text("rejected_review"))
    newer["fields"].append({"name": "line", "type": "long", "default": 0})
    newer["fields"][1]["type"]["symbols"].append("TOO_SILLY")
    writer = json.dumps(newer)
    fields = {**_rejected_fields(), "reason": "TOO_SILLY", "line": 7}
    data = AvroCodec(writer).encode(fields, 3)
    _, record = REJECTED.decode(data, writer=writer)
    assert rejected_of_avro(record).reason is Reason.OTHER


@pytest.mark.parametrize(
    "writer",
    [
        pytest.param('{"type": "object", "properties": {}}', id="json-schema"),
        pytest.param('syntax = "proto3"; message Review {}', id="protobuf"),
        pytest.param(
            '{"type": "record", "name": "R", "fields": [{"name": "a", "type": "b.C"}]}',
            id="reference",
        ),
        pytest.param('{"type": "record", "name": "R", "fields": [{"name": "a"}]}', id="no-type"),
        pytest.param('{"type": "record", "name": "R"}', id="no-fields"),
        pytest.param("", id="empty"),
        pytest.param("5", id="number"),
        pytest.param("[" * 100_000, id="deep"),
    ],
)
def test_a_schema_that_is_not_avro_s_is_refused_like_bytes(writer: str) -> None:
    with pytest.raises(AvroDecodeError, match="not a LabelledReview: "):
        LABELLED.decode(LABELLED.encode(to_avro(REVIEW), 1), writer=writer)


NODE = {"type": "record", "name": "N", "fields": [{"name": "next", "type": ["null", "N"]}]}


@pytest.mark.parametrize(
    "kind",
    [NODE, {"type": "array", "items": "null"}, {"type": "map", "values": "int"}],
    ids=["recursive", "array", "map"],
)
def test_a_schema_by_which_a_record_may_never_end_is_refused(kind: Any) -> None:
    newer = json.loads(schema_text("rejected_review"))
    newer["fields"].insert(0, {"name": "extra", "type": kind})
    data = REJECTED.encode(_rejected_fields(), 1)
    with pytest.raises(AvroDecodeError, match="has an array, a map or a type by its name"):
        # The byte says that there is no next one, and that there are no items.
        REJECTED.decode(data[:5] + b"\0" + data[5:], writer=json.dumps(newer))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("review_id", 7),
        ("review_id", None),
        ("text", "\ud800"),
        ("useful", 2**64),
        ("written_at", "today"),
        ("sentiment", "MIXED"),
        ("provenance", None),
    ],
)
def test_a_record_that_does_not_fit_is_refused(field: str, value: object) -> None:
    with pytest.raises(AvroEncodeError, match="not a LabelledReview"):
        LABELLED.encode({**to_avro(REVIEW), field: value}, 1)


@pytest.mark.parametrize("naive", [True, False])
def test_a_row_of_spark_becomes_the_same_bytes_as_its_record(*, naive: bool) -> None:
    fields = to_avro(REVIEW)
    row = {**fields, "rejection": None}
    if naive:
        row["written_at"] = REVIEW.written_at.replace(tzinfo=None)
        row["provenance"] = {
            **fields["provenance"],
            "labelled_at": REVIEW.provenance.labelled_at.replace(tzinfo=None),
        }
    assert LABELLED.encode(labelled_of_row(row), 1) == LABELLED.encode(fields, 1)


NAIVE = datetime(2026, 1, 2)
AWARE = NAIVE.replace(tzinfo=UTC)


def test_a_row_of_spark_means_utc_wherever_it_is_read() -> None:
    row = {"text": "fine", "written_at": NAIVE, "provenance": {"model": "m", "labelled_at": NAIVE}}
    provenance = {"model": "m", "labelled_at": AWARE}
    assert labelled_of_row(row) == {"text": "fine", "written_at": AWARE, "provenance": provenance}


def test_a_rejected_row_of_spark_means_utc_wherever_it_is_read() -> None:
    row = {"origin": {"offset": 3}, "rejection": {"raw": b"{", "rejected_at": NAIVE}}
    assert rejected_of_row(row) == {"raw": b"{", "rejected_at": AWARE, "origin": {"offset": 3}}


def test_a_time_of_another_zone_is_the_same_moment() -> None:
    there = REVIEW.written_at.astimezone(timezone(timedelta(hours=9)))
    row = {**to_avro(REVIEW), "written_at": there}
    assert LABELLED.encode(labelled_of_row(row), 1) == LABELLED.encode(to_avro(REVIEW), 1)


def test_a_rejected_row_of_spark_becomes_the_same_bytes_as_its_record() -> None:
    fields = _rejected_fields()
    row = {
        "review_id": None,
        "origin": fields["origin"],
        "rejection": {
            **{name: value for name, value in fields.items() if name != "origin"},
            "rejected_at": fields["rejected_at"].replace(tzinfo=None),
        },
    }
    assert REJECTED.encode(rejected_of_row(row), 1) == REJECTED.encode(fields, 1)


def test_a_rejected_row_from_before_cost_was_kept_cost_nothing() -> None:
    fields = _rejected_fields()
    unknown = dict.fromkeys(("prompt_tokens", "completion_tokens", "cost_micro_usd"))
    row = {"origin": fields["origin"], "rejection": {**fields, **unknown}}
    assert REJECTED.encode(rejected_of_row(row), 1) == REJECTED.encode(fields, 1)


def test_a_rejected_row_without_what_it_must_have_is_refused() -> None:
    fields = _rejected_fields()
    row = {"origin": fields["origin"], "rejection": {**fields, "detail": None}}
    with pytest.raises(AvroEncodeError, match="detail"):
        REJECTED.encode(rejected_of_row(row), 1)


def _rejected_fields() -> dict[str, Any]:
    return to_avro(
        RejectedReview(
            stage=Stage.PARSE,
            reason=Reason.NOT_JSON,
            detail="$: no",
            raw=b"{",
            origin=Origin(source="s", offset=3),
            rejected_at=datetime(2026, 1, 1, tzinfo=UTC),
        )
    )
