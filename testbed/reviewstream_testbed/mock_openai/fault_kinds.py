"""The table of all kinds of faults."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reviewstream_testbed.mock_openai.error_bodies import ApiError


class Page(NamedTuple):
    """An HTML page that a proxy sends in place of the API's response."""

    status: int
    title: str

    def text(self) -> str:
        """Return the page as HTML."""
        return f"<!doctype html><html><body><h1>{self.title}</h1></body></html>"


class Kind(NamedTuple):
    """A kind of fault.

    Attributes:
        what: Effect that the client sees.
        error: Error to send.
        page: Page to send instead.
        body: JSON body to send unchanged instead, with `status`.
        status: HTTP status of `body`.
        fields: Fields that a script may set.
    """

    what: str
    error: ApiError | None = None
    page: Page | None = None
    body: Any = None
    status: int = 200
    fields: tuple[str, ...] = ()


_HEADERS: Final = ("retry_after", "retry_after_header", "should_retry")
RATE_MESSAGE: Final = "Rate limit reached for requests. Please try again later."


def _error(  # noqa: PLR0913 - the fields of an error
    what: str,
    status: int,
    message: str,
    type: str = "invalid_request_error",  # noqa: A002 - the API's own name
    code: str | None = None,
    *,
    cause: str = "",
    **more: object,
) -> Kind:
    error = ApiError(status, message, type=type, code=code, cause=cause, more=more)
    return Kind(what, error, fields=_HEADERS)


def _server_error(what: str, status: int, message: str, cause: str = "") -> Kind:
    return _error(what, status, message, "server_error", cause=cause)


def _too_many(what: str, *fields: str) -> Kind:
    error = ApiError(429, RATE_MESSAGE, type="requests", code="rate_limit_exceeded", cause="rate")
    return Kind(what, error, fields=fields)


def _within_200(code: int, message: str, **more: object) -> Kind:
    body = {"error": {"message": message, "code": code, **more}, "user_id": "user_mock"}
    return Kind(f"HTTP 200 with an error object inside, whose code is {code}", body=body)


