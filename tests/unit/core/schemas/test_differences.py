"""Every change between two schemas is told, and whom it breaks is what Avro's rules say."""

import json
from typing import Any

import pytest
from hypothesis import given

from reviewstream.core.schemas.compatibility import incompatibilities
from reviewstream.core.schemas.differences import ChangeKind, SchemaDiff, compare_schemas
from reviewstream.core.schemas.schema_files import (
    SCHEMA_NAMES,
    SchemaName,
    released_schemas,
    schema_text,
)
from tests.contract.schema_pairs import (
    B0,
    PAIRS,
    A,
    B,
    Pair,
    array,
    enum,
    field,
    fixed,
    inner,
    mapped,
    record,
    typed,
)
from tests.unit.core.schemas.test_compatibility import types, well_formed

schemas = types.filter(well_formed)
LEVELS = {
    (True, True): "FULL",
    (True, False): "BACKWARD",
    (False, True): "FORWARD",
    (False, False): "NONE",
}


def told(old: str, new: str) -> list[tuple[str, ChangeKind, str]]:
    return [(each.path, each.kind, each.what) for each in compare_schemas(old, new).changes]


@given(schemas, schemas)
def test_nothing_is_told_only_of_schemas_that_are_the_same(old: Any, new: Any) -> None:
    changes = told(json.dumps(old), json.dumps(new))
    assert (not changes) == (old == new), changes


@given(schemas, schemas)
def test_who_breaks_is_who_cannot_read(old: Any, new: Any) -> None:
    before, after = json.dumps(old), json.dumps(new)
    found = compare_schemas(before, after)
    assert found.old_readers == incompatibilities(reader=before, writer=after)
    assert found.new_readers == incompatibilities(reader=after, writer=before)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: pair.name)
def test_the_level_is_the_strictest_that_allows_the_change(pair: Pair) -> None:
    found = compare_schemas(pair.old, pair.new)
    assert found.changes
    assert found.level == LEVELS[pair.backward, pair.forward]
    assert pair.allows(found.level)


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_what_was_released_can_be_compared_with_today(name: SchemaName) -> None:
    for _, text in released_schemas(name):
        found = compare_schemas(text, schema_text(name))
        assert (found.old_readers, found.new_readers) == ((), ())


def test_fields_that_come_and_go_are_told_with_their_type_and_default() -> None:
    gone = field(["null", {"type": "long", "logicalType": "timestamp-millis"}], "t", default=None)
    assert told(record(A, gone), record(A, field(inner(A), "i"))) == [
        ("$.i", "added", "added: record Inner, no default"),
        ("$.t", "removed", "removed: null or timestamp-millis (long), default null"),
    ]


def test_a_field_renamed_with_an_alias_is_one_change_and_what_else_changed_others() -> None:
    renamed = field("long", "z", aliases=["b"], doc="New.")
    what = [each[1:] for each in told(record(A, field("int", "b")), record(A, renamed))]
    assert what == [
        ("renamed", "renamed from b; an alias says so"),
        ("other", 'aliases ["b"] is new'),
        ("doc", "described in other words"),
        ("type", "type changed from int to long"),
    ]


def test_a_field_renamed_back_is_known_by_the_alias_that_the_old_one_had() -> None:
    old = record(field("int", "z", aliases=["b"]))
    assert told(old, record(field("int", "b")))[0] == (
        "$.b",
        "renamed",
        "renamed from z; an alias says so",
    )


def test_a_field_that_only_looks_renamed_says_what_avro_makes_of_it() -> None:
    ((path, kind, what),) = told(record(A), record(field("string", "z")))
    assert (path, kind) == ("$.z", "renamed")
    assert what == (
        "looks renamed from a, but no alias says so: "
        "to Avro one field is removed and another is added"
    )


def test_of_two_fields_that_look_like_one_only_the_first_is_taken_for_it() -> None:
    new = record(field("int", "c"), field("int", "d"))
    kinds = [(path, kind) for path, kind, _ in told(record(field("int", "a")), new)]
    assert kinds == [("$.c", "renamed"), ("$.d", "added")]


def test_an_alias_is_believed_before_a_likeness() -> None:
    old = record(field("int", "a"), field("int", "b"))
    new = record(field("int", "c"), field("int", "d", aliases=["a"]))
    whats = [what for _, kind, what in told(old, new) if kind == "renamed"]
    assert whats[0].startswith("looks renamed from b,")
    assert whats[1] == "renamed from a; an alias says so"


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        (record(A, B), record(A, B0), "default 0 is new"),
        (record(A, B0), record(A, B), "default 0 is gone"),
        (record(B0), record(field("long", "b", default=9)), "default changed from 0 to 9"),
    ],
)
def test_a_default_that_changes_is_told(old: str, new: str, what: str) -> None:
    assert told(old, new) == [("$.b", "default", what)]


