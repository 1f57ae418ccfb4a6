"""What every Elasticsearch must do with indices and documents; provide `client`.

Spoken with Elastic's own client, so that the server is judged and not our adapter.

Source: Elastic, "Elasticsearch API documentation", 8 and 9.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import permutations
from typing import Any

import pytest
from elasticsearch import ApiError, Elasticsearch, NotFoundError

MAPPING: Mapping[str, Any] = {
    "dynamic": "strict",
    "properties": {
        "text": {"type": "text", "analyzer": "english"},
        "mood": {"type": "keyword"},
        "stars": {"type": "double"},
        "count": {"type": "long"},
        "at": {"type": "date", "format": "epoch_millis"},
        "by": {"properties": {"model": {"type": "keyword"}}},
    },
}


@contextmanager
def refused(status: int, kind: str) -> Iterator[None]:
    """See that what is asked inside is refused, with this HTTP status and type of error."""
    with pytest.raises(ApiError) as caught:
        yield
    assert (caught.value.status_code, caught.value.error) == (status, kind), caught.value.body


def bulk_lines(*items: tuple[str, dict[str, Any], dict[str, Any] | None]) -> list[dict[str, Any]]:
    """Return the lines of a bulk request whose versions are the writer's own."""
    return [
        line
        for verb, meta, document in items
        for line in ({verb: {"version_type": "external_gte"} | meta}, document)
        if line is not None
    ]


class IndicesContract:
    def test_an_index_has_the_mapping_and_settings_that_it_was_created_with(
        self, client: Elasticsearch, index: str
    ) -> None:
        client.indices.create(index=index, mappings=MAPPING, settings={"number_of_shards": 2})
        assert client.indices.exists(index=index)
        assert client.indices.get_mapping(index=index)[index]["mappings"] == MAPPING
        settings = client.indices.get_settings(index=index)[index]["settings"]
        assert settings["index"]["number_of_shards"] == "2"

    def test_an_index_cannot_be_created_twice(self, client: Elasticsearch, index: str) -> None:
        client.indices.create(index=index)
        with refused(400, "resource_already_exists_exception"):
            client.indices.create(index=index)

    @pytest.mark.parametrize("name", ["UPPER", "a b", "a#b", "_a", "-a", 'a"b', "x" * 256])
    def test_a_name_that_is_none_is_refused(self, client: Elasticsearch, name: str) -> None:
        with refused(400, "invalid_index_name_exception"):
            client.indices.create(index=name)

    def test_a_type_that_does_not_exist_is_refused(self, client: Elasticsearch, index: str) -> None:
        with refused(400, "mapper_parsing_exception"):
            client.indices.create(index=index, mappings={"properties": {"a": {"type": "rumour"}}})
        assert not client.indices.exists(index=index)

    def test_a_deleted_index_is_gone(self, client: Elasticsearch, index: str) -> None:
        client.indices.create(index=index)
        client.indices.delete(index=index)
        assert not client.indices.exists(index=index)
        with refused(404, "index_not_found_exception"):
            client.indices.delete(index=index)

    def test_a_field_is_added_to_a_mapping_and_never_changed(
        self, client: Elasticsearch, index: str
    ) -> None:
        client.indices.create(index=index, mappings=MAPPING)
        client.indices.put_mapping(index=index, properties={"new": {"type": "keyword"}})
        assert "new" in client.indices.get_mapping(index=index)[index]["mappings"]["properties"]
        with refused(400, "illegal_argument_exception"):
            client.indices.put_mapping(index=index, properties={"mood": {"type": "long"}})

    def test_an_index_that_fits_a_template_is_made_after_it(
        self, client: Elasticsearch, index: str
    ) -> None:
        template = {"mappings": MAPPING}
        client.indices.put_index_template(
            name=index, index_patterns=[f"{index}-*"], template=template, priority=500
        )
        client.indices.create(index=f"{index}-1")
        made = client.indices.get_mapping(index=f"{index}-1")
        assert made[f"{index}-1"]["mappings"] == MAPPING
        client.indices.delete_index_template(name=index)
        with pytest.raises(NotFoundError):
            client.indices.get_index_template(name=index)


