"""What every `SearchIndex` must do; provide `search_index`, and `write` into it."""

from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from typing import Any

import pytest

from reviewstream.core.evaluation.expected import evaluate_file
from reviewstream.core.index.mapping import index_mapping
from reviewstream.core.index.ports import SearchIndex
from reviewstream.core.index.searching import HIGHLIGHT, Query, search
from reviewstream.core.records.reviews import Sentiment
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.core.transport.framing import Line
from reviewstream.errors import ConfigError, PermanentError

MAPPING = index_mapping(schema_text("labelled_review"))
Write = Callable[[Mapping[str, Any], int], None]


def document(review_id: str, **changes: Any) -> dict[str, Any]:
    return {
        "review_id": review_id,
        "user_id": "u",
        "business_id": "b1",
        "stars": 4.0,
        "useful": 0,
        "funny": 0,
        "cool": 0,
        "text": "A fine place.",
        "written_at": moment(2020, 1, 1),
        "sentiment": "POSITIVE",
        "confidence": None,
        "provenance": {"model": "m", "prompt_version": 1, "labelled_at": moment(2026, 1, 1)},
        "origin": {"source": "s", "offset": 0},
    } | changes


def moment(*date_and_time: int) -> int:
    return round(datetime(*date_and_time, tzinfo=UTC).timestamp() * 1000)  # type: ignore[misc,arg-type] # a date's parts


class SearchIndexContract:
    @pytest.fixture
    def index_of_four(self, search_index: SearchIndex, write: Write) -> SearchIndex:
        search_index.setup(MAPPING)
        write(document("good", text="The pizza was great."), 1)
        write(document("bad", text="Cold pizza!", sentiment="NEGATIVE", stars=1.0), 1)
        write(document("soup", text="Only soup.", business_id="b2"), 1)
        write(document("late", text="Late.", written_at=moment(2020, 1, 31, 23, 59)), 1)
        search_index.refresh()
        return search_index

    def test_setting_up_twice_changes_nothing(
        self, search_index: SearchIndex, write: Write
    ) -> None:
        search_index.setup(MAPPING)
        write(document("r1"), 1)
        search_index.setup(MAPPING)
        search_index.refresh()
        assert search_index.count() == 1

    def test_a_new_index_is_empty(self, search_index: SearchIndex) -> None:
        search_index.setup(MAPPING)
        assert search_index.count() == 0
        assert list(search_index.versions()) == []

    def test_an_index_that_was_not_set_up_is_a_permanent_error(
        self, search_index: SearchIndex
    ) -> None:
        for ask in (
            search_index.count,
            search_index.refresh,
            lambda: list(search_index.versions()),
        ):
            with pytest.raises(PermanentError, match="reviewstream index setup"):
                ask()

    def test_every_document_is_counted_and_named(self, index_of_four: SearchIndex) -> None:
        assert index_of_four.count() == 4
        assert sorted(index_of_four.versions()) == [
            (name, 1) for name in ("bad", "good", "late", "soup")
        ]

    def test_the_version_of_a_document_is_that_of_its_newest_write(
        self, index_of_four: SearchIndex, write: Write
    ) -> None:
        write(document("good"), 2**53)
        write(document("good"), 7)
        index_of_four.refresh()
        assert dict(index_of_four.versions())["good"] == 2**53

    def test_a_field_that_the_index_lacks_is_added(self, search_index: SearchIndex) -> None:
        fields = {name: each for name, each in MAPPING["properties"].items() if name != "cool"}
        search_index.setup({**MAPPING, "properties": fields})
        search_index.setup(MAPPING)
        search_index.setup({**MAPPING, "properties": fields})  # an older program is welcome

    def test_a_field_that_is_mapped_otherwise_is_named(self, search_index: SearchIndex) -> None:
        other = {**MAPPING["properties"], "stars": {"type": "keyword"}}
        search_index.setup({**MAPPING, "properties": other})
        with pytest.raises(ConfigError, match=r"\$\.stars: type is keyword, wanted double"):
            search_index.setup(MAPPING)

    def test_words_are_found_and_marked(self, index_of_four: SearchIndex) -> None:
        found = search(index_of_four, Query(text="PIZZA"))
        assert found.total == 2
        fragments = sorted(fragment for hit in found.hits for fragment in hit.fragments)
        start, end = HIGHLIGHT
        assert fragments == [f"Cold {start}pizza{end}!", f"The {start}pizza{end} was great."]

    def test_no_words_find_everything_newest_first(self, index_of_four: SearchIndex) -> None:
        found = search(index_of_four, Query())
        assert found.total == 4
        assert found.hits[0].id == "late"

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            (Query(business_id="b2"), ["soup"]),
            (Query(sentiment=Sentiment.NEGATIVE), ["bad"]),
            (Query(since=date(2020, 1, 2)), ["late"]),
            (Query(until=date(2020, 1, 30)), ["bad", "good", "soup"]),
            (Query(since=date(2020, 1, 31), until=date(2020, 1, 31)), ["late"]),
            (Query(text="pizza", sentiment=Sentiment.POSITIVE), ["good"]),
            (Query(text="sushi"), []),
        ],
        ids=str,
    )
    def test_filters_keep_what_fits(
        self, index_of_four: SearchIndex, query: Query, ids: list[str]
    ) -> None:
        assert sorted(hit.id for hit in search(index_of_four, query).hits) == ids

    def test_given_labels_find_the_documents_of_their_reviews(
        self, index_of_four: SearchIndex
    ) -> None:
        names = (b"good", b"bad", b"nobody")
        lines = [Line(0, b'{"review_id":"%b","sentiment":"POSITIVE"}' % name) for name in names]
        found = evaluate_file(lines, lambda: index_of_four, "gold.jsonl")
        assert (found.tally.documents, found.missing) == (2, 1)
        assert found.tally.cells("2020-01") == {
            (Sentiment.POSITIVE, Sentiment.POSITIVE): 1,
            (Sentiment.POSITIVE, Sentiment.NEGATIVE): 1,
        }

    def test_the_limit_bounds_the_hits_and_not_the_total(self, index_of_four: SearchIndex) -> None:
        found = search(index_of_four, Query(limit=1))
        assert (found.total, len(found.hits)) == (4, 1)

    def test_a_document_is_found_as_it_was_written(self, index_of_four: SearchIndex) -> None:
        (hit,) = search(index_of_four, Query(business_id="b2")).hits
        assert hit.document == document("soup", text="Only soup.", business_id="b2")

    def test_a_query_full_of_operators_is_never_an_error(self, index_of_four: SearchIndex) -> None:
        for text in ('"', "+", "-", "((", "*", "a~999999999999", "\\", "\u202e", "AND OR NOT"):
            search(index_of_four, Query(text=text))
