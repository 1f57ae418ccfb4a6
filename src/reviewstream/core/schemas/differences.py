"""Differences between two Avro schemas in words, and the readers that they break.

Source: Apache Avro 1.12 specification, "Schema Resolution"; Confluent, "Compatibility Types".
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from reviewstream.core.schemas.compatibility import incompatibilities
from reviewstream.core.schemas.definitions import (
    AvroType,
    Definitions,
    definitions,
    kind_of,
    resolved,
    short_name,
)

ChangeKind: TypeAlias = Literal[
    "added", "removed", "renamed", "type", "default", "symbols", "order", "doc", "other"
]
_Fields: TypeAlias = Sequence[Mapping[str, Any]]
_COMPARED: Final = frozenset(  # compared separately; other attributes are compared by equality
    {"fields", "items", "logicalType", "name", "size", "symbols", "type", "values"}
)
_MISSING: Final = object()


class Change(Struct, frozen=True, kw_only=True):
    """One difference.

    Attributes:
        path: Path of the field, such as `$.stars`; `$` is the whole schema.
        what: Description in words.
    """

    path: str
    kind: ChangeKind
    what: str


class SchemaDiff(Struct, frozen=True, kw_only=True):
    """The comparison of two schemas.

    Attributes:
        changes: Empty if both are equivalent.
        old_readers: Reasons why readers with the old schema cannot read new data.
        new_readers: Reasons why readers with the new schema cannot read old data.
    """

    changes: tuple[Change, ...]
    old_readers: tuple[str, ...]
    new_readers: tuple[str, ...]

    @property
    def level(self) -> str:
        """The strictest compatibility level that allows the new schema after the old one."""
        match (not self.new_readers, not self.old_readers):
            case (True, True):
                return "FULL"
            case (True, False):
                return "BACKWARD"
            case (False, True):
                return "FORWARD"
            case _:
                return "NONE"


def compare_schemas(old: str, new: str) -> SchemaDiff:
    """Return the differences from one valid Avro schema to another."""
    before, after = json.loads(old), json.loads(new)
    comparison = _Comparison(definitions(before), definitions(after))
    return SchemaDiff(
        changes=tuple(comparison.changes(before, after, "$")),
        old_readers=incompatibilities(reader=old, writer=new),
        new_readers=incompatibilities(reader=new, writer=old),
    )


class _Comparison:
    """One comparison. A type that occurs twice is compared at its first occurrence."""

    def __init__(self, old_names: Definitions, new_names: Definitions) -> None:
        self._old_names = old_names
        self._new_names = new_names
        self._seen: set[tuple[str, str]] = set()
        self._parts = {
            "array": self._array,
            "enum": _enum,
            "fixed": _fixed,
            "map": self._map,
            "record": self._record,
        }

    def changes(self, old: AvroType, new: AvroType, path: str) -> Iterator[Change]:
        """Yield the changes at `path` and below."""
        old, new = resolved(old, self._old_names), resolved(new, self._new_names)
        if isinstance(old, list) or isinstance(new, list):
            yield from self._union(old, new, path)
        elif kind_of(old) != kind_of(new) or _logical(old) != _logical(new):
            yield self._retyped(old, new, path)
        elif isinstance(old, Mapping) or isinstance(new, Mapping):
            yield from self._plain(_spelled_out(old), _spelled_out(new), path)

    def _plain(self, old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
        if "name" in old:
            pair = (old["name"], new["name"])
            if pair in self._seen:
                return
            self._seen.add(pair)
            yield from _renamed_type(old, new, path)
        yield from _attributes(old, new, path)
        if compare := self._parts.get(kind_of(old)):
            yield from compare(old, new, path)

    def _union(self, old: AvroType, new: AvroType, path: str) -> Iterator[Change]:
        before = {_described(branch, self._old_names): branch for branch in _branches(old)}
        after = {_described(branch, self._new_names): branch for branch in _branches(new)}
        if before.keys() != after.keys() or isinstance(old, list) != isinstance(new, list):
            yield self._retyped(old, new, path)
        elif list(before) != list(after):
            yield Change(path=path, kind="order", what="branches of the union changed places")
        for key, branch in before.items():
            if key in after:
                yield from self.changes(branch, after[key], path)

    def _retyped(self, old: AvroType, new: AvroType, path: str) -> Change:
        return _retyped(_described(old, self._old_names), _described(new, self._new_names), path)

    def _record(
        self, old: Mapping[str, Any], new: Mapping[str, Any], path: str
    ) -> Iterator[Change]:
        before = {field["name"]: field for field in old["fields"]}
        after = {field["name"]: field for field in new["fields"]}
        renamed = _renamed_fields(
            [field for field in old["fields"] if field["name"] not in after],
            [field for field in new["fields"] if field["name"] not in before],
        )
        for name, field in after.items():
            former = before.get(renamed.get(name, name))
            if former is None:
                what = f"added: {_summary(field, self._new_names)}"
                yield Change(path=f"{path}.{name}", kind="added", what=what)
            else:
                yield from self._field(former, field, f"{path}.{name}")
        for name, field in before.items():
            if name not in after and name not in renamed.values():
                what = f"removed: {_summary(field, self._old_names)}"
                yield Change(path=f"{path}.{name}", kind="removed", what=what)
        yield from _order(list(before), list(after), "fields", path)

    def _array(self, old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
        return self.changes(old["items"], new["items"], f"{path}[]")

    def _map(self, old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
        return self.changes(old["values"], new["values"], f"{path}{{}}")

    def _field(self, old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
        yield from _field_name(old, new, path)
        yield from _attributes(old, new, path)
        yield from self.changes(old["type"], new["type"], path)


def _renamed_fields(removed: _Fields, added: _Fields) -> Mapping[str, str]:
    """Return new name -> old name for fields joined by an alias, or equal except for the name."""
    found: dict[str, str] = {}
    for is_same in (_joined, _alike):
        for field in added:
            for former in removed:
                free = field["name"] not in found and former["name"] not in found.values()
                if free and is_same(former, field):
                    found[field["name"]] = former["name"]
    return found


def _joined(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return old["name"] in new.get("aliases", ()) or new["name"] in old.get("aliases", ())


def _alike(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Say whether only the name differs."""
    return {**old, "name": ""} == {**new, "name": ""}


