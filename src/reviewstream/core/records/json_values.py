"""Lenient parsing of JSON from servers and models, where the meaning is certain.

Accepted beyond the standard, because JavaScript, Lua and Python write it: a byte order mark, `NaN`,
raw control characters in a string, a count as `200.0` or `"200"`.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

MAX_TOKENS: Final = 1 << 24  # exceeds any context; larger counts are implausible
MAX_DIGITS: Final = 32  # characters of a number in a string
NOT_JSON: Final = object()

_BLANKS: Final = " \t\r\n"


def decoded(body: bytes | str) -> Any:  # noqa: ANN401
    """Return the value of a JSON text, or `NOT_JSON`. Never raises."""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    text = text.lstrip(_BLANKS + "\ufeff").rstrip(_BLANKS)
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # one type since msgspec 0.21
        pass
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return NOT_JSON


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty mapping for other values."""
    return value if isinstance(value, dict) else {}


def as_number(value: object) -> float | None:
    """Return a finite number, also from a string; None for other values."""
    if isinstance(value, str) and (len(value) > MAX_DIGITS or "_" in value):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def as_count(value: object) -> int | None:
    """Return a whole number of tokens, 0 to `MAX_TOKENS`; None for other values."""
    number = as_number(value)
    if number is None or not 0 <= number <= MAX_TOKENS or number != int(number):
        return None
    return int(number)


def kept(words: str, most: int) -> str:
    """Return a text truncated to a number of characters, with lone surrogates replaced.

    JSON may contain lone surrogates; they cannot be encoded as UTF-8, so writing them always fails.
    """
    return words[:most].encode(errors="replace").decode()
