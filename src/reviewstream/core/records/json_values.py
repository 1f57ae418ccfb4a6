"""Reads JSON of servers and models, generous where the meaning is certain.

Accepted beyond the standard, because JavaScript, Lua and Python write it: a byte order mark, `NaN`,
raw control characters in a string, a count as `200.0` or `"200"`.
"""

import json
import math
from collections.abc import Mapping
from typing import Any, Final

import msgspec

MAX_TOKENS: Final = 1 << 24  # more than any context holds; a larger count is nonsense
MAX_DIGITS: Final = 32  # characters of a number that is written as a string
NOT_JSON: Final = object()

_BLANKS: Final = " \t\r\n"


def decoded(body: bytes | str) -> Any:  # noqa: ANN401
    """Return the value of a JSON text, or `NOT_JSON`. Never raises."""
    text = body if isinstance(body, str) else body.decode(errors="replace")
    text = text.lstrip(_BLANKS + "\ufeff").rstrip(_BLANKS)
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):  # one kind since msgspec 0.21
        pass
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return NOT_JSON


def as_mapping(value: object) -> Mapping[str, Any]:
    """Return a JSON object, or an empty one if the value is something else."""
    return value if isinstance(value, dict) else {}


def as_number(value: object) -> float | None:
    """Return a finite number, also of a string that spells one; None if it is something else."""
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
    """Return a whole number of tokens, 0 to `MAX_TOKENS`; None if it is something else."""
    number = as_number(value)
    if number is None or not 0 <= number <= MAX_TOKENS or number != int(number):
        return None
    return int(number)


def kept(words: str, most: int) -> str:
    """Return a text cut to some characters, halves of surrogate pairs replaced.

    JSON may hold such a half; what no UTF-8 holds would fail whoever writes it, again and again.
    """
    return words[:most].encode(errors="replace").decode()
