"""Avro schemas as JSON: the types in them, and what their names stand for."""

from collections.abc import Mapping
from typing import Any, TypeAlias

AvroType: TypeAlias = str | Mapping[str, Any] | list[Any]
Definitions: TypeAlias = dict[str, Mapping[str, Any]]


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
