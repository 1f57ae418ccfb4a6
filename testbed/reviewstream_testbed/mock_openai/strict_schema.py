"""The rules of structured outputs for a `json_schema` response format.

Source: OpenAI's guide "Structured Outputs", section "Supported schemas".
"""

import json
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Final

import jsonschema

from reviewstream_testbed.mock_openai.error_bodies import ApiError, bad_request
from reviewstream_testbed.mock_openai.field_errors import check_names

MAX_DEPTH: Final = 10
MAX_PROPERTIES: Final = 5_000
MAX_ENUM: Final = 1_000
REFUSED: Final = (
    *("allOf", "not", "dependentRequired", "dependentSchemas", "if", "then", "else"),
    *("oneOf", "patternProperties", "unevaluatedProperties", "propertyNames", "contains"),
    *("minProperties", "maxProperties", "unevaluatedItems", "uniqueItems"),
)

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_PARAM = "response_format"


def check_schema(wanted: object) -> None:
    """Refuse a `response_format.json_schema` that the real endpoint refuses.

    Raises:
        ApiError: 400.
    """
    path = f"{_PARAM}.json_schema"
    if not isinstance(wanted, dict):
        raise bad_request(
            f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter"
        )
    check_names(path, wanted, ("name", "description", "schema", "strict"))
    name = wanted.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise bad_request(
            f"Invalid '{path}.name': string does not match pattern. Expected a string that matches"
            " the pattern '^[a-zA-Z0-9_-]+$', of at most 64 characters.",
            param=f"{path}.name",
            code="invalid_value",
        )
    schema = wanted.get("schema")
    if schema is None and not wanted.get("strict"):
        return
    if not isinstance(schema, dict):
        raise _invalid(name, (), "schema must be a JSON Schema of 'type: \"object\"'")
    _check_content(name, json.dumps(schema), is_strict=bool(wanted.get("strict")))


@lru_cache(maxsize=64)  # every request has the same schema, which takes 3 ms to check
def _check_content(name: str, text: str, *, is_strict: bool) -> None:
    schema = json.loads(text)
    try:
        jsonschema.Draft202012Validator.check_schema(schema)
    except jsonschema.SchemaError as err:
        raise _invalid(name, tuple(err.absolute_path), err.message) from err
    if is_strict:
        _check_strict(name, schema)


def _check_strict(name: str, schema: Mapping[str, Any]) -> None:
    if schema.get("type") != "object":
        got = schema.get("type")
        raise _invalid(
            name, (), f"schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{got}\"'."
        )
    properties = values = 0
    for path, part in _parts(schema, ()):
        if not isinstance(part, dict):
            raise _invalid(name, path, f"schema must be an object, got {part}.")
        wrong = _complaint(path, part)
        if wrong:
            raise _invalid(name, path, wrong)
        properties += len(part.get("properties", ()))
        values += len(part.get("enum", ()))
    if properties > MAX_PROPERTIES:
        raise _invalid(name, (), f"{properties} properties (limit {MAX_PROPERTIES})")
    if values > MAX_ENUM:
        raise _invalid(name, (), f"{values} enum values (limit {MAX_ENUM})")


def _complaint(path: tuple[str | int, ...], part: Mapping[str, Any]) -> str | None:
    refused = sorted(part.keys() & set(REFUSED))
    if refused:
        return f"'{refused[0]}' is not permitted."
    if not part.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
        return "schema must have a 'type' key."
    if "properties" in part or part.get("type") == "object":
        return _object_complaint(path, part)
    if part.get("type") == "array" and "items" not in part:
        return "array schema missing items."
    return None


def _object_complaint(path: tuple[str | int, ...], part: Mapping[str, Any]) -> str | None:
    if part.get("additionalProperties") is not False:
        return "'additionalProperties' is required to be supplied and to be false."
    optional = sorted(part.get("properties", {}).keys() - set(part.get("required", ())))
    if optional:
        return (
            "'required' is required to be supplied and to be an array including every key in"
            f" properties. Missing '{optional[0]}'."
        )
    unknown = sorted(set(part.get("required", ())) - part.get("properties", {}).keys())
    if unknown:
        return f"Extra required key '{unknown[0]}' supplied."
    if sum(1 for step in path if step == "properties") >= MAX_DEPTH:
        return f"objects are nested more than {MAX_DEPTH} levels deep."
    return None


def _parts(
    schema: object, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], object]]:
    """Yield a schema and every schema in it, each with its path."""
    yield path, schema
    if not isinstance(schema, dict):  # JSON Schema allows true and false
        return
    for key in ("properties", "$defs", "definitions"):
        for name, part in schema.get(key, {}).items():
            yield from _parts(part, (*path, key, name))
    if "items" in schema:
        yield from _parts(schema["items"], (*path, "items"))
    for number, part in enumerate(schema.get("anyOf", ())):
        yield from _parts(part, (*path, "anyOf", number))


def _invalid(name: str, path: tuple[str | int, ...], wrong: str) -> ApiError:
    return bad_request(
        f"Invalid schema for response_format '{name}': In context={path}, {wrong}", param=_PARAM
    )