_ERRORS: Final[Mapping[str, Kind]] = {
    # Errors that the API documents.
    "400": _error("HTTP 400", 400, "This request was refused by a script.", code="scripted"),
    "401": _error(
        "the key is not known (HTTP 401; 400 in some dialects)",
        401,
        "Incorrect API key provided: sk-****.",
        code="invalid_api_key",
        cause="key",
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
        "overloaded",
    ),
    "rate_429": _too_many("HTTP 429, too many requests", *_HEADERS),
    "quota_429": _error(
        "the quota is spent (HTTP 429; 400, 402 or 403 in some dialects)",
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        "insufficient_quota",
        "insufficient_quota",
        cause="quota",
    ),
    "no_capacity": _error(
        "no room in the flex tier (HTTP 429 `resource_unavailable`; 498 in Groq's dialect)",
        429,
        "Resource unavailable: there is no capacity for this request in the flex tier.",
        "resource_unavailable",
        "resource_unavailable",
        cause="capacity",
    ),
    # Quota, content and configuration errors, as different endpoints report them.
    "quota_402": _error(
        "the quota is spent, as HTTP 402", 402, "Insufficient Balance", "unknown_error"
    ),
    "quota_other_429": _error(
        "the quota is spent, as HTTP 429 `exceeded_current_quota_error`",
        429,
        "Your account is suspended due to insufficient balance, please recharge your account or"
        " check your plan and billing details",
        "exceeded_current_quota_error",
    ),
    "billing_limit_400": _error(
        "the quota is spent, as HTTP 400 `billing_hard_limit_reached`",
        400,
        "Billing hard limit has been reached",
        code="billing_hard_limit_reached",
    ),
    "budget_400": _error(
        "the quota is spent, as HTTP 400 of the type `budget_exceeded`",
        400,
        "Budget has been exceeded! Current cost: 10.02, Max budget: 10.0",
        "budget_exceeded",
        "400",
    ),
    "moderation_403": _error(
        "the text is flagged (HTTP 403; 400, or no choice, in some dialects)",
        403,
        "Your chosen model requires moderation and your input was flagged",
        code="moderation_blocked",
        cause="moderation",
    ),
    "content_filter_400": _error(
        "the text is filtered (HTTP 400 `content_filter`; no choice in Gemini's dialect)",
        400,
        "The response was filtered due to the prompt triggering the content management policy.",
        code="content_filter",
        cause="filter",
    ),
    "json_validate_400": _error(
        "the model's answer is no JSON, told as HTTP 400 `json_validate_failed`",
        400,
        "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' for more"
        " details.",
        code="json_validate_failed",
        failed_generation='{"labels": [',
    ),
    "context_400": _error(
        "the request does not fit the model's context",
        400,
        "This model's maximum context length is 128000 tokens.",
        code="context_length_exceeded",
        cause="context",
    ),
    "format_400": _error(
        "HTTP 400, the response format is not taken",
        400,
        "This response_format type is unavailable now",
        code="invalid_request_error",
    ),
    "policy_404": _error(
        "HTTP 404, though the model is there: the account's data policy",
        404,
        "No endpoints found matching your data policy. Configure: settings/privacy",
    ),
    "text_error_400": Kind(
        "HTTP 400 whose `error` is a text",
        body={
            "error": "Input validation error: inputs must have less than 4096 tokens",
            "error_type": "validation",
        },
        status=400,
    ),
    "too_large_413": _error(
        "HTTP 413, more tokens than the limit of a minute",
        413,
        "Request too large for this model on tokens per minute (TPM): Limit 6000, please reduce"
        " your message size and try again.",
        "tokens",
        "rate_limit_exceeded",
    ),
    "424": _error("HTTP 424, a failure that passes", 424, "capacity exceeded", "server_error"),
    "498": _error("HTTP 498, a failure that passes", 498, "capacity exceeded", "server_error"),
    "error_200_402": _within_200(402, "Insufficient credits. Add more to continue."),
    "error_200_429": _within_200(
        429, "Provider returned error", metadata={"raw": "Too Many Requests"}
    ),
    "error_200_502": _within_200(502, "Provider returned error"),
    # Clock skew.
    "skewed_429": _too_many(
        "HTTP 429 by a clock that is `skew` seconds (3600) ahead of ours: `Retry-After` is a date"
        " `retry_after` seconds (1) after the `Date` of the same answer",
        *("retry_after", "skew", "should_retry"),
    ),
    "past_429": _too_many("HTTP 429, `Retry-After` is a date an hour ago", "should_retry"),
    # Proxies and gateways.
    "413": Kind("HTTP 413, a proxy's page of HTML", page=Page(413, "413 Request Entity Too Large")),
    "502": Kind("HTTP 502, a proxy's page of HTML", page=Page(502, "502 Bad Gateway")),
    "504": Kind("HTTP 504, a proxy's page of HTML", page=Page(504, "504 Gateway Time-out")),
    "529": _server_error("HTTP 529, overloaded, as some gateways say it", 529, "Overloaded"),
    "html": Kind("HTTP 200, a page of HTML", page=Page(200, "Welcome to the hotel's network")),
}
_ANSWERS: Final[Mapping[str, str]] = {
    # Delays and connection failures.
    "hang": "never answers",
    "reset": "resets the connection without an answer",
    "cut": "HTTP 200, the connection is closed in the midst of the body",
    "stall": "HTTP 200, nothing more comes in the midst of the body",
    "truncated_json": "HTTP 200, a whole body that breaks off in the midst of its JSON",
    "stream_error": "an error in the midst of a stream; where none is asked for, HTTP 500",
    "blanks": "blank lines before the body, which keep the connection alive",
    "gzip_bomb": "HTTP 200, a megabyte of gzip that is a gigabyte of an answer",
    "endless": "HTTP 200, a body that never ends",
    "odd_limits": "headers of limits that are no numbers, or absurd ones",
    # Model output.
    "empty_choices": "HTTP 200, no choice",
    "finish_error": 'half an answer, `finish_reason` "error" and an error in the choice',
    "refusal": "the model refuses",
    "length": "the answer is cut short by the token limit",
    "content_filter": "the answer is cut short by a filter",
    "not_json": "the answer is wrapped in prose and a code fence",
    "fence": "the answer is in a code fence",
    "fence_bare": "a code fence that names no language",
    "fence_upper": "a code fence that says JSON",
    "fence_crlf": "a code fence with lines that end as on Windows",
    "fence_no_newline": "a code fence that ends without a new line",
    "think_block": "a <think> block before the answer",
    "bom": "a byte order mark before the answer",
    "content_parts": "`content` is an array of parts, one of them `thinking`",
    "reasoning_content": "the answer is in `reasoning_content`, and `content` is null",
    "off_list_label": "a sentiment that the schema does not allow",
    "wrong_id": "the last id is another one",
    "missing_id": "the last label is missing",
    "extra_id": "one label more, under an id that was not asked about",
    "doubled_id": "the last label comes twice",
    # Reported usage.
    "usage_zero": "`usage` says that no token was used",
    "usage_negative": "`usage` has negative numbers",
    "usage_huge": "`usage` has numbers beyond 64 bits",
    "usage_absent": "there is no `usage`",
    "usage_strings": "`usage` has strings in place of numbers",
    "usage_floats": "`usage` has numbers like 200.0",
    "usage_beside": "1,000 hidden tokens, in `total_tokens` and not in `completion_tokens`",
}
KINDS: Final[Mapping[str, Kind]] = MappingProxyType(
    {
        "ok": Kind("no fault"),
        **_ERRORS,
        "slow": Kind("answers after `seconds` (1)", fields=("seconds",)),
        **{name: Kind(what) for name, what in _ANSWERS.items()},
    }
)
