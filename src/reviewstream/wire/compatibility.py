"""Avro schema resolution, asked beforehand: can data of one schema be read with another?

Source: Apache Avro 1.12 specification, "Schema Resolution".
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, TypeAlias

_Type: TypeAlias = str | Mapping[str, Any] | list[Any]
_Names: TypeAlias = dict[str, Mapping[str, Any]]

_PROMOTED: Final[Mapping[str, frozenset[str]]] = {  # writer -> readers beside itself
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}


def incompatibilities(*, reader: str, writer: str) -> tuple[str, ...]:
    """Return what keeps data written with one schema from being read with the other.

    Args:
        reader: A valid Avro schema in JSON, as is `writer`.
        writer: The schema of the data.

    Returns:
        One line for each problem, the field's path (`$.stars`) first; empty if there is none.
    """
    check = _Check(_named(json.loads(reader)), _named(json.loads(writer)))
    return tuple(check.problems(json.loads(reader), json.loads(writer), "$"))


class _Check:
    """One comparison. Names are compared without their namespace, as Avro does."""

    def __init__(self, reader_names: _Names, writer_names: _Names) -> None:
        self._reader_names = reader_names
        self._writer_names = writer_names
        self._parts = {
            "array": self._array,
            "enum": self._enum,
            "fixed": self._fixed,
            "map": self._map,
            "record": self._record,
        }
        self._open: set[tuple[str, str]] = set()  # records being compared: they may be recursive

    def problems(self, reader: _Type, writer: _Type, path: str) -> Iterator[str]:
        """Yield what is wrong at `path` and below."""
        reader = _resolved(reader, self._reader_names)
        writer = _resolved(writer, self._writer_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.problems(reader, branch, path)
        elif isinstance(reader, list):
            if not any(not list(self.problems(branch, writer, path)) for branch in reader):
                yield f"{path}: no branch of the reader's union takes {_kind(writer)}"
        else:
            yield from self._plain(reader, writer, path)

    def _plain(
        self, reader: str | Mapping[str, Any], writer: str | Mapping[str, Any], path: str
    ) -> Iterator[str]:
        wanted, given = _kind(reader), _kind(writer)
        if wanted != given:
            if wanted not in _PROMOTED.get(given, frozenset()):
                yield f"{path}: {given} cannot be read as {wanted}"
        elif isinstance(reader, Mapping) and isinstance(writer, Mapping) and given in self._parts:
            yield from self._parts[given](reader, writer, path)

    def _record(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], path: str
    ) -> Iterator[str]:
        yield from _other_name(reader, writer, path)
        pair = (reader["name"], writer["name"])
        if pair in self._open:
            return
        self._open.add(pair)
        written = {field["name"]: field for field in writer["fields"]}
        for field in reader["fields"]:
            names = (field["name"], *field.get("aliases", ()))
            there = next((written[name] for name in names if name in written), None)
            if there is not None:
                below = f"{path}.{field['name']}"
                yield from self.problems(field["type"], there["type"], below)
            elif "default" not in field:
                yield f"{path}.{field['name']}: is not in the data and has no default"
        self._open.discard(pair)

    def _enum(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], path: str
    ) -> Iterator[str]:
        yield from _other_name(reader, writer, path)
        unknown = [symbol for symbol in writer["symbols"] if symbol not in reader["symbols"]]
        if unknown and "default" not in reader:
            yield f"{path}: unknown symbols {', '.join(unknown)}, and no default"

    def _fixed(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], path: str
    ) -> Iterator[str]:
        yield from _other_name(reader, writer, path)
        if reader["size"] != writer["size"]:
            yield f"{path}: {writer['size']} bytes cannot be read as {reader['size']}"

    def _array(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], path: str
    ) -> Iterator[str]:
        yield from self.problems(reader["items"], writer["items"], f"{path}[]")

    def _map(
        self, reader: Mapping[str, Any], writer: Mapping[str, Any], path: str
    ) -> Iterator[str]:
        yield from self.problems(reader["values"], writer["values"], f"{path}{{}}")


def _other_name(reader: Mapping[str, Any], writer: Mapping[str, Any], path: str) -> Iterator[str]:
    names = {_short(name) for name in (reader["name"], *reader.get("aliases", ()))}
    if _short(writer["name"]) not in names:
        yield f"{path}: {writer['name']} cannot be read as {reader['name']}"


def _kind(schema: _Type) -> str:
    """Return `long`, `record`, ... whatever the logical type."""
    if isinstance(schema, str):
        return schema
    return "union" if isinstance(schema, list) else _kind(schema["type"])


def _resolved(schema: _Type, names: _Names) -> _Type:
    """Return the definition behind a name, and the type inside `{"type": {...}}`."""
    if isinstance(schema, str):
        return names.get(_short(schema), schema)
    if isinstance(schema, Mapping) and not isinstance(schema["type"], str):
        return _resolved(schema["type"], names)
    return schema


def _named(schema: _Type) -> _Names:
    """Return every named type that is defined inside a schema."""
    if isinstance(schema, str):
        return {}
    if isinstance(schema, list):
        parts: list[_Type] = schema
        own: _Names = {}
    else:
        fields = (field["type"] for field in schema.get("fields", ()))
        parts = [*fields, *(schema[key] for key in ("type", "items", "values") if key in schema)]
        own = {_short(schema["name"]): schema} if "name" in schema else {}
    return own | {name: found for part in parts for name, found in _named(part).items()}


def _short(name: str) -> str:
    return name.rpartition(".")[2]
