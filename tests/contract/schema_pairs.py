"""Pairs of schemas, and who can read whose data: facts of Avro that no server may see otherwise.

Source: Apache Avro 1.12 specification, "Schema Resolution"; Confluent, "Schema Evolution and
Compatibility".
"""

import json
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

Table: TypeAlias = dict[str, tuple[str, str]]  # name -> old schema, new schema

LEVELS = (
    "NONE",
    "BACKWARD",
    "BACKWARD_TRANSITIVE",
    "FORWARD",
    "FORWARD_TRANSITIVE",
    "FULL",
    "FULL_TRANSITIVE",
)


@dataclass(frozen=True)
class Pair:
    """An old schema and the one that is to follow it.

    Attributes:
        backward: A reader with the new schema reads old data.
        forward: A reader with the old schema reads new data.
    """

    name: str
    old: str
    new: str
    backward: bool
    forward: bool

    def allows(self, level: str) -> bool:
        """Whether a registry at this level takes the new schema after the old one."""
        return _allowed(level, backward=self.backward, forward=self.forward)

    def as_seen_by(self, misread: Collection[str]) -> "Pair":
        """Return the pair as it looks to a server that misreads pairs of these names."""
        known = self.name not in misread
        return replace(self, backward=self.backward and known, forward=self.forward and known)


@dataclass(frozen=True)
class Triple:
    """Three schemas of which the last and the second read each other; the first is another matter.

    Attributes:
        backward: A reader with the last schema reads data of the first.
        forward: A reader with the first schema reads data of the last.
    """

    name: str
    schemas: tuple[str, str, str]
    backward: bool
    forward: bool

    def allows(self, level: str) -> bool:
        """Whether a registry at this level takes the last schema after the other two."""
        oldest_counts = level.endswith("TRANSITIVE")
        fits = _allowed(level, backward=self.backward, forward=self.forward)
        return fits or not oldest_counts


def _allowed(level: str, *, backward: bool, forward: bool) -> bool:
    needs_backward = level.startswith(("BACKWARD", "FULL"))
    needs_forward = level.startswith(("FORWARD", "FULL"))
    return (backward or not needs_backward) and (forward or not needs_forward)


def record(*fields: dict[str, Any], **more: Any) -> str:
    whole = {"type": "record", "name": "R", "namespace": "contract", "fields": list(fields)}
    return json.dumps(whole | more)