class AliasesContract:
    @pytest.fixture
    def two(self, client: Elasticsearch, index: str) -> tuple[str, str]:
        """Two indices, the first behind the alias `index`."""
        first, second = f"{index}-1", f"{index}-2"
        client.indices.create(index=first, aliases={index: {"is_write_index": True}})
        client.indices.create(index=second)
        return first, second

    def test_an_alias_is_written_and_read_like_its_index(
        self, client: Elasticsearch, index: str, two: tuple[str, str]
    ) -> None:
        client.index(index=index, id="a", document={"n": 1}, require_alias=True)
        assert client.get(index=two[0], id="a")["_source"] == {"n": 1}
        assert client.get(index=index, id="a")["_index"] == two[0]
        answer = client.indices.get_alias(name=index)
        assert answer.body == {two[0]: {"aliases": {index: {"is_write_index": True}}}}

    def test_an_alias_moves_to_another_index_in_one_step(
        self, client: Elasticsearch, index: str, two: tuple[str, str]
    ) -> None:
        first, second = two
        steps: list[dict[str, Any]] = [
            {"remove": {"index": first, "alias": index}},
            {"add": {"index": second, "alias": index}},
        ]
        client.indices.update_aliases(actions=steps)
        assert [*client.indices.get_alias(name=index)] == [second]

    def test_of_several_steps_all_are_taken_or_none(
        self, client: Elasticsearch, index: str, two: tuple[str, str]
    ) -> None:
        steps: list[dict[str, Any]] = [
            {"remove": {"index": two[0], "alias": index}},
            {"add": {"index": f"{index}-no", "alias": index}},
        ]
        with refused(404, "index_not_found_exception"):
            client.indices.update_aliases(actions=steps)
        assert [*client.indices.get_alias(name=index)] == [two[0]]

    def test_an_alias_of_two_indices_takes_documents_for_its_write_index_only(
        self, client: Elasticsearch, index: str, two: tuple[str, str]
    ) -> None:
        client.indices.put_alias(index=two[1], name=index)
        assert client.index(index=index, document={"n": 1})["_index"] == two[0]
        client.indices.put_alias(index=two[0], name=index, is_write_index=False)
        with refused(400, "illegal_argument_exception"):
            client.index(index=index, document={"n": 1})

    def test_a_writer_who_wants_an_alias_gets_no_index_in_its_place(
        self, client: Elasticsearch, index: str
    ) -> None:
        with refused(404, "index_not_found_exception"):
            client.index(index=index, document={}, require_alias=True)
        assert not client.indices.exists(index=index)


