"""Types in Avro schemas as JSON, and their definitions by name."""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

AvroType: TypeAlias = str | Mapping[str, Any] | list[Any]
Definitions: TypeAlias = dict[str, Mapping[str, Any]]

_PRIMITIVES: Final = frozenset(
    {"null", "boolean", "int", "long", "float", "double", "string", "bytes"}
)


def kind_of(schema: AvroType) -> str:
    """Return the kind of a type, such as `long` or `record`, without its logical type."""
    if isinstance(schema, str):
        return schema
    return "union" if isinstance(schema, list) else kind_of(schema["type"])


def resolved(schema: AvroType, names: Definitions) -> AvroType:
    """Return the definition of a name, or the type inside `{"type": {...}}`."""
    if isinstance(schema, str):
        return names.get(short_name(schema), schema)
    while isinstance(schema, Mapping) and not isinstance(schema["type"], str):
        schema = schema["type"]
    return schema


def definitions(schema: AvroType) -> Definitions:
    """Return every named type that is defined inside a schema, by its short name."""
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
    """Say whether the size of a value is bounded by its schema.

    This excludes arrays, maps, and types by name, which may be recursive.
    """
    if isinstance(schema, str):
        return schema in _PRIMITIVES
    if isinstance(schema, list):
        return all(map(is_finite, schema))
    if schema["type"] == "record":
        return all(is_finite(field["type"]) for field in schema["fields"])
    return schema["type"] in ("enum", "fixed") or is_finite(schema["type"])
