"""What the types and names in a schema stand for."""

import json
from typing import Any

import pytest

from reviewstream.core.schemas.definitions import (
    Definitions,
    definitions,
    is_finite,
    kind_of,
    resolved,
    short_name,
)
from reviewstream.core.schemas.schema_files import (
    SCHEMA_NAMES,
    SchemaName,
    released_schemas,
    schema_text,
)

INNER = {"type": "enum", "name": "E", "symbols": ["P"]}


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ("long", "long"),
        (["null", "int"], "union"),
        ([], "union"),
        ({"type": "long", "logicalType": "timestamp-millis"}, "long"),
        ({"type": {"type": "map", "values": "int"}}, "map"),
        ({"type": ["null", "int"]}, "union"),
        (INNER, "enum"),
    ],
)
def test_a_schema_has_a_kind_whatever_its_form(schema: Any, kind: str) -> None:
    assert kind_of(schema) == kind


@pytest.mark.parametrize(
    "schema",
    [
        INNER,
        ["null", INNER],
        {"type": INNER},
        {"type": "array", "items": INNER},
        {"type": "map", "values": INNER},
        {"type": "map", "values": {"type": "array", "items": ["null", INNER]}},
        {"type": "record", "name": "R", "fields": [{"name": "a", "type": INNER}]},
    ],
)
def test_a_type_is_found_wherever_it_is_defined(schema: Any) -> None:
    assert definitions(schema)["E"] == INNER


def test_a_schema_without_names_defines_nothing() -> None:
    assert definitions("E") == {}
    assert definitions({"type": "array", "items": "E"}) == {}


def test_a_name_stands_for_its_definition_with_or_without_its_namespace() -> None:
    names: Definitions = {"E": INNER}
    assert resolved("E", names) == resolved("contract.E", names) == INNER
    assert resolved("contract.F", names) == "contract.F"


def test_a_type_inside_types_is_the_innermost() -> None:
    assert resolved({"type": {"type": INNER}}, {}) == INNER
    assert resolved({"type": {"type": ["null", "int"]}}, {}) == ["null", "int"]


def test_a_short_name_is_the_part_after_the_last_dot() -> None:
    assert short_name("a.b.C") == short_name("C") == "C"


def record_of(schema: Any) -> Any:
    return {"type": "record", "name": "R", "fields": [{"name": "a", "type": schema}]}


@pytest.mark.parametrize(
    "schema",
    [
        "string",
        INNER,
        ["null", INNER],
        record_of({"type": INNER}),
        {"type": "fixed", "name": "F", "size": 2},
        {"type": "long", "logicalType": "timestamp-millis"},
    ],
)
def test_where_nothing_can_come_twice_a_schema_is_finite(schema: Any) -> None:
    assert is_finite(schema)
    assert is_finite(record_of(schema))


@pytest.mark.parametrize(
    "schema",
    [
        "R",
        "array",
        "enum",  # a record may be called so
        {"type": "array", "items": "null"},
        {"type": {"type": "map", "values": "int"}},
        ["null", "R"],
        {"type": "error", "name": "R", "fields": [{"name": "a", "type": "R"}]},
    ],
)
def test_where_something_may_come_twice_a_schema_is_not_finite(schema: Any) -> None:
    assert not is_finite(schema)
    assert not is_finite(record_of(schema))


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_our_own_schemas_are_finite_so_that_every_version_can_be_read(name: SchemaName) -> None:
    texts = [schema_text(name), *(text for _, text in released_schemas(name))]
    assert all(is_finite(json.loads(text)) for text in texts)
