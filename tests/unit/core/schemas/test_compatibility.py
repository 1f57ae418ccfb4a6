"""Our answer is that of Apache's own checker, and it says where."""

import json
from typing import Any

import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from avro.errors import AvroException
from avro.schema import parse
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.schemas.compatibility import incompatibilities
from tests.contract.schema_pairs import PAIRS, TRIPLES, Pair, Triple

names = st.sampled_from(["A", "B"])
PRIMITIVES = ("null", "boolean", "int", "long", "float", "double", "bytes", "string")
primitives = st.sampled_from(PRIMITIVES)


def fields(types: st.SearchStrategy[Any]) -> st.SearchStrategy[list[dict[str, Any]]]:
    field = st.tuples(st.sampled_from("xyz"), types, st.booleans())
    return st.lists(field, max_size=3, unique_by=lambda f: f[0]).map(
        lambda made: [
            {"name": name, "type": ["null", kind], "default": None}
            if with_default and isinstance(kind, str) and kind != "null"
            else {"name": name, "type": kind}
            for name, kind, with_default in made
        ]
    )


leaves = (
    primitives
    | st.builds(
        lambda name, symbols, default: (
            {"type": "enum", "name": f"E{name}", "symbols": symbols}
            | ({"default": symbols[0]} if default else {})
        ),
        names,
        st.lists(st.sampled_from("PQR"), min_size=1, unique=True),
        st.booleans(),
    )
    | st.builds(
        lambda name, size: {"type": "fixed", "name": f"F{name}", "size": size},
        names,
        st.integers(1, 2),
    )
)
types = st.recursive(
    leaves,
    lambda inner: (
        inner.map(lambda items: {"type": "array", "items": items})
        | inner.map(lambda values: {"type": "map", "values": values})
        | st.builds(lambda f: {"type": "record", "name": "R", "fields": f}, fields(inner))
        | st.lists(primitives, unique=True, min_size=1, max_size=3)
    ),
    max_leaves=4,
)


def well_formed(schema: Any) -> bool:
    try:
        parse(json.dumps(schema))
    except AvroException:  # such as one name for two types
        return False
    return True


@given(types.filter(well_formed), types.filter(well_formed))
def test_the_answer_is_that_of_apaches_checker(reader: Any, writer: Any) -> None:
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call] # avro's own
    theirs = checker.get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    ours = incompatibilities(reader=json.dumps(reader), writer=json.dumps(writer))
    assert (not ours) == (theirs.compatibility is SchemaCompatibilityType.compatible), ours


@pytest.mark.parametrize("writer", PRIMITIVES)
@pytest.mark.parametrize("reader", PRIMITIVES)
def test_a_number_is_read_as_a_wider_one_and_text_as_bytes(reader: str, writer: str) -> None:
    checker = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call] # avro's own
    theirs = checker.get_compatibility(parse(json.dumps(reader)), parse(json.dumps(writer)))
    ours = incompatibilities(reader=json.dumps(reader), writer=json.dumps(writer))
    assert (not ours) == (theirs.compatibility is SchemaCompatibilityType.compatible), ours


@given(types.filter(well_formed))
def test_every_schema_reads_its_own_data(schema: Any) -> None:
    assert incompatibilities(reader=json.dumps(schema), writer=json.dumps(schema)) == ()


def record(*fields: dict[str, Any], **more: Any) -> str:
    return json.dumps({"type": "record", "name": "R", "fields": list(fields), **more})