def _field_name(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
    if old["name"] == new["name"]:
        return
    if _joined(old, new):
        what = f"renamed from {old['name']}; an alias says so"
    else:
        what = (
            f"looks renamed from {old['name']}, but no alias says so: to Avro one field is removed "
            "and another is added"
        )
    yield Change(path=path, kind="renamed", what=what)


def _renamed_type(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
    if old["name"] != new["name"]:
        what = f"{kind_of(new)} renamed from {old['name']} to {new['name']}"
        yield Change(path=path, kind="renamed", what=what)


def _enum(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
    before, after = old["symbols"], new["symbols"]
    gained = [symbol for symbol in after if symbol not in before]
    lost = [symbol for symbol in before if symbol not in after]
    for verb, symbols in (("gained", gained), ("lost", lost)):
        if symbols:
            what = f"enum {new['name']} {verb} {', '.join(symbols)}"
            yield Change(path=path, kind="symbols", what=what)
    yield from _order(before, after, f"symbols of {new['name']}", path)


def _fixed(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
    if old["size"] != new["size"]:
        yield _retyped(f"{old['size']} bytes", f"{new['size']} bytes", path)


def _order(old: Sequence[str], new: Sequence[str], things: str, path: str) -> Iterator[Change]:
    if [each for each in old if each in new] != [each for each in new if each in old]:
        yield Change(path=path, kind="order", what=f"{things} changed places")


def _attributes(old: Mapping[str, Any], new: Mapping[str, Any], path: str) -> Iterator[Change]:
    """Yield changes of the doc, the default, the aliases and all other attributes."""
    for key in dict.fromkeys((*old, *new)):
        before, after = old.get(key, _MISSING), new.get(key, _MISSING)
        if key not in _COMPARED and before != after:
            kind: ChangeKind = "doc" if key == "doc" else "default" if key == "default" else "other"
            yield Change(path=path, kind=kind, what=_attribute(key, before, after))


def _attribute(key: str, old: object, new: object) -> str:
    if key == "doc":
        return "described in other words"
    if old is _MISSING:
        return f"{key} {_shown(new)} is new"
    if new is _MISSING:
        return f"{key} {_shown(old)} is gone"
    return f"{key} changed from {_shown(old)} to {_shown(new)}"


def _retyped(old: str, new: str, path: str) -> Change:
    return Change(path=path, kind="type", what=f"type changed from {old} to {new}")


def _summary(field: Mapping[str, Any], names: Definitions) -> str:
    default = f"default {_shown(field['default'])}" if "default" in field else "no default"
    return f"{_described(field['type'], names)}, {default}"


def _described(schema: AvroType, names: Definitions) -> str:
    """Return a short description of a type: `null or string`, `enum Sentiment`, `array of long`."""
    schema = resolved(schema, names)
    if isinstance(schema, str):
        return schema
    if isinstance(schema, list):
        words = " or ".join(_described(branch, names) for branch in schema)
        return f"a union of {words} alone" if len(schema) == 1 else words
    kind = kind_of(schema)
    for key, word in (("items", "array of"), ("values", "map of")):
        if key in schema:
            return f"{word} {_described(schema[key], names)}"
    if "name" in schema:
        return f"{kind} {short_name(schema['name'])}"
    return f"{schema['logicalType']} ({kind})" if "logicalType" in schema else kind


def _spelled_out(schema: str | Mapping[str, Any]) -> Mapping[str, Any]:
    return {"type": schema} if isinstance(schema, str) else schema


def _logical(schema: str | Mapping[str, Any]) -> object:
    return None if isinstance(schema, str) else schema.get("logicalType")


def _branches(schema: AvroType) -> list[Any]:
    return schema if isinstance(schema, list) else [schema]


def _shown(value: object) -> str:
    return json.dumps(value)
