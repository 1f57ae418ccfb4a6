"""Avro schema resolution as a check: whether data of one schema can be read with another.

Source: Apache Avro 1.12 specification, "Schema Resolution".
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reviewstream.core.schemas.definitions import (
    AvroType,
    Definitions,
    definitions,
    kind_of,
    resolved,
    short_name,
)

_PROMOTED: Final[Mapping[str, frozenset[str]]] = {  # writer -> other readers
    "int": frozenset({"long", "float", "double"}),
    "long": frozenset({"float", "double"}),
    "float": frozenset({"double"}),
    "string": frozenset({"bytes"}),
    "bytes": frozenset({"string"}),
}


def incompatibilities(*, reader: str, writer: str) -> tuple[str, ...]:
    """Return the reasons why data written with one schema cannot be read with another.

    Args:
        reader: A valid Avro schema in JSON, as is `writer`.
        writer: The schema of the data.

    Returns:
        One line for each problem, the field's path (`$.stars`) first; empty if compatible.
    """
    check = _Check(definitions(json.loads(reader)), definitions(json.loads(writer)))
    return tuple(check.problems(json.loads(reader), json.loads(writer), "$"))


class _Check:
    """One comparison. Names are compared without their namespace, as Avro does."""

    def __init__(self, reader_names: Definitions, writer_names: Definitions) -> None:
        self._reader_names = reader_names
        self._writer_names = writer_names
        self._parts = {
            "array": self._array,
            "enum": self._enum,
            "fixed": self._fixed,
            "map": self._map,
            "record": self._record,
        }
        self._open: set[tuple[str, str]] = set()  # records being compared, which may be recursive

    def problems(self, reader: AvroType, writer: AvroType, path: str) -> Iterator[str]:
        """Yield the problems at `path` and below."""
        reader = resolved(reader, self._reader_names)
        writer = resolved(writer, self._writer_names)
        if isinstance(writer, list):
            for branch in writer:
                yield from self.problems(reader, branch, path)
        elif isinstance(reader, list):
            if not any(not list(self.problems(branch, writer, path)) for branch in reader):
                yield f"{path}: no branch of the reader's union takes {kind_of(writer)}"
        else:
            yield from self._plain(reader, writer, path)

    def _plain(
        self, reader: str | Mapping[str, Any], writer: str | Mapping[str, Any], path: str
    ) -> Iterator[str]:
        wanted, given = kind_of(reader), kind_of(writer)
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
    names = {short_name(name) for name in (reader["name"], *reader.get("aliases", ()))}
    if short_name(writer["name"]) not in names:
        yield f"{path}: {writer['name']} cannot be read as {reader['name']}"