class DocumentsContract:
    @pytest.fixture(autouse=True)
    def _index(self, client: Elasticsearch, index: str) -> None:
        client.indices.create(index=index, mappings=MAPPING)

    def put(self, client: Elasticsearch, index: str, count: int, version: int, kind: str) -> None:
        document = {"count": count}
        client.index(index=index, id="a", document=document, version=version, version_type=kind)

    def test_a_document_is_given_back_as_it_was_written(
        self, client: Elasticsearch, index: str
    ) -> None:
        document = {"text": "Стул 😍\n", "stars": 0.1, "at": -1, "by": {"model": ""}, "mood": None}
        told = client.index(index=index, id="ключ/1", document=document)
        assert (told["result"], told["_version"]) == ("created", 1)
        found = client.get(index=index, id="ключ/1")
        assert (found["_source"], found["_version"]) == (document, 1)

    def test_a_document_that_is_not_there_is_not_found(
        self, client: Elasticsearch, index: str
    ) -> None:
        with pytest.raises(NotFoundError) as caught:
            client.get(index=index, id="no")
        assert caught.value.body["found"] is False
        with refused(404, "index_not_found_exception"):
            client.get(index=f"{index}-no", id="a")

    def test_a_document_is_given_at_once_and_found_after_a_refresh(
        self, client: Elasticsearch, index: str
    ) -> None:
        client.indices.put_settings(index=index, settings={"refresh_interval": "-1"})
        client.index(index=index, id="a", document={})
        assert client.exists(index=index, id="a")
        assert client.count(index=index)["count"] == 0
        client.indices.refresh(index=index)
        assert client.count(index=index)["count"] == 1

    @pytest.mark.parametrize(
        ("document", "kind"),
        [
            ({"colour": "red"}, "strict_dynamic_mapping_exception"),
            ({"by": {"name": "x"}}, "strict_dynamic_mapping_exception"),
            ({"stars": "many"}, "document_parsing_exception"),
            ({"at": "yesterday"}, "document_parsing_exception"),
            ({"by": "someone"}, "document_parsing_exception"),
        ],
    )
    def test_a_document_that_does_not_fit_the_mapping_is_refused(
        self, client: Elasticsearch, index: str, document: dict[str, Any], kind: str
    ) -> None:
        with refused(400, kind):
            client.index(index=index, id="a", document=document)
        assert not client.exists(index=index, id="a")

    def test_what_is_only_to_be_created_is_never_replaced(
        self, client: Elasticsearch, index: str
    ) -> None:
        client.create(index=index, id="a", document={"count": 1})
        with refused(409, "version_conflict_engine_exception"):
            client.create(index=index, id="a", document={"count": 2})
        assert client.get(index=index, id="a")["_source"] == {"count": 1}

    def test_a_change_is_refused_where_another_came_first(
        self, client: Elasticsearch, index: str
    ) -> None:
        seen = client.index(index=index, id="a", document={"count": 1})
        unless = {"if_seq_no": seen["_seq_no"], "if_primary_term": seen["_primary_term"]}
        client.index(index=index, id="a", document={"count": 2}, **unless)
        with refused(409, "version_conflict_engine_exception"):
            client.index(index=index, id="a", document={"count": 3}, **unless)

    @pytest.mark.parametrize("kind", ["external", "external_gte"])
    def test_a_lower_version_of_ones_own_is_refused(
        self, client: Elasticsearch, index: str, kind: str
    ) -> None:
        self.put(client, index, 1, 7, kind)
        with refused(409, "version_conflict_engine_exception"):
            self.put(client, index, 2, 6, kind)
        found = client.get(index=index, id="a")
        assert (found["_version"], found["_source"]) == (7, {"count": 1})

    def test_the_same_version_is_a_conflict_or_a_replay_as_one_says(
        self, client: Elasticsearch, index: str
    ) -> None:
        self.put(client, index, 1, 7, "external")
        with refused(409, "version_conflict_engine_exception"):
            self.put(client, index, 2, 7, "external")
        self.put(client, index, 2, 7, "external_gte")
        assert client.get(index=index, id="a")["_source"] == {"count": 2}

    def test_the_largest_version_is_that_of_a_signed_64_bit_number(
        self, client: Elasticsearch, index: str
    ) -> None:
        self.put(client, index, 1, 2**63 - 1, "external_gte")
        assert client.get(index=index, id="a")["_version"] == 2**63 - 1

    @pytest.mark.parametrize("order", [*permutations((1, 2, 3))], ids=str)
    def test_whatever_the_order_the_highest_version_stays(
        self, client: Elasticsearch, index: str, order: tuple[int, ...]
    ) -> None:
        for version in order:
            lines = bulk_lines(("index", {"_id": "a", "version": version}, {"count": version}))
            client.bulk(index=index, operations=lines)
        assert client.get(index=index, id="a")["_source"] == {"count": 3}

    def test_what_a_higher_version_deleted_does_not_come_back(
        self, client: Elasticsearch, index: str
    ) -> None:
        self.put(client, index, 1, 5, "external_gte")
        client.delete(index=index, id="a", version=6, version_type="external_gte")
        with refused(409, "version_conflict_engine_exception"):
            self.put(client, index, 1, 5, "external_gte")
        assert not client.exists(index=index, id="a")

    def test_an_id_has_at_most_512_bytes(self, client: Elasticsearch, index: str) -> None:
        client.index(index=index, id="x" * 512, document={})
        with refused(400, "action_request_validation_exception"):
            client.index(index=index, id="x" * 513, document={})
