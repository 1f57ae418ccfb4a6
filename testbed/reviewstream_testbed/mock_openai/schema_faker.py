"""Generates a value that conforms to a schema; an array gets one item per review."""

import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable

from reviewstream_testbed.mock_openai.scorers import Opinion

_UNWRITABLE = (
    jsonschema.ValidationError,
    LookupError,
    RecursionError,
    Unresolvable,
    re.error,
)
_REMARKS = {"description", "title"}
_SIMPLE = {"string", "number", "integer", "boolean", "null"}


class Unwritable(ValueError):
    """The generator found no value that conforms to the schema."""


class Judged(NamedTuple):
    """A review and the judge's opinion of it."""

    id: str
    opinion: Opinion


def written(schema: Mapping[str, Any], reviews: Sequence[Judged]) -> object:
    """Return a value that conforms to a schema and contains the opinions of the reviews.

    Raises:
        Unwritable: The generator found no such value.
    """
    first = reviews[0] if reviews else Judged("0", Opinion("NEUTRAL", 1.0))
    try:
        value = _Writer(schema, reviews).value(schema, first)
        validator = _validator(json.dumps(schema))
        if validator is not None:
            validator.validate(value)
    except _UNWRITABLE as err:
        raise Unwritable(str(err)) from err
    return value


def is_followed(schema: object) -> bool:
    """Report whether generated values conform to a schema by construction.

    Plain schemas do. Validating takes ten times as long as the rest of an answer.
    """
    if not isinstance(schema, dict):
        return False
    match schema:
        case {"type": "object", "properties": dict(parts), "required": list(required)}:
            known = {"type", "properties", "required", "additionalProperties"}
            return (
                schema.keys() <= known | _REMARKS
                and isinstance(schema.get("additionalProperties", True), bool)
                and {*required} <= parts.keys()
                and all(map(is_followed, parts.values()))
            )
        case {"type": "array", "items": items}:
            return schema.keys() <= {"type", "items"} | _REMARKS and is_followed(items)
        case {"type": "string", "enum": [str(), *more]}:
            only_strings = all(isinstance(one, str) for one in more)
            return schema.keys() <= {"type", "enum"} | _REMARKS and only_strings
        case {"type": str(kind)}:
            return schema.keys() <= {"type"} | _REMARKS and kind in _SIMPLE
        case _:
            return False


class _Writer:
    def __init__(self, root: Mapping[str, Any], reviews: Sequence[Judged]) -> None:
        self._root = root
        self._reviews = reviews

    def value(self, schema: object, review: Judged, name: str = "") -> object:
        if not isinstance(schema, dict):  # JSON Schema allows true and false
            return None
        if "$ref" in schema:
            return self.value(self._resolved(schema["$ref"]), review, name)
        if "anyOf" in schema:
            return self.value(schema["anyOf"][0], review, name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return _chosen(schema["enum"], review.opinion.sentiment)
        kind = schema.get("type", "null")
        return self._typed(kind[0] if isinstance(kind, list) else kind, schema, review, name)

    def _typed(self, kind: str, schema: Mapping[str, Any], review: Judged, name: str) -> object:
        match kind:
            case "object":
                parts = schema.get("properties", {}).items()
                return {key: self.value(part, review, key) for key, part in parts}
            case "array":
                return [self.value(schema.get("items", {}), one, name) for one in self._reviews]
            case "string":
                return review.id if name == "id" else review.opinion.sentiment
            case "number":
                return _within(review.opinion.confidence, schema)
            case "integer":
                return _within(0, schema)
            case _:
                return review.opinion.sentiment == "POSITIVE" if kind == "boolean" else None

    def _resolved(self, ref: str) -> dict[str, Any]:
        part: dict[str, Any] = dict(self._root)
        for step in ref.removeprefix("#").split("/")[1:]:
            part = part[step]
        return part


def _within(value: float, schema: Mapping[str, Any]) -> float:
    raised: float = max(value, schema.get("minimum", value))
    lowered: float = min(raised, schema.get("maximum", raised))
    return lowered


def _chosen(values: Sequence[object], sentiment: str) -> object:
    for one in values:
        if str(one).upper() == sentiment:
            return one
    return values[0]


@lru_cache(maxsize=64)
def _validator(text: str) -> jsonschema.Draft202012Validator | None:
    schema = json.loads(text)
    if is_followed(schema):
        return None
    # An empty registry, so that `$ref` to a URL fetches nothing.
    return jsonschema.Draft202012Validator(schema, registry=Registry())
