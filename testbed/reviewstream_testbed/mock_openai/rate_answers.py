"""Rate limits in responses: the headers, and the error of a request over a limit."""

import math
from collections.abc import Mapping
from typing import Final

from reviewstream_testbed.mock_openai.error_bodies import ApiError
from reviewstream_testbed.mock_openai.mock_dialects import LimitHeaders
from reviewstream_testbed.mock_openai.rate_limits import MINUTE, RateLimited, Standing

ORGANIZATION: Final = "reviewstream"
_UNITS: Final = {"requests": "requests per min (RPM)", "tokens": "tokens per min (TPM)"}
USUAL: Final = LimitHeaders()
# Implausible values, which a client must not trust.
ODD: Final[Mapping[str, str]] = {
    "x-ratelimit-limit-requests": "None",
    "x-ratelimit-limit-tokens": str((1 << 63) - 1),
    "x-ratelimit-remaining-requests": "-1",
}
_LEARN: Final = "Visit https://platform.openai.com/account/rate-limits to learn more."


def duration(seconds: float) -> str:
    """Return a duration in the API's format (`6ms`, `1.5s`, `6m0s`), rounded up to 1 ms."""
    milliseconds = math.ceil(round(seconds * 1000, 3))
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    shown = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{shown}"
    return f"{minutes}m{shown}" if minutes else shown


def headers(
    standings: Mapping[str, Standing], names: LimitHeaders | None = USUAL, admitted: int = 0
) -> dict[str, str]:
    """Return the `x-ratelimit-*` headers.

    Args:
        standings: Bucket states per minute.
        names: Header names of the dialect; None for no headers.
        admitted: Requests so far, for a dialect that reports a daily limit.
    """
    if names is None:
        return {}
    told = dict(standings)
    if "requests" in told and names.requests_minutes > 1:
        told["requests"] = _over(names.requests_minutes, told["requests"].limit, admitted)
    return {
        f"x-ratelimit-{field}-{getattr(names, what)}": value
        for what, standing in told.items()
        for field, value in (
            ("limit", str(standing.limit)),
            ("remaining", str(standing.remaining)),
            ("reset", duration(standing.reset)),
        )
    }


def _over(minutes: int, per_minute: int, admitted: int) -> Standing:
    """Return the state of a longer window after this number of requests."""
    limit = per_minute * minutes
    return Standing(limit, max(0, limit - admitted), admitted * MINUTE / per_minute)


def refused(refusal: RateLimited, model: str) -> ApiError:
    """Return the 429 error for a request over a limit."""
    where = f"for {model} in organization {ORGANIZATION} on {_UNITS[refusal.of]}"
    if refusal.wait is None:
        message = (
            f"Request too large {where}: Limit {refusal.limit}, Requested {refusal.requested}."
            " The input or output tokens must be reduced in order to run successfully."
        )
    else:
        message = (
            f"Rate limit reached {where}: Limit {refusal.limit}, Used {refusal.used}, Requested"
            f" {refusal.requested}. Please try again in {duration(refusal.wait)}."
        )
    return ApiError(
        429,
        f"{message} {_LEARN}",
        type=refusal.of,
        code="rate_limit_exceeded",
        cause="too_large" if refusal.wait is None else "rate",
        headers={} if refusal.wait is None else retry_after(refusal.wait),
    )


def retry_after(seconds: float) -> dict[str, str]:
    """Return the headers that ask a client to wait, in whole seconds and in milliseconds."""
    milliseconds = math.ceil(round(seconds * 1000, 3))
    return {"retry-after": str(math.ceil(milliseconds / 1000)), "retry-after-ms": str(milliseconds)}
