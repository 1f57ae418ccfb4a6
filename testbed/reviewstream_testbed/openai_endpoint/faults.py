"""What can go wrong: every kind of fault, in one table."""

from collections.abc import Mapping
from email.utils import formatdate
from typing import Any, Final, NamedTuple

from reviewstream_testbed.openai_endpoint.errors import ApiError, bad_request


class Page(NamedTuple):
    """What something in between answers in place of the API."""

    status: int
    title: str

    def text(self) -> str:
        """Return the page."""
        return f"<!doctype html><html><body><h1>{self.title}</h1></body></html>"


class Kind(NamedTuple):
    """A kind of fault.

    Attributes:
        what: What a client sees.
        error: The error that is answered.
        page: Or the page.
        fields: What a script may say about it.
    """

    what: str
    error: ApiError | None = None
    page: Page | None = None
    fields: tuple[str, ...] = ()


_HEADERS: Final = ("retry_after", "retry_after_header", "should_retry")
RATE_MESSAGE: Final = "Rate limit reached for requests. Please try again later."


def _error(what: str, status: int, message: str, type: str, code: str | None = None) -> Kind:  # noqa: A002 - the API's own name
    return Kind(what, ApiError(status, message, type=type, code=code), fields=_HEADERS)


def _server_error(what: str, status: int, message: str) -> Kind:
    return _error(what, status, message, "server_error")


def _too_many(what: str, *fields: str) -> Kind:
    error = ApiError(429, RATE_MESSAGE, type="requests", code="rate_limit_exceeded")
    return Kind(what, error, fields=fields)


KINDS: Final[Mapping[str, Kind]] = {
    "ok": Kind("no fault"),
    # Errors that the API documents.
    "400": Kind(
        "HTTP 400",
        bad_request("This request was refused by a script.", code="scripted"),
        fields=_HEADERS,
    ),
    "401": _error(
        "HTTP 401, the key is not known",
        401,
        "Incorrect API key provided: sk-****.",
        "invalid_request_error",
        "invalid_api_key",
    ),
    "403": _error(
        "HTTP 403, not served where the caller is",
        403,
        "Country, region, or territory not supported",
        "request_forbidden",
        "unsupported_country_region_territory",
    ),
    "500": _server_error("HTTP 500", 500, "The server had an error while processing your request."),
    "503": _server_error(
        "HTTP 503, overloaded",
        503,
        "The engine is currently overloaded, please try again later.",
    ),
    "rate_429": _too_many("HTTP 429, too many requests", *_HEADERS),
    "quota_429": _error(
        "HTTP 429, the quota is spent",
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
    ),
    # Clocks that disagree.
    "skewed_429": _too_many(
        "HTTP 429 by a clock that is `skew` seconds (3600) ahead of ours: `Retry-After` is a date"
        " `retry_after` seconds (1) after the `Date` of the same answer",
        *("retry_after", "skew", "should_retry"),
    ),
    "past_429": _too_many("HTTP 429, `Retry-After` is a date an hour ago", "should_retry"),
    # What stands in between.
    "502": Kind("HTTP 502, a proxy's page of HTML", page=Page(502, "502 Bad Gateway")),
    "504": Kind("HTTP 504, a proxy's page of HTML", page=Page(504, "504 Gateway Time-out")),
    "529": _server_error("HTTP 529, overloaded, as some gateways say it", 529, "Overloaded"),
    "html": Kind("HTTP 200, a page of HTML", page=Page(200, "Welcome to the hotel's network")),
    # Time and connections.
    "slow": Kind("answers after `seconds` (1)", fields=("seconds",)),
    "hang": Kind("never answers"),
    "reset": Kind("resets the connection without an answer"),
    "cut": Kind("HTTP 200, the connection is closed in the midst of the body"),
    "stall": Kind("HTTP 200, nothing more comes in the midst of the body"),
    "truncated_json": Kind("HTTP 200, a whole body that breaks off in the midst of its JSON"),
    "stream_error": Kind("an error in the midst of a stream; where none is asked for, HTTP 500"),
    # What the model says.
    "empty_choices": Kind("HTTP 200, no choice"),
    "refusal": Kind("the model refuses"),
    "length": Kind("the answer is cut short by the token limit"),
    "content_filter": Kind("the answer is cut short by a filter"),
    "not_json": Kind("the answer is wrapped in prose and a code fence"),
    "off_list_label": Kind("a sentiment that the schema does not allow"),
    "wrong_id": Kind("the last id is another one"),
    "missing_id": Kind("the last label is missing"),
    "extra_id": Kind("one label more, under an id that nobody asked about"),
    "doubled_id": Kind("the last label comes twice"),
    # What it says it cost.
    "usage_zero": Kind("`usage` says that no token was used"),
    "usage_negative": Kind("`usage` has negative numbers"),
    "usage_huge": Kind("`usage` has numbers beyond 64 bits"),
    "usage_absent": Kind("there is no `usage`"),
    "usage_strings": Kind("`usage` has strings in place of numbers"),
}


