"""What is asked of the index, and what is made of its answers."""

from collections.abc import Mapping
from datetime import date
from typing import Any, TypeVar

import msgspec
import pytest

from reviewstream.core.index.searching import (
    MAX_LIMIT,
    Query,
    Report,
    Row,
    report,
    report_body,
    search,
    search_body,
)
from reviewstream.core.records.reviews import Sentiment
from reviewstream.testing import MemoryIndex

T = TypeVar("T")


class CannedIndex(MemoryIndex):
    """Gives one answer, whatever is asked."""

    def __init__(self, answer: Mapping[str, Any]) -> None:
        super().__init__()
        self._answer = answer

    def search(self, body: Mapping[str, Any], kind: type[T]) -> T:
        assert body["track_total_hits"] is True
        return msgspec.convert(self._answer, kind)


def filters_of(query: Query) -> list[Any]:
    filters: list[Any] = search_body(query)["query"]["bool"]["filter"]
    return filters


def test_words_are_searched_in_the_text() -> None:
    (match,) = search_body(Query(text="cold pizza"))["query"]["bool"]["must"]
    assert match == {"simple_query_string": {"query": "cold pizza", "fields": ["text"]}}


@pytest.mark.parametrize("text", ["", "  \n"])
def test_no_words_match_everything(text: str) -> None:
    assert search_body(Query(text=text))["query"]["bool"]["must"] == []


def test_each_condition_is_a_filter() -> None:
    assert filters_of(Query()) == []
    assert filters_of(Query(business_id="b")) == [{"term": {"business_id": "b"}}]
    assert filters_of(Query(sentiment=Sentiment.NEUTRAL)) == [{"term": {"sentiment": "NEUTRAL"}}]


def test_the_last_day_is_a_whole_day() -> None:
    day = date(1970, 1, 2)
    assert filters_of(Query(since=day, until=day)) == [
        {"range": {"written_at": {"gte": 86_400_000}}},
        {"range": {"written_at": {"lt": 2 * 86_400_000}}},
    ]


def test_the_first_and_the_last_day_of_the_calendar_are_days() -> None:
    assert len(filters_of(Query(since=date.min, until=date.max))) == 2


@pytest.mark.parametrize(("limit", "size"), [(-1, 1), (0, 1), (7, 7), (10**9, MAX_LIMIT)])
def test_the_limit_is_one_that_elasticsearch_takes(limit: int, size: int) -> None:
    assert search_body(Query(limit=limit))["size"] == size


def test_a_hit_without_a_score_or_highlights_is_a_hit() -> None:
    hit = {"_id": "r", "_score": None, "_source": {"text": "x"}}
    index = CannedIndex({"hits": {"total": {"value": 1}, "hits": [hit]}})
    (found,) = search(index, Query()).hits
    assert (found.id, found.score, found.fragments) == ("r", 0.0, ())


def test_the_report_asks_for_no_documents() -> None:
    assert report_body(Query())["size"] == 0


def test_a_report_of_one_business_and_some_days_filters_as_a_search_does() -> None:
    query = Query(business_id="b", since=date(1970, 1, 2))
    assert report_body(query)["query"] == {"bool": {"filter": filters_of(query)}}


def test_the_report_is_read_from_the_answers_buckets() -> None:
    by = {"sentiment": {"buckets": [{"key": "POSITIVE", "doc_count": 3}]}}
    answer = {
        "hits": {"total": {"value": 4}, "hits": []},
        "aggregations": {
            "sentiment": {
                "buckets": [
                    {"key": "POSITIVE", "doc_count": 3},
                    {"key": "NEGATIVE", "doc_count": 1},
                ]
            },
            "agreement": {"buckets": {"POSITIVE": {"doc_count": 2}, "NEGATIVE": {"doc_count": 1}}},
            "stars": {"buckets": [{"key": 4.5, "doc_count": 3, **by}]},
            "month": {"buckets": [{"key": 0, "key_as_string": "1970-01", "doc_count": 3, **by}]},
            "business": {"buckets": [{"key": "b", "doc_count": 3, **by}]},
        },
    }
    counts = {"POSITIVE": 3, "NEUTRAL": 0, "NEGATIVE": 0}
    assert report(CannedIndex(answer)) == Report(
        documents=4,
        sentiments={"POSITIVE": 3, "NEUTRAL": 0, "NEGATIVE": 1},
        agreement=0.75,
        by_stars=(Row(key="4.5", documents=3, sentiments=counts),),
        by_month=(Row(key="1970-01", documents=3, sentiments=counts),),
        businesses=(Row(key="b", documents=3, sentiments=counts),),
    )
