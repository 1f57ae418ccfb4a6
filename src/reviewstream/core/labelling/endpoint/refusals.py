"""Parser for an endpoint's errors, in any known form.

Known forms: an object (`{"error": {"message", "code", "type", "param"}}`), an array of such objects
(Gemini), `error` as text (TGI, xAI), `detail` as text or as a list of `loc` and `msg` (FastAPI),
`message` at the top (Mistral, gateways), plain text, HTML of a proxy, and an empty body.
"""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from reviewstream.core.labelling.chat import ChatAnswer, RateLimits
from reviewstream.core.labelling.endpoint.dialects import KNOWN_NAMES, Dialect
from reviewstream.core.labelling.endpoint.http_limits import lower_case, rate_limits, retry_after
from reviewstream.core.records.json_values import as_mapping, as_number, decoded, kept

MAX_WORDS: Final = 300  # characters kept of the endpoint's message
MAX_NAME: Final = 100  # characters of an error name
MAX_PARTS: Final = 50  # objects of an error body that are read
MAX_READ: Final = 4096  # characters read of a body without a message
ECHO: Final = 8  # characters that also occur in the question and so may be a review's

# Request fields that settings determine. `model` occurs in many messages about other errors, so it
# counts only if the endpoint names it as a field.
FIELDS: Final = (
    "response_format",
    "json_schema",
    "max_completion_tokens",
    "max_tokens",
    "reasoning_effort",
    "service_tier",
    "temperature",
    "model",
)

