"""Parser from bytes to reviews. `docs/reference/input.md` specifies the accepted input."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from msgspec import Raw, Struct

from reviewstream.core.records.outcomes import Ok, Rejected
from reviewstream.core.records.reviews import Reason, Review

MAX_LINE: Final = 1 << 20  # bytes, without the newline
MAX_TEXT: Final = 64 << 10  # bytes of UTF-8
MAX_ID: Final = 64  # characters
MAX_COUNT: Final = (1 << 63) - 1  # maximum of an Avro long
MAX_DEPTH: Final = 64  # nested arrays and objects, the review itself included
SHOWN: Final = 80  # characters of an offending value in a rejection's detail

BOM: Final = "\ufeff".encode()

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# The closing quote is optional, so that an open string is scanned once, not once per quote in it.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKET = re.compile(rb"[^\[\]{}]+")


class _Line(Struct, frozen=True):
    """A line with checked types and unchecked ranges."""

    review_id: str
    user_id: str
    business_id: str
    stars: float
    text: str
    date: str
    useful: int | float = 0
    funny: int | float = 0
    cool: int | float = 0


_KINDS: Final = {  # by the first byte of a JSON value; all other bytes begin a number
    b'"': "a string",
    b"{": "an object",
    b"[": "an array",
    b"n": "null",
    b"t": "a boolean",
    b"f": "a boolean",
}
_LINE_FIELDS = msgspec.structs.fields(_Line)
_TYPED = msgspec.json.Decoder(_Line)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


def required_fields() -> tuple[str, ...]:
    """Return the names of the required fields."""
    return tuple(field.name for field in _LINE_FIELDS if field.required)


def is_blank(line: bytes) -> bool:
    """Say whether a line contains only spaces, tabs and carriage returns."""
    return not line.strip(b" \t\r")


def parse_review(line: bytes) -> Ok[Review] | Rejected:
    """Parse one line of `review.json`.

    Args:
        line: A UTF-8 JSON object without its newline; a trailing carriage return is accepted.

    Returns:
        The review, or the first error in the line. Never raises.

    Source: Yelp Open Dataset, "review.json".
    """
    refused = _unreadable(line)
    if refused is not None:
        return _rejected(line, *refused)
    try:
        fields = _typed(line)
    except msgspec.ValidationError:
        return _rejected(line, *_mistyped(line))
    except (msgspec.DecodeError, RecursionError) as err:
        return _rejected(line, Reason.NOT_JSON, f"$: {err}")
    for name, complaint in _RANGES.items():
        wrong = complaint(getattr(fields, name))
        if wrong is not None:
            return _rejected(line, Reason.OUT_OF_RANGE, f"$.{name}: {wrong}")
    return Ok(_review(fields))


def to_line(review: Review) -> bytes:
    """Return a line that parses to the same review; lone surrogates become question marks."""
    fields = msgspec.structs.asdict(review)
    fields["text"] = review.text.encode(errors="replace").decode()
    written_at = fields.pop("written_at")
    fields["date"] = written_at.replace(tzinfo=None).isoformat(sep=" ", timespec="seconds")
    return msgspec.json.encode(fields)


def _rejected(line: bytes, reason: Reason, detail: str) -> Rejected:
    return Rejected(reason=reason, detail=detail, raw=line)


def _review(fields: _Line) -> Review:
    return Review(
        review_id=fields.review_id,
        user_id=fields.user_id,
        business_id=fields.business_id,
        stars=fields.stars,
        useful=int(fields.useful),
        funny=int(fields.funny),
        cool=int(fields.cool),
        text=fields.text,
        written_at=datetime.fromisoformat(fields.date).replace(tzinfo=UTC),
    )


def _unreadable(line: bytes) -> tuple[Reason, str] | None:
    if len(line) > MAX_LINE:
        return Reason.LINE_TOO_LONG, f"$: {len(line)} bytes (limit {MAX_LINE})"
    try:
        line.decode()  # the decoder below does not check skipped fields
    except UnicodeDecodeError as err:
        return Reason.NOT_UTF8, f"$: byte {err.start} is not UTF-8"
    if line.startswith(BOM):
        return Reason.NOT_JSON, "$: a byte order mark, which only the file's first line may have"
    if _is_too_deep(line):
        return Reason.NOT_JSON, f"$: nested deeper than {MAX_DEPTH} levels"
    return None


def _is_too_deep(line: bytes) -> bool:
    """Check the nesting from the bytes, because a decoder's limit depends on the caller's stack."""
    if line.count(b"[") + line.count(b"{") <= MAX_DEPTH:
        return False
    depth = 0
    for bracket in _NO_BRACKET.sub(b"", _STRING.sub(b"", line)):
        depth += 1 if bracket in b"[{" else -1
        if depth > MAX_DEPTH:
            return True
    return False


def _typed(line: bytes) -> _Line:
    try:
        return _TYPED.decode(line)
    except msgspec.ValidationError:
        # The last of several equal keys counts, even if the first has a wrong type.
        return _TYPED.decode(msgspec.json.encode(_FIELDS.decode(line)))


def _mistyped(line: bytes) -> tuple[Reason, str]:
    """Return the error of the first field that the typed decoder refuses."""
    try:
        fields = _FIELDS.decode(line)
    except msgspec.ValidationError:
        return Reason.NOT_AN_OBJECT, f"$: expected one JSON object a line, got {_kind(line)}"
    wrong = (_field_mistyped(field, fields.get(field.name)) for field in _LINE_FIELDS)
    return next(filter(None, wrong))  # not empty: the typed decoder refused these values


def _field_mistyped(
    field: msgspec.structs.FieldInfo, value: Raw | None
) -> tuple[Reason, str] | None:
    path = f"$.{field.name}"
    if value is None:
        return (Reason.MISSING_FIELD, f"{path}: missing") if field.required else None
    try:
        msgspec.json.decode(value, type=field.type)
    except msgspec.ValidationError:
        wanted = "a string" if field.type is str else "a number"
        got = _kind(bytes(value))
        if got == wanted:
            return Reason.OUT_OF_RANGE, f"{path}: {_shown(bytes(value).decode())} is out of range"
        return Reason.WRONG_TYPE, f"{path}: expected {wanted}, got {got}"
    return None


def _kind(value: bytes) -> str:
    return _KINDS.get(value.lstrip()[:1], "a number")


def _shown(value: str) -> str:
    return value if len(value) <= SHOWN else f"{value[:SHOWN]}..."


def _id_complaint(value: str) -> str | None:
    if not 1 <= len(value) <= MAX_ID:
        return f"{len(value)} characters (1 to {MAX_ID})"
    if value.isspace():
        return "nothing but white space"
    if _CONTROL.search(value):
        return f"a control character in {value!r}"
    return None


def _stars_complaint(value: float) -> str | None:
    return None if 1 <= value <= 5 else f"{value:g} is not between 1 and 5"


def _count_complaint(value: float) -> str | None:
    if not 0 <= value <= MAX_COUNT:
        return f"{_shown(str(value))} is not between 0 and {MAX_COUNT}"
    return None if value == int(value) else f"{value} is not a whole number"


def _text_complaint(value: str) -> str | None:
    size = len(value.encode())
    return None if size <= MAX_TEXT else f"{size} bytes of UTF-8 (limit {MAX_TEXT})"


def _date_complaint(value: str) -> str | None:
    if not _DATE.fullmatch(value):
        return f"{_shown(value)!r} is not YYYY-MM-DD HH:MM:SS"
    try:
        datetime.fromisoformat(value)
    except ValueError as err:
        return f"{value!r}: {err}"
    return None


_RANGES: dict[str, Callable[[Any], str | None]] = {
    "review_id": _id_complaint,
    "user_id": _id_complaint,
    "business_id": _id_complaint,
    "stars": _stars_complaint,
    "text": _text_complaint,
    "date": _date_complaint,
    "useful": _count_complaint,
    "funny": _count_complaint,
    "cool": _count_complaint,
}
