"""What every Elasticsearch must do with many documents at once; provide `client`.

Source: Elastic, "Elasticsearch API documentation", 8 and 9: "Bulk", "Multi get".
"""

import pytest
from elasticsearch import Elasticsearch

from tests.contract.elasticsearch_api import MAPPING, bulk_lines, refused


class BulkContract:
    @pytest.fixture(autouse=True)
    def _index(self, client: Elasticsearch, index: str) -> None:
        client.indices.create(index=index, mappings=MAPPING)

    def test_each_item_has_its_own_verdict_in_order_and_the_good_ones_are_kept(
        self, client: Elasticsearch, index: str
    ) -> None:
        client.bulk(index=index, operations=bulk_lines(("index", {"_id": "old", "version": 9}, {})))
        answer = client.bulk(
            index=index,
            operations=bulk_lines(
                ("index", {"_id": "new", "version": 1}, {"count": 1}),
                ("index", {"_id": "old", "version": 8}, {"count": 2}),
                ("index", {"_id": "odd", "version": 1}, {"colour": "red"}),
                ("delete", {"_id": "none", "version": 1}, None),
                ("index", {"_id": "last", "version": 1}, {"count": 3}),
            ),
            refresh=True,
        )
        assert answer["errors"] is True
        items = [item for each in answer["items"] for item in each.values()]
        assert [item["_id"] for item in items] == ["new", "old", "odd", "none", "last"]
        assert [item["status"] for item in items] == [201, 409, 400, 404, 201]
        assert items[1]["error"]["type"] == "version_conflict_engine_exception"
        assert items[2]["error"]["type"] == "strict_dynamic_mapping_exception"
        assert client.count(index=index)["count"] == 3

    def test_where_all_goes_well_there_are_no_errors(
        self, client: Elasticsearch, index: str
    ) -> None:
        lines = bulk_lines(
            *(("index", {"_id": str(n), "version": 1}, {"count": n}) for n in range(200))
        )
        answer = client.bulk(index=index, operations=lines, refresh="wait_for")
        assert answer["errors"] is False
        assert client.count(index=index)["count"] == 200

    def test_a_body_that_makes_no_sense_is_refused_as_a_whole(
        self, client: Elasticsearch, index: str
    ) -> None:
        with refused(400, "illegal_argument_exception"):
            client.bulk(index=index, operations=[{"throw": {}}, {}])
        assert client.count(index=index)["count"] == 0

    def test_an_index_that_is_not_there_is_the_items_error(
        self, client: Elasticsearch, index: str
    ) -> None:
        lines = bulk_lines(("index", {"_id": "a", "_index": f"{index}-no", "version": 1}, {}))
        answer = client.bulk(operations=lines, require_alias=True)
        (item,) = answer["items"]
        assert (item["index"]["status"], item["index"]["error"]["type"]) == (
            404,
            "index_not_found_exception",
        )

    def test_several_documents_are_given_at_once(self, client: Elasticsearch, index: str) -> None:
        client.bulk(index=index, operations=bulk_lines(("index", {"_id": "a", "version": 1}, {})))
        found = client.mget(index=index, ids=["a", "no"])["docs"]
        assert [each["found"] for each in found] == [True, False]
