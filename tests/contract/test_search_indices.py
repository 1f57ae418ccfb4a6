"""The index in memory and Elasticsearch."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

import pytest
from elasticsearch import BadRequestError, ConflictError
from elasticsearch import Elasticsearch as Client

from reviewstream.adapters.elasticsearch_index import ElasticsearchIndex
from reviewstream.core.evaluation.expected import evaluate_index
from reviewstream.core.index.ports import SearchIndex
from reviewstream.core.index.searching import report
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import ConfigError
from reviewstream.settings import ElasticsearchSettings
from reviewstream.testing import MemoryIndex
from reviewstream_testbed import Elasticsearch
from tests.contract.search_index import MAPPING, SearchIndexContract, Write, document, moment


class TestMemory(SearchIndexContract):
    @pytest.fixture
    def search_index(self) -> MemoryIndex:
        return MemoryIndex()

    @pytest.fixture
    def write(self, search_index: MemoryIndex) -> Write:
        return search_index.put


class TestReal(SearchIndexContract):
    @pytest.fixture
    def client(self, elasticsearch: Elasticsearch) -> Iterator[Client]:
        with Client(elasticsearch.url) as client:
            yield client

    @pytest.fixture
    def search_index(self, elasticsearch: Elasticsearch, index: str) -> Iterator[SearchIndex]:
        settings = ElasticsearchSettings(url=elasticsearch.url, index=index)
        with ElasticsearchIndex(settings) as search_index:
            yield search_index

    @pytest.fixture
    def write(self, client: Client, index: str) -> Write:
        def put(each: Mapping[str, Any], version: int) -> None:
            with suppress(ConflictError):
                client.index(
                    index=index,
                    id=each["review_id"],
                    document=each,
                    version=version,
                    version_type="external_gte",
                )

        return put

    def test_the_first_index_is_behind_the_alias(
        self, search_index: SearchIndex, client: Client, index: str
    ) -> None:
        search_index.setup(MAPPING)
        answer = client.indices.get_alias(name=index)
        assert answer.body == {f"{index}-v1": {"aliases": {index: {"is_write_index": True}}}}

    def test_the_next_index_has_the_mapping_too(
        self, search_index: SearchIndex, client: Client, index: str
    ) -> None:
        search_index.setup(MAPPING)
        client.indices.create(index=f"{index}-v2")
        answer = client.indices.get_mapping(index=f"{index}-v2")
        assert answer[f"{index}-v2"]["mappings"]["dynamic"] == "strict"

    def test_an_unknown_field_is_refused(
        self, search_index: SearchIndex, client: Client, index: str
    ) -> None:
        search_index.setup(MAPPING)
        with pytest.raises(BadRequestError, match="strict_dynamic_mapping_exception"):
            client.index(index=index, document=document("r", mood="fine"))

    def test_an_index_in_the_aliass_place_is_named(
        self, search_index: SearchIndex, client: Client, index: str
    ) -> None:
        client.indices.create(index=index)
        with pytest.raises(ConfigError, match=f"{index} at .* is an index"):
            search_index.setup(MAPPING)

    @pytest.mark.parametrize("year", [1, 1969, 9999])
    def test_a_time_of_any_year_is_indexed(
        self, search_index: SearchIndex, write: Write, year: int
    ) -> None:
        search_index.setup(MAPPING)
        write(document("r", written_at=moment(year, 1, 1)), 1)
        search_index.refresh()
        assert search_index.count() == 1

    def test_the_report_counts_by_sentiment_stars_month_and_business(
        self, index_of_four: SearchIndex
    ) -> None:
        found = report(index_of_four)
        assert found.documents == 4
        assert found.sentiments == {"POSITIVE": 3, "NEUTRAL": 0, "NEGATIVE": 1}
        assert found.agreement == 1.0
        assert [(row.key, row.documents) for row in found.by_stars] == [("1.0", 1), ("4.0", 3)]
        assert [(row.key, row.documents) for row in found.by_month] == [("2020-01", 4)]
        assert [(row.key, row.documents) for row in found.businesses] == [("b1", 3), ("b2", 1)]

    def test_the_report_of_an_empty_index_is_empty(self, search_index: SearchIndex) -> None:
        search_index.setup(MAPPING)
        found = report(search_index)
        assert (found.documents, found.agreement, found.by_stars) == (0, None, ())

    def test_labels_are_counted_against_stars_by_month_and_prompt_version(
        self, search_index: SearchIndex, write: Write
    ) -> None:
        search_index.setup(MAPPING)
        assert evaluate_index(search_index).tally.documents == 0
        newer = {"model": "m", "prompt_version": 2, "labelled_at": moment(2026, 1, 1)}
        write(document("good"), 1)
        write(document("half", stars=3.5, sentiment="NEUTRAL"), 1)
        write(document("wrong", stars=1.0, written_at=moment(1999, 12, 31)), 1)
        write(document("newer", stars=2.0, sentiment="NEGATIVE", provenance=newer), 1)
        search_index.refresh()
        tally = evaluate_index(search_index).tally
        assert tally.months() == ["1999-12", "2020-01"]
        assert tally.cells("1999-12") == {(Sentiment.NEGATIVE, Sentiment.POSITIVE): 1}
        assert tally.cells("2020-01") == {(one, one): 1 for one in Sentiment}
        assert evaluate_index(search_index, prompt_version=2).tally.cells() == {
            (Sentiment.NEGATIVE, Sentiment.NEGATIVE): 1
        }
