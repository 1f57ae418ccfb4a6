"""What every Elasticsearch must find, and count; and what the complete one can do besides.

Source: Elastic, "Elasticsearch API documentation", 8 and 9; "Query DSL"; "Aggregations".
"""

from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from tests.contract.elasticsearch_api import MAPPING, refused

MONTHS = [
    round(datetime(2020, month, 28, 23, 59, tzinfo=UTC).timestamp() * 1000) for month in range(1, 4)
]
DOCUMENTS: Mapping[str, Mapping[str, Any]] = {
    "good": {"text": "The pizzas were great.", "mood": "joy", "stars": 5.0, "at": MONTHS[0]},
    "bad": {"text": "Cold pizza!", "mood": "grief", "stars": 1.0, "at": MONTHS[0]},
    "soup": {"text": "Only soup.", "mood": "joy", "stars": 4.0, "at": MONTHS[1]},
    "none": {"text": "", "stars": 3.0, "at": MONTHS[2]},
}
Query = dict[str, Any]


class SearchContract:
    @pytest.fixture(autouse=True)
    def _filled(self, client: Elasticsearch, index: str) -> None:
        client.indices.create(index=index, mappings=MAPPING)
        for name, document in DOCUMENTS.items():
            client.index(index=index, id=name, document=document)
        client.indices.refresh(index=index)

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ({"match_all": {}}, {"good", "bad", "soup", "none"}),
            ({"match": {"text": "PIZZA"}}, {"good", "bad"}),
            ({"match": {"text": "pizza soup"}}, {"good", "bad", "soup"}),
            ({"match": {"text": {"query": "cold pizza", "operator": "and"}}}, {"bad"}),
            ({"match_phrase": {"text": "cold pizza"}}, {"bad"}),
            ({"simple_query_string": {"query": '"cold pizza" | soup'}}, {"bad", "soup"}),
            ({"term": {"mood": "joy"}}, {"good", "soup"}),
            ({"term": {"mood": "JOY"}}, set()),
            ({"terms": {"mood": ["joy", "grief"]}}, {"good", "bad", "soup"}),
            ({"range": {"stars": {"gt": 3, "lte": 4}}}, {"soup"}),
            ({"range": {"at": {"gte": MONTHS[1], "lt": MONTHS[2]}}}, {"soup"}),
            ({"exists": {"field": "mood"}}, {"good", "bad", "soup"}),
            ({"ids": {"values": ["good", "no"]}}, {"good"}),
            ({"prefix": {"mood": "gr"}}, {"bad"}),
            (
                {
                    "bool": {
                        "must": {"match": {"text": "pizza"}},
                        "must_not": {"term": {"mood": "grief"}},
                        "filter": {"range": {"stars": {"gte": 2}}},
                    }
                },
                {"good"},
            ),
        ],
        ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
    )
    def test_a_query_finds_what_fits(
        self, client: Elasticsearch, index: str, query: Query, ids: set[str]
    ) -> None:
        found = client.search(index=index, query=query)["hits"]
        assert {hit["_id"] for hit in found["hits"]} == ids
        assert found["total"] == {"value": len(ids), "relation": "eq"}
        assert client.count(index=index, query=query)["count"] == len(ids)

    def test_a_hit_is_the_document_or_those_of_its_fields_that_are_wanted(
        self, client: Elasticsearch, index: str
    ) -> None:
        query = {"ids": {"values": ["soup"]}}
        whole = client.search(index=index, query=query)["hits"]["hits"][0]["_source"]
        assert whole == DOCUMENTS["soup"]
        some = client.search(index=index, query=query, source={"includes": ["mood"]})["hits"][
            "hits"
        ][0]
        assert some["_source"] == {"mood": "joy"}

    def test_hits_come_in_the_order_that_is_asked_for(
        self, client: Elasticsearch, index: str
    ) -> None:
        found = client.search(index=index, sort=[{"at": "desc"}, {"stars": "asc"}])
        assert [hit["_id"] for hit in found["hits"]["hits"]] == ["none", "soup", "bad", "good"]

    def test_the_better_match_comes_first(self, client: Elasticsearch, index: str) -> None:
        hits = client.search(index=index, query={"match": {"text": "cold pizza"}})["hits"]["hits"]
        assert [hit["_id"] for hit in hits] == ["bad", "good"]
        assert hits[0]["_score"] > hits[1]["_score"] > 0

    def test_a_page_ends_and_the_total_does_not(self, client: Elasticsearch, index: str) -> None:
        found = client.search(index=index, size=1, from_=1, sort=[{"stars": "asc"}])["hits"]
        assert [hit["_id"] for hit in found["hits"]] == ["none"]
        assert found["total"]["value"] == 4

    def test_pages_after_one_another_have_every_document_once(
        self, client: Elasticsearch, index: str
    ) -> None:
        point = client.open_point_in_time(index=index, keep_alive="1m")["id"]
        seen: list[str] = []
        after: list[Any] | None = None
        while True:
            hits = client.search(
                size=1,
                pit={"id": point, "keep_alive": "1m"},
                sort=[{"stars": "asc"}],
                search_after=after,
            )["hits"]["hits"]
            if not hits:
                break
            seen.append(hits[0]["_id"])
            after = hits[0]["sort"]
            client.index(index=index, document={"stars": 9.0}, refresh=True)  # seen by none
        client.close_point_in_time(id=point)
        assert seen == ["bad", "none", "soup", "good"]

    def test_words_that_match_are_marked(self, client: Elasticsearch, index: str) -> None:
        mark: Query = {"fields": {"text": {}}, "pre_tags": ["["], "post_tags": ["]"]}
        query = {"match": {"text": "pizza"}}
        hits = client.search(index=index, query=query, highlight=mark)["hits"]["hits"]
        marked = {hit["_id"]: hit["highlight"]["text"] for hit in hits}
        assert marked == {"good": ["The [pizzas] were great."], "bad": ["Cold [pizza]!"]}

    def test_documents_are_counted_by_term_by_month_and_by_range(
        self, client: Elasticsearch, index: str
    ) -> None:
        wanted: Query = {
            "moods": {
                "terms": {"field": "mood", "order": {"_key": "asc"}},
                "aggs": {"stars": {"avg": {"field": "stars"}}},
            },
            "months": {
                "date_histogram": {"field": "at", "calendar_interval": "month", "format": "yyyy-MM"}
            },
            "good": {"filter": {"range": {"stars": {"gte": 4}}}},
            "different": {"cardinality": {"field": "mood"}},
        }
        found = client.search(index=index, size=0, aggs=wanted)["aggregations"]
        assert [
            (each["key"], each["doc_count"], each["stars"]["value"])
            for each in found["moods"]["buckets"]
        ] == [("grief", 1, 1.0), ("joy", 2, 4.5)]
        months = [(each["key_as_string"], each["doc_count"]) for each in found["months"]["buckets"]]
        assert months == [("2020-01", 2), ("2020-02", 1), ("2020-03", 1)]
        assert (found["good"]["doc_count"], found["different"]["value"]) == (2, 2)

    @pytest.mark.parametrize(
        ("body", "kind"),
        [
            ({"query": {"guess": {}}}, "parsing_exception"),
            ({"query": {"match": {}}}, "parsing_exception"),
            ({"sort": [{"text": "asc"}]}, "search_phase_execution_exception"),
            ({"aggs": {"a": {"terms": {"field": "text"}}}}, "search_phase_execution_exception"),
            ({"query": {"range": {"at": {"gte": "soon"}}}}, "search_phase_execution_exception"),
            ({"size": -1}, "illegal_argument_exception"),
            ({"from_": 10_001}, "search_phase_execution_exception"),
        ],
        ids=str,
    )
    def test_a_search_that_makes_no_sense_is_refused(
        self, client: Elasticsearch, index: str, body: Query, kind: str
    ) -> None:
        with refused(400, kind):
            client.search(index=index, **body)

    def test_an_index_that_is_not_there_is_an_error_unless_one_does_not_mind(
        self, client: Elasticsearch, index: str
    ) -> None:
        with refused(404, "index_not_found_exception"):
            client.search(index=f"{index}-no")
        found = client.search(index=f"{index}-no", ignore_unavailable=True)
        assert found["hits"]["total"]["value"] == 0


