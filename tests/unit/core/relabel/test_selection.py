"""Conditions are read as a person means them, and what is none is explained."""

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.core.records.reviews import LabelledReview, Origin, Provenance, Sentiment
from reviewstream.core.relabel.selection import FIELDS, parse_condition
from reviewstream.errors import ConfigError

REVIEW = LabelledReview(
    review_id="r1",
    user_id="u",
    business_id="b1",
    stars=2.0,
    text="x",
    written_at=datetime(2020, 2, 29, 12, 30, 15, tzinfo=UTC),
    sentiment=Sentiment.NEGATIVE,
    confidence=0.5,
    provenance=Provenance(
        model="gpt-4o-mini-2024-07-18",
        prompt_version=1,
        generation=3,
        labelled_at=datetime(2026, 1, 1, tzinfo=UTC),
    ),
    origin=Origin(source="review.json", offset=0),
)


@pytest.mark.parametrize(
    "condition",
    [
        "sentiment=NEGATIVE",
        "sentiment = negative",
        "sentiment!=POSITIVE",
        "review_id=r1",
        "business_id!=b2",
        "stars<=2",
        "stars==2",
        "stars<2.5",
        "stars>1",
        "stars>=2",
        "useful=0",
        "confidence<0.6",
        "model=gpt-4o-mini-2024-07-18",
        "prompt_version=1",
        "generation<4",
        "from_ledger=false",
        "truncated!=TRUE",
        "labelled_at>2025",
        "source=review.json",
        "written_at=2020",
        "written_at=2020-02",
        "written_at=2020-02-29",
        "written_at=2020-02-29 12:30:15",
        "written_at>=2020-02-29T12:30:15",
        "written_at<2020-03",
        "written_at<=2020-02",
        "written_at<=2020",
        "written_at>2019",
        "written_at>2020-01-31",
        "written_at!=2021",
        "written_at<9999-12-31",
        "written_at<9999",
    ],
)
def test_a_condition_that_holds(condition: str) -> None:
    assert parse_condition(condition).takes(REVIEW)


@pytest.mark.parametrize(
    "condition",
    [
        "sentiment!=negative",
        "sentiment=POSITIVE",
        "review_id=R1",
        "business_id!=b1",
        "stars<2",
        "stars>2",
        "confidence>=0.6",
        "model=gpt-4o-mini",
        "generation>=4",
        "from_ledger=true",
        "written_at>2020",
        "written_at>2020-02",
        "written_at<2020-02",
        "written_at!=2020-02",
        "written_at<2020-02-29 12:30:15",
        "written_at>2020-02-29 12:30:15",
        "written_at=9999",
    ],
)
def test_a_condition_that_does_not_hold(condition: str) -> None:
    assert not parse_condition(condition).takes(REVIEW)


@pytest.mark.parametrize(
    ("period", "end"),
    [
        ("2020", datetime(2021, 1, 1, tzinfo=UTC)),
        ("2021", datetime(2022, 1, 1, tzinfo=UTC)),
        ("2020-01", datetime(2020, 2, 1, tzinfo=UTC)),
        ("2020-02", datetime(2020, 3, 1, tzinfo=UTC)),
        ("2020-12", datetime(2021, 1, 1, tzinfo=UTC)),
        ("2020-02-28", datetime(2020, 2, 29, tzinfo=UTC)),
        ("2020-02-28 23:59:59", datetime(2020, 2, 29, tzinfo=UTC)),
    ],
)
def test_a_period_ends_where_the_next_one_begins(period: str, end: datetime) -> None:
    last = structs.replace(REVIEW, written_at=end - timedelta(seconds=1))
    first = structs.replace(REVIEW, written_at=end)
    assert [parse_condition(f"written_at={period}").takes(one) for one in (last, first)] == [
        True,
        False,
    ]
    assert parse_condition(f"written_at>{period}").takes(first)


@pytest.mark.parametrize(
    ("condition", "said"),
    [
        ("", "'' is no condition: expected field, operator (= != < <= > >=) and value"),
        ("stars", "is no condition"),
        ("stars 2", "is no condition"),
        ("provenance.model=x", "is no condition"),
        ("star=2", f"there is no field 'star'; there are {', '.join(FIELDS)}"),
        ("text=bad", "there is no field 'text'"),
        ("sentiment=GOOD", "expected POSITIVE, NEUTRAL, NEGATIVE, not 'GOOD'"),
        ("sentiment<POSITIVE", "sentiment is compared by = or != alone"),
        ("model>a", "model is compared by = or != alone"),
        ("model=", "expected some text, not ''"),
        ("stars<=two", "expected a number, not 'two'"),
        ("stars<nan", "expected a number, not 'nan'"),
        ("stars<1e999", "expected a number, not '1e999'"),
        ("truncated=1", "expected true or false, not '1'"),
        ("written_at>=2021-02-29", "expected a date: YYYY[-MM[-DD]], not '2021-02-29'"),
        ("written_at>=2021-13", "expected a date"),
        ("written_at>=0000", "expected a date"),
        ("written_at>=01/02/2020", "expected a date"),
        ("written_at>=\uff12\uff10\uff12\uff10", "expected a date"),
    ],
)
def test_what_is_no_condition_is_explained(condition: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse_condition(condition)
    assert said in str(caught.value)


def test_no_condition_holds_of_what_a_review_does_not_have() -> None:
    unsure = structs.replace(REVIEW, confidence=None)
    for sign in ("=", "!=", "<", "<=", ">", ">="):
        assert not parse_condition(f"confidence{sign}0.5").takes(unsure)


def test_every_field_can_be_compared() -> None:
    values = {"sentiment": "NEUTRAL", "from_ledger": "true", "truncated": "true"}
    for field in FIELDS:
        value = "2020" if field.endswith("_at") else values.get(field, "1")
        assert parse_condition(f"{field}={value}").takes(REVIEW) in {True, False}


moments = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59)).map(
    lambda moment: moment.replace(microsecond=0, tzinfo=UTC)
)
cuts = st.sampled_from([4, 7, 10, 19])


@given(moments, moments, cuts)
@example(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC), datetime(9999, 1, 1, tzinfo=UTC), 4)
def test_a_time_is_compared_as_its_text_is(one: datetime, other: datetime, cut: int) -> None:
    """Digits in this order are compared as times are: a second way to the same answer."""
    typed = other.isoformat()[:cut]
    review = structs.replace(REVIEW, written_at=one)
    mine = one.isoformat()[:cut]
    wanted: dict[str, Callable[[Any], bool]] = {
        "=": mine.__eq__,
        "!=": mine.__ne__,
        "<": mine.__lt__,
        "<=": mine.__le__,
        ">": mine.__gt__,
        ">=": mine.__ge__,
    }
    for sign, compare in wanted.items():
        assert parse_condition(f"written_at{sign}{typed}").takes(review) is compare(typed)


@given(st.text() | st.from_regex(r"\w+\s*(<=|>=|!=|=|<|>)\s*.*"))
@example("written_at<9999-99")
@example("stars<" + "9" * 5000)
def test_whatever_is_typed_is_a_condition_or_explained(text: str) -> None:
    with suppress(ConfigError):
        assert parse_condition(text).takes(REVIEW) in {True, False}
