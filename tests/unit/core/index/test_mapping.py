"""Every field of the schema has its place in the index, and nothing else has."""

import json
from typing import Any

import pytest

from reviewstream.core.index.mapping import index_mapping, mapping_drift
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.errors import PermanentError


@pytest.fixture
def labelled() -> dict[str, Any]:
    return index_mapping(schema_text("labelled_review"))


def mapping_of(*kinds: Any, name: str = "a") -> Any:
    fields = [{"name": name, "type": kind} for kind in kinds]
    return index_mapping(json.dumps({"type": "record", "name": "R", "fields": fields}))


def test_a_field_that_the_schema_does_not_name_is_refused(labelled: dict[str, Any]) -> None:
    assert labelled["dynamic"] == "strict"


def test_every_field_of_the_schema_has_a_mapping(labelled: dict[str, Any]) -> None:
    schema = json.loads(schema_text("labelled_review"))
    assert list(labelled["properties"]) == [field["name"] for field in schema["fields"]]


def test_the_text_is_searched_as_english_and_an_id_as_it_is(labelled: dict[str, Any]) -> None:
    assert labelled["properties"]["text"] == {"type": "text", "analyzer": "english"}
    assert labelled["properties"]["business_id"] == {"type": "keyword"}


def test_a_record_in_a_record_is_an_object_with_its_own_fields(labelled: dict[str, Any]) -> None:
    provenance = labelled["properties"]["provenance"]
    assert provenance["type"] == "object"
    assert provenance["properties"]["request_id"] == {"type": "keyword"}


@pytest.mark.parametrize(
    ("kind", "mapped"),
    [
        ("string", "keyword"),
        ("int", "integer"),
        ("long", "long"),
        ("float", "float"),
        ("double", "double"),
        ("boolean", "boolean"),
        ("bytes", "binary"),
        (["null", "double"], "double"),
        (["string", "null"], "keyword"),
        ({"type": "enum", "name": "E", "symbols": ["A"]}, "keyword"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "date"),
    ],
)
def test_each_type_of_avro_has_its_type_in_the_index(kind: Any, mapped: str) -> None:
    assert mapping_of(kind)["properties"]["a"]["type"] == mapped


@pytest.mark.parametrize(
    ("kind", "problem"),
    [
        ({"type": "map", "values": "int"}, r"\$\.a: Avro's map"),
        (["null", "int", "string"], r"\$\.a: a union of 2 types"),
        (["null", {"type": "array", "items": "int"}], r"\$\.a: Avro's array"),
    ],
)
def test_a_type_that_has_no_place_in_the_index_is_named(kind: Any, problem: str) -> None:
    with pytest.raises(PermanentError, match=problem):
        mapping_of(kind)


def test_a_type_below_another_is_named_with_its_whole_path() -> None:
    inner = {"name": "b", "type": ["null", {"type": "array", "items": "int"}]}
    with pytest.raises(PermanentError, match=r"^\$\.a\.b: Avro's array has no mapping"):
        mapping_of(["null", {"type": "record", "name": "I", "fields": [inner]}])


def test_a_nullable_text_is_still_a_text() -> None:
    mapped = mapping_of(["null", "string"], name="text")
    assert mapped["properties"]["text"]["type"] == "text"


def test_an_index_with_the_wanted_mapping_has_no_drift(labelled: dict[str, Any]) -> None:
    assert mapping_drift(labelled, labelled) == ()


def test_what_elasticsearch_leaves_out_or_writes_otherwise_is_no_drift() -> None:
    wanted = {"dynamic": True, "properties": {"o": {"type": "object", "properties": {}}}}
    assert mapping_drift(wanted, {"dynamic": "true", "properties": {"o": {"properties": {}}}}) == ()


def test_a_format_in_other_capitals_is_drift() -> None:
    (found,) = mapping_drift({"format": "yyyy-MM-dd"}, {"format": "yyyy-mm-dd"})
    assert found == "$: format is yyyy-mm-dd, wanted yyyy-MM-dd"


def test_every_difference_is_named_with_its_path(labelled: dict[str, Any]) -> None:
    actual = {
        "dynamic": "true",
        "properties": {
            **{name: field for name, field in labelled["properties"].items() if name != "cool"},
            "stars": {"type": "float"},
            "provenance": {
                "properties": {
                    **labelled["properties"]["provenance"]["properties"],
                    "mood": {"type": "keyword"},
                }
            },
        },
    }
    assert mapping_drift(labelled, actual) == (
        "$: dynamic is true, wanted strict",
        "$.stars: type is float, wanted double",
        "$.cool: is not in the index",
        "$.provenance.mood: is not in the schema",
    )
