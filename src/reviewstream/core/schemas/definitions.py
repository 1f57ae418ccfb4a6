"""Avro schemas as JSON: the types in them, and what their names stand for."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

AvroType: TypeAlias = str | Mapping[str, Any] | list[Any]
Definitions: TypeAlias = dict[str, Mapping[str, Any]]

_PRIMITIVES: Final = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "string", "bytes"}
)


def kind_of(schema: AvroType) -> str:
    """Return `long`, `record`, ... whatever the logical type."""
    if isinstance(schema, str):
        return schema
    return "union" if isinstance(schema, list) else kind_of(schema["type"])


def resolved(schema: AvroType, names: Definitions) -> AvroType:
    """Return the definition behind a name, and the type inside `{"type": {...}}`."""
    if isinstance(schema, str):
        return names.get(short_name(schema), schema)
    while isinstance(schema, Mapping) and not isinstance(schema["type"], str):
        schema = schema["type"]
    return schema


def definitions(schema: AvroType) -> Definitions:
    """Return every named type that is defined inside a schema."""
    if isinstance(schema, str):
        return {}
    if isinstance(schema, list):
        parts: list[AvroType] = schema
        own: Definitions = {}
    else:
        fields = (field["type"] for field in schema.get("fields", ()))
        parts = [*fields, *(schema[key] for key in ("type", "items", "values") if key in schema)]
        own = {short_name(schema["name"]): schema} if "name" in schema else {}
    return own | {name: found for part in parts for name, found in definitions(part).items()}


def short_name(name: str) -> str:
    """Return a name without its namespace."""
    return name.rpartition(".")[2]


def is_finite(schema: AvroType) -> bool:
    """Say whether a value has no more parts than its schema: none of them can come twice.

    There is no array then, no map, and no type by its name: that may be the one that it is in.
    """
    if isinstance(schema, str):
        return schema in _PRIMITIVES
    if isinstance(schema, list):
        return all(map(is_finite, schema))
    if schema["type"] == "record":
        return all(is_finite(field["type"]) for field in schema["fields"])
    return schema["type"] in ("enum", "fixed") or is_finite(schema["type"])
