"""Strict mapping of the index, derived from the Avro schema: all published records can be indexed.

Source: Elasticsearch, "Field data types".
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from reviewstream.errors import PermanentError

ALIAS_SUFFIX: Final = "-v1"  # of the first index behind an alias
_FULL_TEXT: Final = frozenset({"text"})
_PLAIN: Final[Mapping[str, Mapping[str, Any]]] = {
    "boolean": {"type": "boolean"},
    "bytes": {"type": "binary"},
    "double": {"type": "double"},
    "enum": {"type": "keyword"},
    "float": {"type": "float"},
    "int": {"type": "integer"},
    "long": {"type": "long"},
    "string": {"type": "keyword"},
    "timestamp-millis": {"type": "date", "format": "epoch_millis||strict_date_optional_time"},
}


def index_mapping(schema: str) -> dict[str, Any]:
    """Return the mapping for records of a schema; the index refuses unmapped fields.

    Raises:
        PermanentError: The schema has a type without a mapping; the message names the field.
    """
    return {"dynamic": "strict", **_object(json.loads(schema), "$")}


def mapping_drift(
    wanted: Mapping[str, Any], actual: Mapping[str, Any], path: str = "$"
) -> tuple[str, ...]:
    """Return the differences between an index's mapping and the wanted one: one line per field.

    Elasticsearch omits defaults and returns booleans as text: both count as equal.
    """
    properties: Mapping[str, Any] = wanted.get("properties", {})
    there: Mapping[str, Any] = actual.get("properties", {})
    found = [
        f"{path}: {key} is {_shown(actual.get(key))}, wanted {_shown(value)}"
        for key, value in wanted.items()
        if key != "properties" and _shown(actual.get(key)) != _shown(value)
    ]
    for name, field in properties.items():
        below = f"{path}.{name}"
        found += (
            mapping_drift(field, {"type": "object"} | dict(there[name]), below)
            if name in there
            else [f"{below}: is not in the index"]
        )
    found += [f"{path}.{name}: is not in the schema" for name in there if name not in properties]
    return tuple(found)


def _object(record: Mapping[str, Any], path: str) -> dict[str, Any]:
    fields = {f["name"]: _field(f["name"], f["type"], path) for f in record["fields"]}
    return {"properties": fields}


def _field(name: str, schema: Any, path: str) -> dict[str, Any]:  # noqa: ANN401 - JSON
    path = f"{path}.{name}"
    kind = _kind(schema)
    if kind == "record":
        return {"type": "object", **_object(schema, path)}
    if kind == "string" and name in _FULL_TEXT:
        return {"type": "text", "analyzer": "english"}
    if kind == "union":
        return _nullable(name, schema, path)
    if kind not in _PLAIN:
        raise PermanentError(f"{path}: Avro's {kind} has no mapping in the index")
    return dict(_PLAIN[kind])


def _nullable(name: str, branches: list[Any], path: str) -> dict[str, Any]:
    """Return the mapping of a union with null: every field of an index is optional."""
    others = [branch for branch in branches if branch != "null"]
    if len(others) != 1:
        raise PermanentError(f"{path}: a union of {len(others)} types has no mapping in the index")
    return _field(name, others[0], path.rpartition(".")[0])


def _kind(schema: Any) -> str:  # noqa: ANN401 - JSON
    if isinstance(schema, str):
        return schema
    if isinstance(schema, list):
        return "union"
    return str(schema.get("logicalType", schema["type"]))


def _shown(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
