"""Reads an endpoint's errors, whatever their shape.

Shapes that are known: an object (`{"error": {"message", "code", "type", "param"}}`), an array of
such objects (Gemini), `error` as text (TGI, xAI), `detail` as text or as a list of `loc` and `msg`
(FastAPI), `message` at the top (Mistral, gateways), plain text, HTML of a proxy, and nothing.
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

MAX_WORDS: Final = 300  # characters of the endpoint's own words that are kept
MAX_NAME: Final = 100  # characters of the name of an error
MAX_PARTS: Final = 50  # objects of an error body that are looked at
MAX_READ: Final = 4096  # characters of a body without words that are looked at
ECHO: Final = 8  # characters that are in the question too, and so may be a review's

# Fields of a request that settings decide. `model` is a word of many errors that are about
# something else: it counts where the endpoint names it as a field, not in its sentence.
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
# Some endpoints name a field as their own code does: `reasoningEffort`.
_ALIKE: Final = {
    spelling: name
    for name in FIELDS
    if name != "model"
    for spelling in (name, name.replace("_", ""))
}
_IN_WORDS: Final = re.compile(rf"(?<![a-z_])(?:{'|'.join(_ALIKE)})(?![a-z_])")
_TITLE: Final = re.compile(r"<title[^<>]*>([^<]+)", re.IGNORECASE)
_TAG: Final = re.compile(r"<[^<>]*>")
_STATUS_OF: Final = {  # of an error inside HTTP 200 that has no number
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
    """An endpoint's error, as far as it can be read.

    Attributes:
        status: HTTP status, or the numeric code of an error inside HTTP 200 or inside a choice.
        names: Names that the endpoint gives the error (`code`, `type`, `status`, `reason`), in
            lower case; `flagged_input` if it has flagged a text.
        words: The endpoint's own words, or the beginning of its body; at most `MAX_WORDS`
            characters.
        field: The field of the request that the endpoint names, of `FIELDS`; empty: none.
        retry_after: Seconds that it asks us to wait, or None if it does not say.
        requests_per_minute: What it allows, or None if it does not say.
        tokens_per_minute: The same for tokens.
        billed: Answer that holds no more than the tokens that it reports to bill all the same, or
            None.
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
    """Read an HTTP answer whose status is an error. Never raises."""
    return refusal(status, decoded(body), headers, dialect, body=body)


def refusal(
    status: int | None,
    value: object,
    headers: Mapping[str, str],
    dialect: Dialect,
    *,
    body: bytes = b"",
) -> Refused:
    """Return what a decoded error says. Never raises.

    Args:
        status: HTTP status; None: the error's own code, or else 502, as the endpoint has failed
            in its own words inside HTTP 200.
        value: JSON of the body, or of the part of it that is the error.
        headers: Of the answer.
        dialect: Names the headers of rate limits.
        body: Shown where the error holds no words.
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
    """Return the HTTP status that a code is, as a number or as a string; None if it is none."""
    number = as_number(value)
    return int(number) if number is not None and 400 <= number < 600 else None


def _parts(value: object) -> list[Mapping[str, Any]]:
    """Return the objects of an error body, keys in lower case, mere envelopes last."""
    found: list[Mapping[str, Any]] = []
    waiting: list[object] = [{"error": value} if isinstance(value, str) else value]
    for one in waiting:  # grows as it goes
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
    """Return words with the place that FastAPI names beside them."""
    place = part.get("loc")
    return f"{'.'.join(map(str, place[:8]))}: {said}" if isinstance(place, list) else said


def _upstream(parts: Sequence[Mapping[str, Any]]) -> str:
    """Return the words of the provider behind a gateway, which OpenRouter puts beside its own."""
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
    """Return the beginning of a body without words, of a page its title or its text."""
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
    """Return the error that a decoded body of HTTP 200 holds, or None."""
    body = as_mapping(value)
    if body.get("error"):
        return body
    is_error = status_code(body.get("code")) and isinstance(body.get("message"), str)
    return body if is_error else None
