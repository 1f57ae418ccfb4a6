"""Evaluation of labels against the stars of their reviews, or against gold labels."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import Struct, field

from reviewstream.core.index.ports import SearchIndex
from reviewstream.core.labelling.agreement import Tally, suggested
from reviewstream.core.records.batches import batches
from reviewstream.core.records.reviews import Sentiment
from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.errors import PermanentError

PAGE: Final = 1_000  # documents requested at once
STARS: Final = 100  # maximum number of distinct star values
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

_MONTH: Final = re.compile(r"\d{4}-\d\d")


class Evaluation(Struct, frozen=True, kw_only=True):
    """Counts of labels by expected label.

    Attributes:
        against: `stars` or `gold`.
        missing: Gold labels without a review in the index.
    """

    against: str
    tally: Tally
    missing: int = 0


class _Given(Struct, frozen=True):
    """A line of a file: a labelled review, or a review's id with its expected label."""

    sentiment: Sentiment
    review_id: str = ""
    stars: float | None = None
    written_at: int | str | None = None
    date: str | None = None


class _Label(Struct):
    key: Sentiment
    doc_count: int


class _Labels(Struct):
    buckets: list[_Label]


class _Star(Struct):
    key: float
    sentiment: _Labels


class _Stars(Struct):
    buckets: list[_Star]


class _Month(Struct):
    key_as_string: str
    stars: _Stars


class _Months(Struct):
    buckets: list[_Month]


class _Aggregations(Struct):
    month: _Months


class _Counted(Struct):
    aggregations: _Aggregations


class _Document(Struct):
    sentiment: Sentiment
    written_at: int | str | None = None


class _Hit(Struct):
    id: str = field(name="_id")
    document: _Document = field(name="_source")


class _Hits(Struct):
    hits: list[_Hit]


class _Found(Struct):
    hits: _Hits


_decoder = msgspec.json.Decoder(_Given)


def evaluate_index(index: SearchIndex, *, prompt_version: int | None = None) -> Evaluation:
    """Count the documents of the index by label and stars, with an aggregation in the index.

    Args:
        index: Search index.
        prompt_version: Restricts the count to labels of this version.
    """
    found = index.search(evaluation_body(prompt_version), _Counted).aggregations
    tally = Tally()
    for month, stars, label, documents in _cells(found):
        tally.add(suggested(stars), label, month=month, documents=documents)
    return Evaluation(against="stars", tally=tally)


def evaluate_file(
    lines: Iterable[Line | Oversized], open_index: Callable[[], SearchIndex], name: str
) -> Evaluation:
    """Count the reviews of a file by label.

    Args:
        lines: Labelled reviews with stars, which give the expected label; or ids of reviews with
            their expected label, to be compared with the label in the index.
        open_index: Called if the index is needed.
        name: Name of the file, for errors.

    Raises:
        PermanentError: A line has neither form, or another form than the first.
    """
    numbered = enumerate(lines, 1)
    given = (one for number, line in numbered for one in _read(f"{name}, line {number}", line))
    first = next(given, None)
    if first is None:
        return Evaluation(against="stars", tally=Tally())
    kind = "gold" if first[1].stars is None else "stars"
    all_alike = _of_one_kind(chain([first], given), kind)
    if kind == "gold":
        return _evaluate_gold(all_alike, open_index())
    tally = Tally()
    for one in all_alike:
        assert one.stars is not None  # noqa: S101 - checked by `_of_one_kind`
        tally.add(suggested(one.stars), one.sentiment, month=_month(one.written_at or one.date))
    return Evaluation(against=kind, tally=tally)


def evaluation_body(prompt_version: int | None) -> dict[str, Any]:
    """Return the request body that counts the documents by month, stars and label."""
    of_version = {"term": {"provenance.prompt_version": prompt_version}}
    month = {"calendar_interval": "month", "format": "yyyy-MM", "min_doc_count": 1}
    stars = {"field": "stars", "size": STARS}
    return {
        "size": 0,
        "track_total_hits": True,
        "query": {"bool": {"filter": [] if prompt_version is None else [of_version]}},
        "aggs": {
            "month": {
                "date_histogram": {"field": "written_at", **month},
                "aggs": {
                    "stars": {
                        "terms": stars,
                        "aggs": {"sentiment": {"terms": {"field": "sentiment"}}},
                    }
                },
            }
        },
    }


def _cells(found: _Aggregations) -> Iterator[tuple[str, float, Sentiment, int]]:
    for month in found.month.buckets:
        for stars in month.stars.buckets:
            for label in stars.sentiment.buckets:
                yield month.key_as_string, stars.key, label.key, label.doc_count


def _read(place: str, line: Line | Oversized) -> Iterator[tuple[str, _Given]]:
    if isinstance(line, Oversized):
        raise PermanentError(f"{place} is too long to be a review: {line.size} bytes")
    if not line.data.strip():
        return
    try:
        yield place, _decoder.decode(line.data)
    except (msgspec.MsgspecError, ValueError, RecursionError) as err:
        raise PermanentError(
            f"{place} is neither a labelled review nor a label for one: {err}"
        ) from err


def _of_one_kind(given: Iterable[tuple[str, _Given]], kind: str) -> Iterator[_Given]:
    for place, one in given:
        if (one.stars is None) != (kind == "gold"):
            has = "has no stars" if one.stars is None else "has stars"
            raise PermanentError(f"{place} {has}, unlike those before it: give one kind")
        if kind == "gold" and not one.review_id:
            raise PermanentError(f"{place} has neither stars nor a review_id")
        yield one


def _evaluate_gold(given: Iterable[_Given], index: SearchIndex) -> Evaluation:
    tally, missing = Tally(), 0
    for page in batches(given, PAGE):
        there = _documents(index, [one.review_id for one in page])
        for one in page:
            document = there.get(one.review_id)
            if document is None:
                missing += 1
                continue
            tally.add(one.sentiment, document.sentiment, month=_month(document.written_at))
    return Evaluation(against="gold", tally=tally, missing=missing)


def _documents(index: SearchIndex, ids: Sequence[str]) -> dict[str, _Document]:
    wanted = sorted(set(ids))
    body = {
        "size": len(wanted),
        "query": {"bool": {"must": [], "filter": [{"terms": {"review_id": wanted}}]}},
        "_source": ["sentiment", "written_at"],
    }
    return {hit.id: hit.document for hit in index.search(body, _Found).hits.hits}


def _month(written_at: object) -> str:
    """Return the month of a time in milliseconds or in ISO 8601; empty for other values."""
    if isinstance(written_at, int):
        try:
            return (EPOCH + timedelta(milliseconds=written_at)).isoformat()[:7]
        except OverflowError:  # a year outside of Python's calendar
            return ""
    found = _MONTH.match(written_at) if isinstance(written_at, str) else None
    return found[0] if found else ""