def field(of_type: Any, name: str = "a", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": of_type, **more}


def enum(*symbols: str, **more: Any) -> dict[str, Any]:
    return {"type": "enum", "name": "E", "symbols": list(symbols), **more}


def inner(*fields: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"type": "record", "name": "Inner", "fields": list(fields), **more}


def fixed(size: int, name: str = "F") -> dict[str, Any]:
    return {"type": "fixed", "name": name, "size": size}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def mapped(values: Any) -> dict[str, Any]:
    return {"type": "map", "values": values}


def typed(old: Any, new: Any) -> tuple[str, str]:
    """Two records that differ in the type of their field."""
    return record(field(old)), record(field(new))


A = field("string")
B = field("long", "b")
B0 = field("long", "b", default=0)
C0 = field("long", "c", default=0)
STAMP = {"type": "long", "logicalType": "timestamp-millis"}

BOTH: Table = {
    "a field with a default is added": (record(A), record(A, B0)),
    "a field with a default is dropped": (record(A, B0), record(A)),
    "a field that may be null is added": (
        record(A),
        record(A, field(["null", "string"], "b", default=None)),
    ),
    "one field is swapped for another, both with defaults": (record(A, B0), record(A, C0)),
    "a default is given": (record(A, B), record(A, B0)),
    "a default is taken away": (record(A, B0), record(A, B)),
    "a default is changed": (record(A, B0), record(A, field("long", "b", default=9))),
    "fields change places": (record(A, B), record(B, A)),
    "string becomes bytes": typed("string", "bytes"),
    "bytes become string": typed("bytes", "string"),
    "long becomes a timestamp": typed("long", STAMP),
    "branches change places": typed(["null", "string"], ["string", "null"]),
    "an enum with a default gains a symbol": typed(
        enum("P", default="P"), enum("P", "Q", default="P")
    ),
    "an enum with a default loses a symbol": typed(
        enum("P", "Q", default="P"), enum("P", default="P")
    ),
    "symbols change places": typed(enum("P", "Q"), enum("Q", "P")),
    "an inner record gains a field with a default": typed(inner(A), inner(A, B0)),
}
NEW_READS_OLD: Table = {
    "a field without a default is dropped": (record(A, B), record(A)),
    "a field is renamed and has a default": (
        record(A),
        record(field("string", "z", default="")),
    ),
    "a field is renamed with an alias": (record(A), record(field("string", "z", aliases=["a"]))),
    "int becomes long": typed("int", "long"),
    "int becomes float": typed("int", "float"),
    "int becomes double": typed("int", "double"),
    "long becomes float": typed("long", "float"),
    "long becomes double": typed("long", "double"),
    "float becomes double": typed("float", "double"),
    "a field may become null": typed("string", ["null", "string"]),
    "a union gains a branch": typed(["null", "string"], ["null", "string", "long"]),
    "a branch is widened": typed(["null", "int"], ["null", "long"]),
    "an enum gains a symbol": typed(enum("P"), enum("P", "Q")),
    "items are widened": typed(array("int"), array("long")),
    "an inner record loses a field without a default": typed(inner(A, B), inner(A)),
    "the record is renamed with an alias": (record(A), record(A, name="S", aliases=["R"])),
    "the whole schema is widened": ('"int"', '"long"'),
}
OLD_READS_NEW: Table = {
    "a field without a default is added": (record(A), record(A, B)),
    "one field is swapped for another without a default": (
        record(A, B0),
        record(A, field("long", "c")),
    ),
    "long becomes int": typed("long", "int"),
    "double becomes long": typed("double", "long"),
    "a field may not be null any more": typed(["null", "string"], "string"),
    "a union loses a branch": typed(["null", "string", "long"], ["null", "string"]),
    "an enum loses a symbol": typed(enum("P", "Q"), enum("P")),
    "items are narrowed": typed(array("long"), array("int")),
    "an inner record gains a field without a default": typed(inner(A), inner(A, B)),
    "an array's record gains a field without a default": typed(array(inner(A)), array(inner(A, B))),
}
NEITHER: Table = {
    "a field is renamed": (record(A), record(field("string", "z"))),
    "string becomes int": typed("string", "int"),
    "boolean becomes int": typed("boolean", "int"),
    "two unions have nothing in common": typed(["null", "string"], ["boolean", "long"]),
    "an enum becomes a string": typed(enum("P"), "string"),
    "values become another type": typed(mapped("int"), mapped("string")),
    "an array becomes a map": typed(array("int"), mapped("int")),
    "a fixed grows": typed(fixed(2), fixed(3)),
    "a fixed is renamed": typed(fixed(2), fixed(2, "G")),
    "the record is renamed": (record(A), record(A, name="S")),
    "the whole schema becomes another type": ('"int"', '"string"'),
}
PAIRS = tuple(
    Pair(name, *schemas, backward=backward, forward=forward)
    for table, backward, forward in (
        (BOTH, True, True),
        (NEW_READS_OLD, True, False),
        (OLD_READS_NEW, False, True),
        (NEITHER, False, False),
    )
    for name, schemas in table.items()
)

TRIPLES = (
    Triple(
        "a field comes back as another type",
        (record(A, B0), record(A), record(A, field("string", "b", default=""))),
        backward=False,
        forward=False,
    ),
    Triple(
        "a field loses the default it came with",
        (record(A), record(A, B0), record(A, B)),
        backward=False,
        forward=True,
    ),
    Triple(
        "a field is dropped that once had no default",
        (record(A, B), record(A, B0), record(A)),
        backward=True,
        forward=False,
    ),
    Triple(
        "a field with a default comes and goes",
        (record(A), record(A, B0), record(A, field("string", "c", default=""))),
        backward=True,
        forward=True,
    ),
)
