"""The "model": reads the reviews out of a request and labels them by a lexicon.

It knows one request format: the last user message is a JSON object `{"reviews": [{"id": ...,
"text": ...}, ...]}`. Any other message counts as one review with the id "0". Answers depend on the
texts only: the same request is always answered alike.
"""

import json
import math
import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from statistics import fmean
from typing import Any, Final, NamedTuple

import jsonschema
from referencing import Registry
from referencing.exceptions import Unresolvable
from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

from reviewstream_testbed.openai_endpoint.errors import bad_request

BYTES_PER_TOKEN: Final = 4  # of UTF-8; no tokenizer's exact count, but one that anybody can repeat
TOKENS_PER_MESSAGE: Final = 3  # what the real endpoint adds for role and separators
PIECE: Final = 1_000  # characters that are judged at once
MAX_READ: Final = 16_000  # characters; nothing after them changes an opinion
NEUTRAL_BELOW: Final = 0.05  # the lexicon's own threshold for its compound score


_UNANSWERABLE = (
    jsonschema.ValidationError,
    LookupError,
    RecursionError,
    Unresolvable,
    re.error,
)


class Review(NamedTuple):
    """One text that is asked about."""

    id: str
    text: str


class Opinion(NamedTuple):
    """A sentiment, and how sure the lexicon is of it, from 0 to 1."""

    sentiment: str
    confidence: float


def reviews_of(messages: Sequence[Mapping[str, Any]]) -> list[Review]:
    """Return the reviews in a request."""
    asked = [text_of(one) for one in messages if one["role"] == "user"]
    text = asked[-1] if asked else ""
    try:
        found = json.loads(text)["reviews"]
        return [Review(str(one["id"]), str(one["text"])) for one in found]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return [Review("0", text)]


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message's content as one string."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def count_tokens(text: str) -> int:
    """Return ceil(bytes of UTF-8 / 4)."""
    return math.ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def prompt_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return how many tokens a request takes."""
    return sum(count_tokens(text_of(one)) + TOKENS_PER_MESSAGE for one in messages)


@lru_cache(maxsize=4096)
def opinion_of(text: str) -> Opinion:
    """Return the lexicon's opinion of a text: the mean of its pieces'.

    In pieces, because the lexicon's time grows with the square of the length.
    """
    pieces = [text[at : at + PIECE] for at in range(0, min(len(text), MAX_READ), PIECE)] or [""]
    compound = fmean(_analyzer().polarity_scores(piece)["compound"] for piece in pieces)
    if abs(compound) < NEUTRAL_BELOW:
        return Opinion("NEUTRAL", round(1 - abs(compound), 2))
    return Opinion("POSITIVE" if compound > 0 else "NEGATIVE", round(0.5 + abs(compound) / 2, 2))


def answer_of(body: Mapping[str, Any]) -> str:
    """Return the text that answers a request, in the format that it asks for.

    Raises:
        ApiError: this mock cannot think of a value that follows the schema.
    """
    reviews = reviews_of(body["messages"])
    wanted = body.get("response_format") or {"type": "text"}
    if wanted["type"] == "json_schema" and wanted["json_schema"].get("schema"):
        return _structured(wanted["json_schema"]["schema"], reviews)
    if wanted["type"] == "text":
        return "\n".join(opinion_of(one.text).sentiment for one in reviews)
    opinions = [{"id": one.id, **opinion_of(one.text)._asdict()} for one in reviews]
    return json.dumps({"labels": opinions})


def _structured(schema: Mapping[str, Any], reviews: Sequence[Review]) -> str:
    first = reviews[0] if reviews else Review("0", "")
    try:
        value = _Writer(schema, reviews).value(schema, first)
        _validator(json.dumps(schema)).validate(value)
    except _UNANSWERABLE as err:
        raise bad_request(
            f"This mock endpoint cannot answer with this schema: {err}", param="response_format"
        ) from err
    return json.dumps(value, ensure_ascii=False)


class _Writer:
    """Makes up a value that follows a schema: an array of objects gets one item per review."""

    def __init__(self, root: Mapping[str, Any], reviews: Sequence[Review]) -> None:
        self._root = root
        self._reviews = reviews

    def value(self, schema: object, review: Review, name: str = "") -> object:
        if not isinstance(schema, dict):  # JSON Schema allows true and false
            return None
        if "$ref" in schema:
            return self.value(self._resolved(schema["$ref"]), review, name)
        if "anyOf" in schema:
            return self.value(schema["anyOf"][0], review, name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return _chosen(schema["enum"], opinion_of(review.text).sentiment)
        kind = schema.get("type", "null")
        return self._typed(kind[0] if isinstance(kind, list) else kind, schema, review, name)

    def _typed(self, kind: str, schema: Mapping[str, Any], review: Review, name: str) -> object:
        opinion = opinion_of(review.text)
        match kind:
            case "object":
                parts = schema.get("properties", {}).items()
                return {key: self.value(part, review, key) for key, part in parts}
            case "array":
                return [self.value(schema.get("items", {}), one, name) for one in self._reviews]
            case _:
                simple = {
                    "string": review.id if name == "id" else opinion.sentiment,
                    "number": _within(opinion.confidence, schema),
                    "integer": _within(0, schema),
                    "boolean": opinion.sentiment == "POSITIVE",
                }
                return simple.get(kind)

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
def _validator(schema: str) -> jsonschema.Draft202012Validator:
    # A registry of its own: nothing is ever fetched from an address that a schema names.
    return jsonschema.Draft202012Validator(json.loads(schema), registry=Registry())


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()