_NESTED: Final = ("error", "errors", "innererror", "details", "detail", "metadata", "violations")
_NAMING: Final = ("code", "type", "status", "reason", "error_type", "error_code", "quotaid")
_SAYING: Final = ("message", "msg", "error", "detail", "error_description", "errormessage", "title")
_WAITING: Final = ("retrydelay", "retry_after", "retry_after_seconds")
_OF_MODEL: Final = frozenset({"model_not_found", "deploymentnotfound", "invalid_model"})
_SPELLED: Final = {"reasoning.effort": "reasoning_effort", "text.format": "response_format"}
# Some endpoints use the name from their own code: `reasoningEffort`.
_ALIKE: Final = {
    spelling: name
    for name in FIELDS
    if name != "model"
    for spelling in (name, name.replace("_", ""))
}
_IN_WORDS: Final = re.compile(rf"(?<![a-z_])(?:{'|'.join(_ALIKE)})(?![a-z_])")
_TITLE: Final = re.compile(r"<title[^<>]*>([^<]+)", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>")
_STATUS_OF: Final = {  # of an error inside HTTP 200 without a numeric code
    "authentication": 401,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "unauthenticated": 401,
    "payment_required": 402,
    "permission_denied": 403,
    "permission_error": 403,
    "not_found": 404,
    "not_found_error": 404,
    "model_not_found": 404,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "resource_exhausted": 429,
    "too_many_requests": 429,
    "bad_request": 400,
    "invalid_argument": 400,
    "invalid_request": 400,
    "invalid_request_error": 400,
}


class Refused(Struct, frozen=True, kw_only=True):
    """An endpoint's error, parsed as far as possible.

    Attributes:
        status: HTTP status, or the numeric code of an error inside HTTP 200 or inside a choice.
        names: Names of the error (`code`, `type`, `status`, `reason`) in lower case;
            `flagged_input` if the endpoint flagged a text.
        words: The endpoint's message, or the beginning of its body; at most `MAX_WORDS` characters.
        field: Request field that the endpoint names, of `FIELDS`; empty if it names none.
        retry_after: Seconds that the endpoint asks us to wait, or None if it does not say.
        requests_per_minute: Reported limit of requests, or None.
        tokens_per_minute: Reported limit of tokens, or None.
        billed: Answer that contains only the usage billed for the failed request, or None.
    """

    status: int
    names: frozenset[str] = frozenset()
    words: str = ""
    field: str = ""
    retry_after: float | None = None
    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None
    billed: ChatAnswer | None = None


def read_error(status: int, body: bytes, headers: Mapping[str, str], dialect: Dialect) -> Refused:
    """Parse an HTTP response with an error status. Never raises."""
    return refusal(status, decoded(body), headers, dialect, body=body)


def refusal(
    status: int | None,
    value: object,
    headers: Mapping[str, str],
    dialect: Dialect,
    *,
    body: bytes = b"",
) -> Refused:
    """Return the contents of a decoded error. Never raises.

    Args:
        status: HTTP status; None for an error inside HTTP 200: its own code, or else 502.
        value: JSON of the body, or of the part of it that is the error.
        headers: Headers of the response.
        dialect: Dialect with the names of the rate-limit headers.
        body: Used if the error has no message.
    """
    parts = _parts(value)
    names = frozenset(_names(parts))
    words = kept(_words(parts), MAX_WORDS) or _beginning(body)
    headers = lower_case(headers)
    limits = rate_limits(headers, dialect) or RateLimits()
    wait = retry_after(headers)
    return Refused(
        status=_own_status(parts, names) if status is None else status,
        names=names,
        words=words,
        field=_field(parts, names, words),
        retry_after=_asked_wait(parts) if wait is None else wait,
        requests_per_minute=limits.requests_per_minute,
        tokens_per_minute=limits.tokens_per_minute,
    )


def status_code(value: object) -> int | None:
    """Return an error code as an HTTP status, from a number or a string; None for other values."""
    number = as_number(value)
    return int(number) if number is not None and 400 <= number < 600 else None


def _parts(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of an error body, keys in lower case, envelopes last."""
    found: list[Mapping[str, Any]] = []
    waiting: list[object] = [{"error": value} if isinstance(value, str) else value]
    for one in waiting:  # grows during the loop
        if len(found) == MAX_PARTS:
            break
        if isinstance(one, list):
            waiting.extend(one[:MAX_PARTS])
        elif isinstance(one, dict):
            part = {str(name).lower(): inner for name, inner in one.items()}
            found.append(part)
            waiting.extend(part.get(name) for name in _NESTED)
    return sorted(found, key=lambda part: isinstance(part.get("error"), dict))


def _names(parts: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    for part in parts:
        for key in _NAMING:
            name = part.get(key)
            if isinstance(name, str) and len(name) <= MAX_NAME and name.strip().isprintable():
                lower = name.strip().lower()
                if lower and " " not in lower and not lower.isdigit():
                    yield lower
        if part.get("flagged_input"):
            yield "flagged_input"


def _words(parts: Sequence[Mapping[str, Any]]) -> str:
    for part in parts:
        for key in _SAYING:
            said = part.get(key)
            if isinstance(said, str) and said.strip():
                return _located(part, said.strip()[:MAX_READ]) + _upstream(parts)
    return ""


def _located(part: Mapping[str, Any], said: str) -> str:
    """Return a message with the location that FastAPI puts beside it."""
    place = part.get("loc")
    return f"{'.'.join(map(str, place[:8]))}: {said}" if isinstance(place, list) else said


def _upstream(parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the message of the provider behind a gateway, which OpenRouter adds to its own."""
    for part in parts:
        raw = part.get("raw")
        if isinstance(raw, str) and raw.strip():
            return f": {_words(_parts(decoded(raw[:MAX_READ]))) or raw.strip()[:MAX_READ]}"
    return ""


def _field(parts: Sequence[Mapping[str, Any]], names: frozenset[str], words: str) -> str:
    for part in parts:
        place = part.get("loc")
        told = place if isinstance(place, list) else [part.get("param"), part.get("parameter")]
        for one in told:
            name = _SPELLED.get(one, one.split(".")[0]) if isinstance(one, str) else ""
            name = _ALIKE.get(name.lower(), name)
            if name in FIELDS:
                return name
    return _named_in(words) or ("model" if names & _OF_MODEL else "")


def _named_in(words: str) -> str:
    named = {_ALIKE[found] for found in _IN_WORDS.findall(words.lower())}
    return next((name for name in FIELDS if name in named), "")


def _own_status(parts: Sequence[Mapping[str, Any]], names: frozenset[str]) -> int:
    for part in parts:
        for key in ("code", "status", "status_code", "error_code"):
            if (status := status_code(part.get(key))) is not None:
                return status
    told = (_STATUS_OF[name] for name in names & _STATUS_OF.keys())
    return max(told, default=400 if names & KNOWN_NAMES else 502)


def _asked_wait(parts: Sequence[Mapping[str, Any]]) -> float | None:
    """Return the seconds that a body asks us to wait, as a number or as `37s`."""
    for part in parts:
        for key in _WAITING:
            told = part.get(key)
            seconds = as_number(told.removesuffix("s") if isinstance(told, str) else told)
            if seconds is not None and seconds >= 0:
                return seconds
    return None


def _beginning(body: bytes) -> str:
    """Return the beginning of a body without a message; for a page its title or its text."""
    text = body[: 4 * MAX_READ].decode(errors="replace")[:MAX_READ]
    if text.lstrip("\ufeff \t\r\n").startswith("<"):
        title = _TITLE.search(text)
        text = html.unescape(title[1] if title and title[1].strip() else _TAG.sub(" ", text))
    return kept(" ".join(text.split()), MAX_WORDS)


def without_echo(said: str, question: str) -> str:
    """Return a text without the passages of `ECHO` characters or more that are in another one."""
    rest, at = "", 0
    while at < len(said):
        end = at + ECHO
        if said[at:end] not in question or end > len(said):
            rest, at = rest + said[at], at + 1
            continue
        while end < len(said) and said[at : end + 1] in question:
            end += 1
        rest, at = f"{rest}[...]", end
    return rest


def error_of(value: object) -> object:
    """Return the error in a decoded body of HTTP 200, or None."""
    body = as_mapping(value)
    if body.get("error"):
        return body
    is_error = status_code(body.get("code")) and isinstance(body.get("message"), str)
    return body if is_error else None
