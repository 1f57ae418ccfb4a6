"""Labels against stars, and against a person's labels."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.evaluation.expected import PAGE, Evaluation, evaluate_file
from reviewstream.core.index.ports import SearchIndex
from reviewstream.core.records.reviews import Sentiment
from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.errors import PermanentError
from reviewstream.testing import MemoryIndex
from tests.contract.search_index import MAPPING, document, moment

POSITIVE, NEUTRAL, NEGATIVE = Sentiment


def no_index() -> SearchIndex:
    raise AssertionError("the index is not needed")


def lines(*entries: Any) -> Iterator[Line]:
    for entry in entries:
        yield Line(0, entry if isinstance(entry, bytes) else json.dumps(entry).encode())


def evaluated(*entries: Any, index: SearchIndex | None = None) -> Evaluation:
    return evaluate_file(
        lines(*entries), no_index if index is None else lambda: index, "gold.jsonl"
    )


def index_of(*documents: dict[str, Any]) -> MemoryIndex:
    index = MemoryIndex()
    index.setup(MAPPING)
    for one in documents:
        index.put(one, 1)
    index.refresh()
    return index


def test_labelled_reviews_are_compared_with_their_stars() -> None:
    found = evaluated(
        document("a", stars=5.0),
        document("b", stars=1.0),
        document("c", stars=1.0, sentiment="NEGATIVE", written_at=moment(2020, 2, 1)),
        {"sentiment": "NEUTRAL", "stars": 3, "written_at": "2020-02-28T23:59:59Z"},
        {"sentiment": "NEUTRAL", "stars": 3, "date": "2020-03-01 00:00:00"},
        {"sentiment": "NEUTRAL", "stars": 3},
        b"",
    )
    assert (found.against, found.missing, found.tally.documents) == ("stars", 0, 6)
    assert found.tally.cells() == {
        (POSITIVE, POSITIVE): 1,
        (NEGATIVE, POSITIVE): 1,
        (NEGATIVE, NEGATIVE): 1,
        (NEUTRAL, NEUTRAL): 3,
    }
    assert found.tally.months() == ["2020-01", "2020-02", "2020-03"]
    assert found.tally.cells("2020-02") == {(NEGATIVE, NEGATIVE): 1, (NEUTRAL, NEUTRAL): 1}


def test_given_labels_are_compared_with_those_of_the_index() -> None:
    index = index_of(document("a"), document("b", sentiment="NEUTRAL"))
    found = evaluated(
        {"review_id": "a", "sentiment": "POSITIVE"},
        {"review_id": "b", "sentiment": "NEGATIVE"},
        {"review_id": "gone", "sentiment": "NEGATIVE"},
        index=index,
    )
    assert (found.against, found.missing) == ("gold", 1)
    assert found.tally.cells("2020-01") == {(POSITIVE, POSITIVE): 1, (NEGATIVE, NEUTRAL): 1}


def test_given_labels_are_looked_up_a_page_at_a_time() -> None:
    asked: list[int] = []

    class Counting(MemoryIndex):
        def search(self, body: Any, kind: Any) -> Any:
            asked.append(body["size"])
            return super().search(body, kind)

    index = Counting()
    index.setup(MAPPING)
    count = 2 * PAGE + 1
    for number in range(count):
        index.put(document(f"r{number}"), 1)
    index.refresh()
    gold = ({"review_id": f"r{number}", "sentiment": "POSITIVE"} for number in range(count))
    assert evaluated(*gold, index=index).tally.documents == count
    assert asked == [PAGE, PAGE, 1]


@pytest.mark.parametrize(
    ("entries", "complaint"),
    [
        ([b"{"], "gold.jsonl, line 1 is neither a labelled review nor a label for one"),
        ([b"\n", {"review_id": "a", "stars": 3}], "gold.jsonl, line 2 is neither"),
        ([{"review_id": "a", "sentiment": "positive"}], "Invalid enum value 'positive'"),
        ([{"sentiment": "POSITIVE"}], "gold.jsonl, line 1 has neither stars nor a review_id"),
        (
            [document("a"), {"review_id": "a", "sentiment": "POSITIVE"}],
            "gold.jsonl, line 2 has no stars, unlike those before it",
        ),
        (
            [{"review_id": "a", "sentiment": "POSITIVE"}, document("a")],
            "gold.jsonl, line 2 has stars, unlike those before it",
        ),
    ],
)
def test_a_line_that_is_no_label_is_named(entries: list[Any], complaint: str) -> None:
    with pytest.raises(PermanentError, match=complaint):
        evaluated(*entries, index=index_of())


def test_a_line_that_is_too_long_is_named() -> None:
    with pytest.raises(PermanentError, match=r"^gold\.jsonl, line 1 is too long .* 9999999 bytes"):
        evaluate_file([Oversized(0, 9_999_999, b"")], no_index, "gold.jsonl")


def test_no_lines_are_no_labels() -> None:
    assert evaluated().tally.documents == 0
    assert evaluated(b"", b" ").tally.documents == 0


@given(st.integers() | st.text() | st.none() | st.floats() | st.booleans())
@example(10**30)
@example(-62_135_596_800_001)
@example(-30_610_224_000_001)  # of the year 999
@example("0000-00-00")
def test_no_time_is_too_strange_to_count_the_review(written_at: object) -> None:
    try:
        found = evaluated({"sentiment": "NEUTRAL", "stars": 3, "written_at": written_at})
    except PermanentError:
        return
    assert found.tally.documents == 1
    assert all(len(month) == 7 for month in found.tally.months())
