"""What is accepted, and what is said of the rest (docs/reference/input.md)."""

import json
import string
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from reviewstream import Ok, Reason, Rejected, Review, parse_review
from reviewstream.core.records.parsing import MAX_DEPTH, MAX_LINE, MAX_TEXT, is_blank, to_line

GOOD = {
    "review_id": "r1",
    "user_id": "u1",
    "business_id": "b1",
    "stars": 4.0,
    "useful": 1,
    "funny": 0,
    "cool": 2,
    "text": "fine",
    "date": "2018-07-07 22:09:11",
}

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=200)
ids = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=64).filter(
    lambda text: not text.isspace()
)
counts = st.integers(0, 2**63 - 1)
moments = st.datetimes(
    datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC)
).map(lambda moment: moment.replace(microsecond=0))
reviews = st.builds(
    Review,
    review_id=ids,
    user_id=ids,
    business_id=ids,
    stars=st.floats(1, 5),
    useful=counts,
    funny=counts,
    cool=counts,
    text=texts,
    written_at=moments,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


def line_of(**changes: object) -> bytes:
    return json.dumps(GOOD | changes).encode()


def test_a_good_line_becomes_a_review() -> None:
    assert parse_review(line_of()) == Ok(
        Review(
            review_id="r1",
            user_id="u1",
            business_id="b1",
            stars=4.0,
            useful=1,
            cool=2,
            text="fine",
            written_at=datetime(2018, 7, 7, 22, 9, 11, tzinfo=UTC),
        )
    )


@given(reviews)
def test_a_review_survives_the_way_to_a_line_and_back(review: Review) -> None:
    assert parse_review(to_line(review)) == Ok(review)


def test_a_line_has_no_time_finer_than_a_second() -> None:
    outcome = parse_review(line_of())
    assert isinstance(outcome, Ok)
    review = outcome.value
    finer = structs.replace(review, written_at=review.written_at.replace(microsecond=999_999))
    assert to_line(finer) == to_line(review)


@pytest.mark.parametrize(
    "change",
    [
        {"text": ""},
        {"stars": 1},
        {"stars": 5},
        {"useful": 1e2},
        {"useful": 2.0},
        {"cool": -0.0},
        {"useful": 2**63 - 1},
        {"unknown": [{"deep": None}]},
        {"date": "0001-01-01 00:00:00"},
        {"date": "9999-12-31 23:59:59"},
        {"date": "2020-02-29 23:59:59"},
        {"review_id": "x" * 64},
        {"review_id": "a b"},
        {"text": "a\x00b"},
        {"text": "x" * MAX_TEXT},
    ],
    ids=lambda change: repr(change)[:40],
)
def test_a_value_at_the_edge_is_accepted(change: dict[str, object]) -> None:
    assert isinstance(parse_review(line_of(**change)), Ok)


@pytest.mark.parametrize(
    ("change", "reason", "detail"),
    [
        ({"stars": 6}, Reason.OUT_OF_RANGE, "$.stars: 6 is not between 1 and 5"),
        ({"stars": 0.99}, Reason.OUT_OF_RANGE, "$.stars: 0.99 is not between 1 and 5"),
        ({"stars": "4"}, Reason.WRONG_TYPE, "$.stars: expected a number, got a string"),
        ({"stars": True}, Reason.WRONG_TYPE, "$.stars: expected a number, got a boolean"),
        ({"useful": None}, Reason.WRONG_TYPE, "$.useful: expected a number, got null"),
        ({"useful": []}, Reason.WRONG_TYPE, "$.useful: expected a number, got an array"),
        ({"useful": {}}, Reason.WRONG_TYPE, "$.useful: expected a number, got an object"),
        ({"useful": -1}, Reason.OUT_OF_RANGE, "$.useful: -1 is not between 0 and"),
        ({"useful": 2.5}, Reason.OUT_OF_RANGE, "$.useful: 2.5 is not a whole number"),
        ({"useful": 2**63}, Reason.OUT_OF_RANGE, "$.useful: 9223372036854775808 is not"),
        ({"text": None}, Reason.WRONG_TYPE, "$.text: expected a string, got null"),
        ({"text": 5}, Reason.WRONG_TYPE, "$.text: expected a string, got a number"),
        ({"text": "é" * 32769}, Reason.OUT_OF_RANGE, "$.text: 65538 bytes of UTF-8"),
        ({"review_id": ""}, Reason.OUT_OF_RANGE, "$.review_id: 0 characters (1 to 64)"),
        ({"review_id": "x" * 65}, Reason.OUT_OF_RANGE, "$.review_id: 65 characters (1 to 64)"),
        ({"user_id": " \u3000"}, Reason.OUT_OF_RANGE, "$.user_id: nothing but white space"),
        ({"business_id": "a\x00"}, Reason.OUT_OF_RANGE, "$.business_id: a control character in"),
        ({"date": "2020-02-30 00:00:00"}, Reason.OUT_OF_RANGE, "$.date: '2020-02-30 00:00:00': "),
        ({"date": "2020-01-01T00:00:00"}, Reason.OUT_OF_RANGE, "$.date: '2020-01-01T00:00:00' is"),
        ({"date": "٢٠٢٠-01-01 00:00:00"}, Reason.OUT_OF_RANGE, "$.date: "),
        ({"date": "0000-01-01 00:00:00"}, Reason.OUT_OF_RANGE, "$.date: "),
        ({"date": 5}, Reason.WRONG_TYPE, "$.date: expected a string, got a number"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_a_bad_field_is_named(change: dict[str, object], reason: Reason, detail: str) -> None:
    line = line_of(**change)
    refused = parse_review(line)
    assert isinstance(refused, Rejected)
    assert (refused.reason, refused.raw) == (reason, line)
    assert refused.detail.startswith(detail)


@pytest.mark.parametrize("name", ["review_id", "user_id", "business_id", "stars", "text", "date"])
def test_a_missing_field_is_named(name: str) -> None:
    line = json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()
    refused = parse_review(line)
    assert refused == Rejected(reason=Reason.MISSING_FIELD, detail=f"$.{name}: missing", raw=line)


def test_votes_that_are_left_out_are_not_what_is_wrong_with_a_line() -> None:
    fields = {key: value for key, value in GOOD.items() if key != "useful"} | {"cool": "many"}
    refused = parse_review(json.dumps(fields).encode())
    assert isinstance(refused, Rejected)
    assert refused.detail == "$.cool: expected a number, got a string"


@pytest.mark.parametrize("name", ["useful", "funny", "cool"])
def test_votes_may_be_left_out(name: str) -> None:
    line = json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()
    outcome = parse_review(line)
    assert isinstance(outcome, Ok)
    assert getattr(outcome.value, name) == 0


@pytest.mark.parametrize(
    ("line", "reason", "detail"),
    [
        (b"", Reason.NOT_JSON, "$: "),
        (b"{", Reason.NOT_JSON, "$: "),
        (b"[1]", Reason.NOT_AN_OBJECT, "$: expected one JSON object a line, got an array"),
        (b" \t[1]", Reason.NOT_AN_OBJECT, "$: expected one JSON object a line, got an array"),
        (b"false", Reason.NOT_AN_OBJECT, "$: expected one JSON object a line, got a boolean"),
        (b"-1", Reason.NOT_AN_OBJECT, "$: expected one JSON object a line, got a number"),
        (b"null", Reason.NOT_AN_OBJECT, "$: expected one JSON object a line, got null"),
        (b"17", Reason.NOT_AN_OBJECT, "$: expected one JSON object a line, got a number"),
        (b'"text"', Reason.NOT_AN_OBJECT, "$: expected one JSON object a line, got a string"),
        (b"\xff\xfe{\x00}\x00", Reason.NOT_UTF8, "$: byte 0 is not UTF-8"),
        (line_of()[:-1] + b',"x":"\xc0\x80"}', Reason.NOT_UTF8, "$: byte "),
        (b"\xef\xbb\xbf" + line_of(), Reason.NOT_JSON, "$: a byte order mark"),
        (line_of() + line_of(), Reason.NOT_JSON, "$: "),
        (line_of().replace(b"4.0", b"NaN"), Reason.NOT_JSON, "$: "),
        (line_of().replace(b"4.0", b"1e400"), Reason.OUT_OF_RANGE, "$.stars: 1e400 is out of"),
        (line_of().replace(b"4.0", b"4" * 5000), Reason.OUT_OF_RANGE, "$.stars: 444"),
        (line_of().replace(b"fine", rb"\ud800"), Reason.NOT_JSON, "$: "),
        (line_of().replace(b'"', b"'"), Reason.NOT_JSON, "$: "),
        (line_of(stars="x")[:-1], Reason.NOT_JSON, "$: "),
        (line_of()[:-1] + b',"x":"' + b"x" * MAX_LINE + b'"}', Reason.LINE_TOO_LONG, "$: 1048"),
    ],
    ids=lambda value: repr(value)[:40],
)
def test_an_unreadable_line_is_rejected(line: bytes, reason: Reason, detail: str) -> None:
    refused = parse_review(line)
    assert isinstance(refused, Rejected)
    assert refused.reason == reason
    assert refused.detail.startswith(detail)


def test_a_detail_stays_short_whatever_the_value() -> None:
    refused = parse_review(line_of().replace(b"4.0", b"4" * 100_000))
    assert isinstance(refused, Rejected)
    assert len(refused.detail) < 200


def test_a_carriage_return_at_the_end_is_accepted() -> None:
    assert parse_review(line_of() + b"\r") == parse_review(line_of())


@pytest.mark.parametrize("first", [b'"x"', b"null", b"1"])
def test_of_a_key_given_twice_the_last_counts(first: bytes) -> None:
    twice = b'{"stars":' + first + b"," + line_of()[1:]
    assert parse_review(twice) == parse_review(line_of())


def test_of_a_key_given_twice_a_bad_last_one_is_named() -> None:
    refused = parse_review(line_of()[:-1] + b',"stars":"x"}')
    assert isinstance(refused, Rejected)
    assert refused.detail == "$.stars: expected a number, got a string"


def nested(depth: int) -> bytes:
    return line_of()[:-1] + b',"x":' + b"[" * depth + b"]" * depth + b"}"


def test_nesting_is_limited_by_a_number_not_by_the_stack() -> None:
    assert isinstance(parse_review(nested(MAX_DEPTH - 1)), Ok)
    refused = parse_review(nested(MAX_DEPTH))
    assert isinstance(refused, Rejected)
    assert refused.detail == f"$: nested deeper than {MAX_DEPTH} levels"


@pytest.mark.parametrize("noise", ["[" * 500, '\\"{' * 500, "[]" * 500])
def test_brackets_in_a_text_are_not_nesting(noise: str) -> None:
    assert isinstance(parse_review(line_of(text=noise)), Ok)


def test_many_brackets_side_by_side_are_not_nesting() -> None:
    assert isinstance(parse_review(line_of(x=[[]] * 500)), Ok)


@given(st.binary() | st.text().map(str.encode) | json_values.map(json.dumps).map(str.encode))
@example(b"[" * 100_000)
@example(b'"\\' * 100_000)
def test_parse_never_raises(line: bytes) -> None:
    assert isinstance(parse_review(line), Ok | Rejected)


@given(st.dictionaries(st.sampled_from(sorted(GOOD)), json_values))
def test_whatever_a_field_holds_the_answer_is_a_review_or_that_field(
    changes: dict[str, object],
) -> None:
    outcome = parse_review(line_of(**changes))
    if isinstance(outcome, Rejected):
        name = outcome.detail.split(":")[0].removeprefix("$").removeprefix(".")
        assert name in {"", *changes}
    else:
        assert parse_review(to_line(outcome.value)) == outcome


@given(st.text(string.whitespace), st.binary(max_size=3))
def test_only_spaces_tabs_and_carriage_returns_are_blank(space: str, rest: bytes) -> None:
    line = space.encode() + rest
    assert is_blank(line) == (set(line) <= set(b" \t\r"))


def test_no_other_byte_is_blank() -> None:
    assert {byte for byte in range(256) if is_blank(bytes([byte]))} == set(b" \t\r")
