"""Counting labels against what is expected of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.agreement import Tally, suggested
from reviewstream.core.records.reviews import Sentiment

sentiments = st.sampled_from(Sentiment)
months = st.sampled_from(["", "2019-12", "2020-01", "2020-02"])
entries = st.lists(st.tuples(sentiments, sentiments, months, st.integers(0, 9)))


@pytest.mark.parametrize(
    ("stars", "sentiment"),
    [
        (1.0, "NEGATIVE"),
        (2.0, "NEGATIVE"),
        (2.5, "NEUTRAL"),
        (3.0, "NEUTRAL"),
        (3.9, "NEUTRAL"),
        (4.0, "POSITIVE"),
        (5.0, "POSITIVE"),
    ],
)
def test_stars_suggest_a_sentiment(stars: float, sentiment: str) -> None:
    assert suggested(stars) == sentiment


@given(entries)
def test_every_document_is_counted_once(
    given_entries: list[tuple[Sentiment, Sentiment, str, int]],
) -> None:
    tally = Tally()
    for expected, label, month, documents in given_entries:
        tally.add(expected, label, month=month, documents=documents)
    assert tally.documents == sum(tally.cells().values()) == sum(one[3] for one in given_entries)
    assert tally.months() == sorted({one[2] for one in given_entries if one[2] and one[3]})
    assert all(documents > 0 for documents in tally.cells().values())
    for month in tally.months():
        of_month = [one[3] for one in given_entries if one[2] == month]
        assert sum(tally.cells(month).values()) == sum(of_month)
    of_years = [sum(tally.cells(year).values()) for year in tally.years()]
    assert sum(of_years) == sum(one[3] for one in given_entries if one[2])


def test_a_year_is_not_one_that_begins_alike() -> None:
    tally = Tally()
    tally.add(Sentiment.POSITIVE, Sentiment.POSITIVE, month="1000-01")
    tally.add(Sentiment.POSITIVE, Sentiment.NEGATIVE, month="10000-01")
    assert tally.years() == ["1000", "10000"]
    assert tally.cells("1000") == {(Sentiment.POSITIVE, Sentiment.POSITIVE): 1}


def test_expected_and_label_are_told_apart() -> None:
    tally = Tally()
    tally.add(Sentiment.POSITIVE, Sentiment.NEGATIVE, documents=2)
    tally.add(Sentiment.NEGATIVE, Sentiment.POSITIVE)
    assert tally.cells() == {
        (Sentiment.POSITIVE, Sentiment.NEGATIVE): 2,
        (Sentiment.NEGATIVE, Sentiment.POSITIVE): 1,
    }


def test_without_a_month_none_is_known() -> None:
    tally = Tally()
    tally.add(Sentiment.POSITIVE, Sentiment.POSITIVE)
    assert (tally.documents, tally.months()) == (1, [])