class DistributionContract:
    """What is not in every build of the server."""

    @pytest.fixture(autouse=True)
    def _index(self, client: Elasticsearch, index: str) -> None:
        client.indices.create(index=index, mappings=MAPPING)
        client.index(index=index, id="a", document={"count": 1}, refresh=True)

    def test_a_script_changes_a_document(self, client: Elasticsearch, index: str) -> None:
        client.update(index=index, id="a", script={"source": "ctx._source.count += 1"})
        assert client.get(index=index, id="a")["_source"] == {"count": 2}

    def test_an_index_is_copied_into_another(self, client: Elasticsearch, index: str) -> None:
        copy = f"{index}-copy"
        client.reindex(source={"index": index}, dest={"index": copy}, refresh=True)
        assert client.count(index=copy)["count"] == 1

    def test_what_a_query_finds_is_deleted(self, client: Elasticsearch, index: str) -> None:
        client.delete_by_query(index=index, query={"match_all": {}}, refresh=True)
        assert client.count(index=index)["count"] == 0

    def test_a_pipeline_changes_what_is_written(self, client: Elasticsearch, index: str) -> None:
        with ExitStack() as undo:
            steps: list[Query] = [{"set": {"field": "mood", "value": "joy"}}]
            client.ingest.put_pipeline(id=index, processors=steps)
            undo.callback(client.ingest.delete_pipeline, id=index)
            client.index(index=index, id="b", document={}, pipeline=index)
        assert client.get(index=index, id="b")["_source"] == {"mood": "joy"}

    def test_a_data_stream_takes_documents(self, client: Elasticsearch, index: str) -> None:
        stream = f"{index}-stream"
        with ExitStack() as undo:
            client.indices.put_index_template(
                name=stream, index_patterns=[stream], data_stream={}, priority=500
            )
            undo.callback(client.indices.delete_index_template, name=stream)
            client.indices.create_data_stream(name=stream)
            undo.callback(client.indices.delete_data_stream, name=stream)
            client.index(index=stream, document={"@timestamp": 0}, refresh=True)
            assert client.count(index=stream)["count"] == 1

    def test_a_policy_of_an_indexs_life_is_kept(self, client: Elasticsearch, index: str) -> None:
        with ExitStack() as undo:
            client.ilm.put_lifecycle(name=index, policy={"phases": {"hot": {"actions": {}}}})
            undo.callback(client.ilm.delete_lifecycle, name=index)
            assert index in client.ilm.get_lifecycle(name=index)
