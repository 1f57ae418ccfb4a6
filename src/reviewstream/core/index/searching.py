"""Searches of the index: request bodies and parsed responses."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from msgspec import Struct, field

from reviewstream.core.index.ports import SearchHit, SearchIndex
from reviewstream.core.labelling.agreement import NEGATIVE_UP_TO, POSITIVE_FROM
from reviewstream.core.records.reviews import Sentiment

HIGHLIGHT: Final = ("\ue000", "\ue001")  # around a matched word; private-use characters
MAX_LIMIT: Final = 10_000  # Elasticsearch's own `index.max_result_window`
_EXPECTED: Final = {  # star ranges that suggest a sentiment
    Sentiment.NEGATIVE: {"lte": NEGATIVE_UP_TO},
    Sentiment.NEUTRAL: {"gt": NEGATIVE_UP_TO, "lt": POSITIVE_FROM},
    Sentiment.POSITIVE: {"gte": POSITIVE_FROM},
}


class Query(Struct, frozen=True, kw_only=True):
    """A search query.

    Attributes:
        text: Words in the review's text; empty matches every review.
        since: First day.
        until: Last day.
        limit: Maximum number of hits, 1 to 10,000.
    """

    text: str = ""
    business_id: str | None = None
    sentiment: Sentiment | None = None
    since: date | None = None
    until: date | None = None
    limit: int = 10


class Found(Struct, frozen=True, kw_only=True):
    """The best hits. `total` counts all matching documents."""

    total: int
    hits: tuple[SearchHit, ...]


class Row(Struct, frozen=True, kw_only=True):
    """One line of a report: documents with `key`, by sentiment."""

    key: str
    documents: int
    sentiments: dict[str, int]


class Report(Struct, frozen=True, kw_only=True):
    """An overview of the index.

    Attributes:
        agreement: Share of documents whose sentiment is the one that their stars suggest (up to 2
            negative, from 4 positive, else neutral), 0.0 to 1.0; None if there are no documents.
    """

    documents: int
    sentiments: dict[str, int]
    agreement: float | None
    by_stars: tuple[Row, ...]
    by_month: tuple[Row, ...]
    businesses: tuple[Row, ...]


class _Total(Struct):
    value: int


class _Hit(Struct):
    id: str = field(name="_id")
    score: float | None = field(name="_score", default=None)
    document: dict[str, Any] = field(name="_source", default_factory=dict)
    highlight: dict[str, list[str]] = {}


class _Hits(Struct):
    total: _Total
    hits: list[_Hit]


class _Found(Struct):
    hits: _Hits


class _Bucket(Struct):
    """A bucket of documents; buckets of a filter have no key."""

    doc_count: int
    key: str | int | float | None = None
    key_as_string: str | None = None
    sentiment: "_Buckets | None" = None


class _Buckets(Struct):
    buckets: list[_Bucket]


class _NamedBuckets(Struct):
    buckets: dict[str, _Bucket]


class _Counts(Struct):
    agreement: _NamedBuckets
    sentiment: _Buckets
    stars: _Buckets
    month: _Buckets
    business: _Buckets


class _Counted(Struct):
    hits: _Hits
    aggregations: _Counts


def search(index: SearchIndex, query: Query) -> Found:
    """Return the matching documents, best first; newest first for equal scores."""
    found = index.search(search_body(query), _Found).hits
    return Found(total=found.total.value, hits=tuple(_hit(each) for each in found.hits))


def report(index: SearchIndex, query: Query | None = None) -> Report:
    """Return counts by sentiment, stars, month and business.

    Only the filters of `query` apply; its text is ignored.
    """
    answer = index.search(report_body(query or Query()), _Counted)
    found, documents = answer.aggregations, answer.hits.total.value
    agreeing = sum(bucket.doc_count for bucket in found.agreement.buckets.values())
    return Report(
        documents=documents,
        sentiments=_counts(found.sentiment.buckets),
        agreement=agreeing / documents if documents else None,
        by_stars=_rows(found.stars.buckets),
        by_month=_rows(found.month.buckets),
        businesses=_rows(found.business.buckets),
    )


def search_body(query: Query) -> dict[str, Any]:
    """Return the request body of a query."""
    match = {"simple_query_string": {"query": query.text, "fields": ["text"]}}
    return {
        "size": max(1, min(query.limit, MAX_LIMIT)),
        "track_total_hits": True,
        "query": {
            "bool": {"must": [match] if query.text.strip() else [], "filter": _filters(query)}
        },
        "sort": ["_score", {"written_at": "desc"}],
        "track_scores": True,
        "highlight": {
            "pre_tags": [HIGHLIGHT[0]],
            "post_tags": [HIGHLIGHT[1]],
            "fields": {"text": {"fragment_size": 150, "number_of_fragments": 3}},
        },
    }


def report_body(query: Query, businesses: int = 10) -> dict[str, Any]:
    """Return the request body of the report on the documents that match the query's filters."""
    by_sentiment = {"sentiment": {"terms": {"field": "sentiment"}}}
    month = {"calendar_interval": "month", "format": "yyyy-MM"}
    agreement = {
        sentiment.value: {"bool": {"filter": [_is(sentiment), {"range": {"stars": stars}}]}}
        for sentiment, stars in _EXPECTED.items()
    }
    return {
        "size": 0,
        "track_total_hits": True,
        "query": {"bool": {"filter": _filters(query)}},
        "aggs": {
            **by_sentiment,
            "agreement": {"filters": {"filters": agreement}},
            "stars": {
                "terms": {"field": "stars", "size": 50, "order": {"_key": "asc"}},
                "aggs": by_sentiment,
            },
            "month": {
                "date_histogram": {"field": "written_at", "min_doc_count": 1, **month},
                "aggs": by_sentiment,
            },
            "business": {
                "terms": {"field": "business_id", "size": businesses},
                "aggs": by_sentiment,
            },
        },
    }


def _filters(query: Query) -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = []
    if query.business_id is not None:
        filters.append({"term": {"business_id": query.business_id}})
    if query.sentiment is not None:
        filters.append(_is(query.sentiment))
    if query.since is not None:
        filters.append({"range": {"written_at": {"gte": _milliseconds(query.since)}}})
    if query.until is not None:
        day_after = _milliseconds(query.until) + 86_400_000
        filters.append({"range": {"written_at": {"lt": day_after}}})
    return filters


def _is(sentiment: Sentiment) -> dict[str, Any]:
    return {"term": {"sentiment": sentiment.value}}


def _milliseconds(day: date) -> int:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return (start - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _hit(hit: _Hit) -> SearchHit:
    return SearchHit(
        id=hit.id,
        score=hit.score or 0.0,
        document=hit.document,
        fragments=tuple(hit.highlight.get("text", ())),
    )


def _rows(buckets: Sequence[_Bucket]) -> tuple[Row, ...]:
    return tuple(
        Row(
            key=str(bucket.key) if bucket.key_as_string is None else bucket.key_as_string,
            documents=bucket.doc_count,
            sentiments=_counts([] if bucket.sentiment is None else bucket.sentiment.buckets),
        )
        for bucket in buckets
    )


def _counts(buckets: Sequence[_Bucket]) -> dict[str, int]:
    """Return the number of documents by sentiment, zeros included."""
    found = {bucket.key: bucket.doc_count for bucket in buckets}
    return {sentiment.value: found.get(sentiment.value, 0) for sentiment in Sentiment}