@pytest.mark.parametrize(
    ("reader", "writer", "problem"),
    [
        (record({"name": "a", "type": "int"}), record(), "$.a: is not in the data and has no"),
        (
            record({"name": "a", "type": "int"}),
            record({"name": "a", "type": "long"}),
            "$.a: long cannot be read as int",
        ),
        (
            record({"name": "a", "type": {"type": "array", "items": "int"}}),
            record({"name": "a", "type": {"type": "array", "items": "string"}}),
            "$.a[]: string cannot be read as int",
        ),
        (
            record({"name": "a", "type": {"type": "map", "values": "int"}}),
            record({"name": "a", "type": {"type": "map", "values": "string"}}),
            "$.a{}: string cannot be read as int",
        ),
        ('"int"', '["null", "int"]', "$: null cannot be read as int"),
        ('["null", "int"]', '"string"', "$: no branch of the reader's union takes string"),
        (
            '{"type": "enum", "name": "E", "symbols": ["P"]}',
            '{"type": "enum", "name": "E", "symbols": ["P", "Q"]}',
            "$: unknown symbols Q, and no default",
        ),
        (
            '{"type": "fixed", "name": "F", "size": 2}',
            '{"type": "fixed", "name": "F", "size": 3}',
            "$: 3 bytes cannot be read as 2",
        ),
        (
            '{"type": "enum", "name": "E", "symbols": ["P"]}',
            '{"type": "enum", "name": "E", "symbols": ["Q", "P", "R"]}',
            "$: unknown symbols Q, R, and no default",
        ),
        (record(name="other.Q"), record(), "$: R cannot be read as other.Q"),
        (
            '{"type": "enum", "name": "E", "symbols": ["P"]}',
            '{"type": "enum", "name": "D", "symbols": ["P"]}',
            "$: D cannot be read as E",
        ),
        (
            '{"type": "fixed", "name": "F", "size": 2}',
            '{"type": "fixed", "name": "G", "size": 2}',
            "$: G cannot be read as F",
        ),
    ],
)
def test_a_problem_is_named_with_its_path(reader: str, writer: str, problem: str) -> None:
    (found,) = incompatibilities(reader=reader, writer=writer)
    assert found.startswith(problem)


def test_a_renamed_record_or_field_is_found_by_its_alias() -> None:
    old = record({"name": "a", "type": "int"})
    new = record({"name": "b", "aliases": ["a"], "type": "int"}, name="S", aliases=["R"])
    assert incompatibilities(reader=new, writer=old) == ()


def test_a_new_field_with_a_default_is_no_problem() -> None:
    old = record({"name": "a", "type": "int"})
    new = record({"name": "b", "type": "int", "default": 0})
    assert incompatibilities(reader=new, writer=old) == ()


def test_a_recursive_schema_is_compared_once() -> None:
    tree = record({"name": "next", "type": ["null", "R"], "default": None})
    assert incompatibilities(reader=tree, writer=tree) == ()


def test_a_record_used_twice_is_named_in_both_places() -> None:
    def twice(kind: str) -> str:
        inner = {"type": "record", "name": "In", "fields": [{"name": "x", "type": kind}]}
        return record({"name": "a", "type": inner}, {"name": "b", "type": "In"})

    problems = incompatibilities(reader=twice("int"), writer=twice("string"))
    assert [problem.partition(":")[0] for problem in problems] == ["$.a.x", "$.b.x"]


def test_a_type_inside_a_type_is_the_inner_one() -> None:
    assert incompatibilities(reader='{"type": {"type": "string"}}', writer='"string"') == ()


def test_a_logical_type_is_compared_as_what_it_is_stored_as() -> None:
    stamp = '{"type": "long", "logicalType": "timestamp-millis"}'
    assert incompatibilities(reader='"long"', writer=stamp) == ()
    assert incompatibilities(reader=stamp, writer='"int"') == ()


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_the_pairs_that_registries_are_asked_about_are_judged_alike(pair: Pair) -> None:
    assert _fits(pair.old, pair.new) == (pair.backward, pair.forward)


@pytest.mark.parametrize("triple", TRIPLES, ids=lambda triple: triple.name)
def test_of_three_schemas_the_last_fits_the_second_whatever_the_first(triple: Triple) -> None:
    first, second, last = triple.schemas
    assert _fits(second, last) == (True, True)
    assert _fits(first, last) == (triple.backward, triple.forward)


def _fits(old: str, new: str) -> tuple[bool, bool]:
    """Whether the new schema reads old data, and the old one new data."""
    return (
        not incompatibilities(reader=new, writer=old),
        not incompatibilities(reader=old, writer=new),
    )