class Fault(NamedTuple):
    """One fault.

    Attributes:
        kind: A key of `KINDS`.
        seconds: How long `slow` takes.
        retry_after: Seconds that a client is asked to wait; None: an error does not say.
        retry_after_header: Sent as it is in place of `retry_after`, such as an HTTP date.
        skew: Seconds that the clock of `skewed_429` is ahead.
        should_retry: What `x-should-retry` says; None: nothing.
    """

    kind: str
    seconds: float = 1.0
    retry_after: float | None = None
    retry_after_header: str | None = None
    skew: float = 3600.0
    should_retry: bool | None = None


NONE: Final = Fault("ok")
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "seconds": (int, float),
    "retry_after": (int, float),
    "retry_after_header": (str,),
    "skew": (int, float),
    "should_retry": (bool,),
}


def fault_of(item: Any) -> Fault:  # noqa: ANN401 - comes from JSON
    """Return the fault that a script names.

    Raises:
        ValueError: There is no such fault, or it has no such field.
    """
    fields = {"kind": item} if isinstance(item, str) else dict(item)
    kind = str(fields.get("kind"))
    if kind not in KINDS:
        raise ValueError(f"there is no fault {kind!r}; there are {', '.join(KINDS)}")
    for name, value in fields.items():
        if name != "kind":
            _check_field(kind, name, value)
    return Fault(**fields)


def _check_field(kind: str, name: str, value: object) -> None:
    known = KINDS[kind].fields
    if name not in known:
        raise ValueError(
            f"fault {kind!r} has no field {name!r} (it has {', '.join(known) or None})"
        )
    types = _TYPES[name]
    if not isinstance(value, types) or (isinstance(value, bool) and bool not in types):
        raise ValueError(f"fault {kind!r}: {name} is {value!r}")


def error_of(fault: Fault, *, clock: float) -> ApiError | None:
    """Return the error that a fault answers with, or None if it does something else.

    Args:
        fault: What goes wrong.
        clock: Seconds since 1970.
    """
    base = KINDS[fault.kind].error
    if base is None:
        return None
    return ApiError(
        base.status,
        base.message,
        param=base.param,
        code=base.code,
        type=base.type,
        headers=_retry_after(fault, clock) | _should_retry(fault),
    )


def _should_retry(fault: Fault) -> dict[str, str]:
    told = fault.should_retry
    return {} if told is None else {"x-should-retry": str(told).lower()}


def _retry_after(fault: Fault, clock: float) -> dict[str, str]:
    if fault.retry_after_header is not None:
        return {"Retry-After": fault.retry_after_header}
    if fault.kind == "past_429":
        return {"Retry-After": formatdate(clock - 3600, usegmt=True)}
    if fault.kind == "skewed_429":
        theirs = clock + fault.skew
        wait = 1.0 if fault.retry_after is None else fault.retry_after
        dates = {"Date": theirs, "Retry-After": theirs + wait}
        return {name: formatdate(date, usegmt=True) for name, date in dates.items()}
    if fault.retry_after is None:
        return {}
    return {
        "Retry-After": f"{fault.retry_after:g}",
        "retry-after-ms": f"{fault.retry_after * 1000:.0f}",
    }
