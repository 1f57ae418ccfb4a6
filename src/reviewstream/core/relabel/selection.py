"""Conditions on labelled reviews in text form: `stars<=2`, `written_at>=2020-01`."""

import math
import operator
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from msgspec import Struct

from reviewstream.core.records.reviews import LabelledReview, Sentiment
from reviewstream.errors import ConfigError

_CONDITION: Final = re.compile(r"\s*(\w+)\s*(<=|>=|!=|==?|<|>)\s*(.*?)\s*", re.DOTALL)
_DATE: Final = re.compile(r"\d{4}(-\d\d(-\d\d([T ]\d\d:\d\d:\d\d)?)?)?", re.ASCII)
_FIRST: Final = "0001-01-01T00:00:00"  # completes a partial date
_END_OF_TIME: Final = datetime.max.replace(tzinfo=UTC)

_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = MappingProxyType(
    {
        "=": operator.eq,
        "!=": operator.ne,
        "<": operator.lt,
        "<=": operator.le,
        ">": operator.gt,
        ">=": operator.ge,
    }
)
_EQUALITY: Final = ("=", "!=")


class Period(Struct, frozen=True):
    """A second, day, month or year that a time is before, in or after.

    Attributes:
        start: First moment of the period, UTC.
        end: First moment after it.
    """

    start: datetime
    end: datetime

    def place(self, time: datetime) -> int:
        """Return -1 for a time before the period, 0 for one in it, 1 for one after it."""
        return (time >= self.start) + (time >= self.end) - 1


class Condition(Struct, frozen=True, kw_only=True):
    """One comparison, from `parse_condition`.

    Attributes:
        field: A key of `FIELDS`.
        operator: `=`, `!=`, `<`, `<=`, `>` or `>=`.
        value: Value of the field's type; a `Period` for times.
    """

    field: str
    operator: str
    value: str | float | bool | Period

    def takes(self, review: LabelledReview) -> bool:
        """Say whether the condition holds; False if the review has no value in the field."""
        path, _ = _FIELDS[self.field]
        found = operator.attrgetter(path)(review)
        if found is None:
            return False
        compare = _OPERATORS[self.operator]
        if isinstance(self.value, Period):
            return compare(self.value.place(found), 0)
        return compare(found, self.value)


def parse_condition(text: str) -> Condition:
    """Parse a condition.

    Args:
        text: `field operator value`. A time is `YYYY`, `YYYY-MM`, `YYYY-MM-DD` or `YYYY-MM-DD
            HH:MM:SS`, and means all of that year, month, day or second.

    Raises:
        ConfigError: The text is not a condition; the message lists the valid fields, operators or
            values.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ConfigError(
            f"{text!r} is no condition: expected field, operator ({' '.join(_OPERATORS)}) and "
            "value, such as stars<=2"
        )
    name, sign, given = match.groups()
    sign = "=" if sign == "==" else sign
    if name not in _FIELDS:
        raise ConfigError(f"{text!r}: there is no field {name!r}; there are {', '.join(FIELDS)}")
    _, kind = _FIELDS[name]
    if sign not in kind.operators:
        raise ConfigError(f"{text!r}: {name} is compared by {' or '.join(kind.operators)} alone")
    value = kind.read(given)
    if value is None:
        raise ConfigError(f"{text!r}: expected {kind.wanted}, not {given!r}")
    return Condition(field=name, operator=sign, value=value)


class _Kind(Struct, frozen=True, kw_only=True):
    """Parsing and comparison of one kind of value.

    Attributes:
        read: Parses a value; returns None if it is invalid.
        wanted: Description of valid values, for errors.
    """

    read: Callable[[str], str | float | bool | Period | None]
    wanted: str
    operators: tuple[str, ...] = tuple(_OPERATORS)


def _read_number(typed: str) -> float | None:
    try:
        number = float(typed)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _read_period(typed: str) -> Period | None:
    if _DATE.fullmatch(typed) is None:
        return None
    try:
        start = datetime.fromisoformat(typed + _FIRST[len(typed) :]).replace(tzinfo=UTC)
    except ValueError:  # the 30th of February
        return None
    try:
        return Period(start, _end(start, precision=len(typed)))
    except OverflowError:
        return Period(start, _END_OF_TIME)


def _end(start: datetime, *, precision: int) -> datetime:
    """Return the end of a year, month, day or second, by the length of its text."""
    match precision:
        case 4:
            return (start + timedelta(days=366)).replace(day=1)  # in January of the next year
        case 7:
            return (start + timedelta(days=31)).replace(day=1)
        case 10:
            return start + timedelta(days=1)
        case _:
            return start + timedelta(seconds=1)


_TEXT: Final = _Kind(read=lambda typed: typed or None, wanted="some text", operators=_EQUALITY)
_NUMBER: Final = _Kind(read=_read_number, wanted="a number")
_TIME: Final = _Kind(read=_read_period, wanted="a date: YYYY[-MM[-DD]]")
_FLAG: Final = _Kind(
    read=lambda typed: {"true": True, "false": False}.get(typed.lower()),
    wanted="true or false",
    operators=_EQUALITY,
)
_SENTIMENT: Final = _Kind(
    read=lambda typed: Sentiment.__members__.get(typed.upper()),
    wanted=", ".join(Sentiment),
    operators=_EQUALITY,
)
# Field name -> path in a review, and kind of its value.
_FIELDS: Final[Mapping[str, tuple[str, _Kind]]] = MappingProxyType(
    {
        "review_id": ("review_id", _TEXT),
        "user_id": ("user_id", _TEXT),
        "business_id": ("business_id", _TEXT),
        "stars": ("stars", _NUMBER),
        "useful": ("useful", _NUMBER),
        "funny": ("funny", _NUMBER),
        "cool": ("cool", _NUMBER),
        "written_at": ("written_at", _TIME),
        "sentiment": ("sentiment", _SENTIMENT),
        "confidence": ("confidence", _NUMBER),
        "model": ("provenance.model", _TEXT),
        "prompt_version": ("provenance.prompt_version", _NUMBER),
        "generation": ("provenance.generation", _NUMBER),
        "from_ledger": ("provenance.from_ledger", _FLAG),
        "truncated": ("provenance.truncated", _FLAG),
        "labelled_at": ("provenance.labelled_at", _TIME),
        "request_id": ("provenance.request_id", _TEXT),
        "source": ("origin.source", _TEXT),
    }
)
FIELDS: Final = tuple(_FIELDS)