def test_words_alone_are_told_as_words_alone() -> None:
    assert told(record(A), record({**A, "doc": "More."}, doc="Most.")) == [
        ("$", "doc", "described in other words"),
        ("$.a", "doc", "described in other words"),
    ]


@pytest.mark.parametrize(
    ("schemas", "path", "what"),
    [
        (typed("int", "long"), "$.a", "int to long"),
        (typed("string", ["null", "string"]), "$.a", "string to null or string"),
        (typed("string", ["string"]), "$.a", "string to a union of string alone"),
        (typed("string", enum("P")), "$.a", "string to enum E"),
        (typed(array("int"), mapped("int")), "$.a", "array of int to map of int"),
        (typed(array("int"), array("long")), "$.a[]", "int to long"),
        (typed(mapped("int"), mapped("long")), "$.a{}", "int to long"),
        (typed(fixed(2), fixed(3)), "$.a", "2 bytes to 3 bytes"),
        (
            typed("long", {"type": "long", "logicalType": "timestamp-millis"}),
            "$.a",
            "long to timestamp-millis (long)",
        ),
        (typed("string", {"type": "bytes"}), "$.a", "string to bytes"),
        (('"int"', '"long"'), "$", "int to long"),
    ],
)
def test_a_type_that_changes_is_told_at_its_place(
    schemas: tuple[str, str], path: str, what: str
) -> None:
    assert told(*schemas) == [(path, "type", f"type changed from {what}")]


def test_symbols_that_come_go_and_change_places_are_told() -> None:
    old, new = typed(enum("P", "Q", "R"), enum("S", "T", "R", "P", default="S"))
    assert told(old, new) == [
        ("$.a", "default", 'default "S" is new'),
        ("$.a", "symbols", "enum E gained S, T"),
        ("$.a", "symbols", "enum E lost Q"),
        ("$.a", "order", "symbols of E changed places"),
    ]


def test_fields_and_branches_that_change_places_are_told() -> None:
    assert told(record(A, B), record(B, A)) == [("$", "order", "fields changed places")]
    branches = typed(["null", "int"], ["int", "null"])
    assert told(*branches) == [("$.a", "order", "branches of the union changed places")]


def test_a_type_that_is_renamed_is_told() -> None:
    assert told(record(A), record(A, name="S")) == [
        ("$", "renamed", "record renamed from R to S"),
    ]


def test_what_changes_in_a_branch_is_told_where_it_is() -> None:
    old, new = typed(["null", inner(A)], ["null", inner(A, B0)])
    assert told(old, new) == [("$.a.b", "added", "added: long, default 0")]


def test_a_record_that_may_be_null_now_is_looked_into_as_well() -> None:
    old, new = typed(inner(A), ["null", inner(A, B0)])
    for one, other, kind in ((old, new, "added"), (new, old, "removed")):
        assert [each[:2] for each in told(one, other)] == [("$.a", "type"), ("$.a.b", kind)]


def test_an_attribute_of_a_type_that_is_only_a_name_elsewhere_is_told() -> None:
    old, new = typed("string", {"type": "string", "avro.java.string": "String"})
    assert told(old, new) == [("$.a", "other", 'avro.java.string "String" is new')]
    assert told(new, old) == [("$.a", "other", 'avro.java.string "String" is gone')]


def test_an_attribute_that_only_programs_read_is_told_too() -> None:
    assert told(record(A), record(A, owner="me")) == [("$", "other", 'owner "me" is new')]


def test_a_type_used_twice_is_told_of_once_and_a_recursive_one_ends() -> None:
    def tree(*more: dict[str, Any]) -> str:
        following = field(["null", "R"], "next", default=None)
        return record(following, field(inner(A, *more), "i"), field("Inner", "j"))

    assert told(tree(), tree(B0)) == [("$.i.b", "added", "added: long, default 0")]


def test_where_a_type_is_defined_makes_no_difference() -> None:
    one = record(field(array(inner(A)), "x"), field(["null", array("Inner")], "y"))
    other = record(field(array(inner(A)), "x"), field(["null", array("contract.Inner")], "y"))
    assert compare_schemas(one, other) == SchemaDiff(changes=(), old_readers=(), new_readers=())
