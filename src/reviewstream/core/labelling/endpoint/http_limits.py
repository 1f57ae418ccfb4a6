"""Parser for HTTP headers: requested waits and rate limits."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.endpoint.dialects import MINUTE, Dialect
from reviewstream.core.records.json_values import as_number

UNLIMITED: Final = 1e12  # per minute; some gateways write 2**63 - 1 for "no limit"


def lower_case(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers with their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def rate_limits(headers: Mapping[str, str], dialect: Dialect) -> RateLimits | None:
    """Return the rate limits per minute that headers report, or None.

    A limit for more than a minute is not a rate: most of a day's requests may be sent in an hour.
    Values of 0 or less are ignored: the endpoint does not know its limit, or access is blocked.

    Args:
        headers: Headers with names in lower case.
        dialect: Dialect with the header names and their windows.
    """
    found: dict[str, float] = {}
    for header in dialect.limit_headers:
        number = as_number(headers.get(header.name))
        if number is None or header.window_seconds > MINUTE:
            continue
        in_a_minute = number * MINUTE / header.window_seconds
        if 0 < in_a_minute < UNLIMITED:
            found.setdefault(header.of, in_a_minute)
    if not found:
        return None
    return RateLimits(
        requests_per_minute=found.get("requests"), tokens_per_minute=found.get("tokens")
    )


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that a response asks us to wait, or None if it does not say.

    Args:
        headers: Headers with names in lower case.
    """
    milliseconds = as_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    value = headers.get("retry-after")
    seconds = as_number(value)
    return _until(value, headers.get("date")) if seconds is None else max(seconds, 0.0)


def _until(moment: str | None, now: str | None) -> float | None:
    """Return the seconds between two HTTP dates, both by the endpoint's clock: ours may differ."""
    try:
        wait = parsedate_to_datetime(moment or "") - parsedate_to_datetime(now or "")
    except (TypeError, ValueError, IndexError, OverflowError):  # TypeError: one date has no zone
        return None
    return max(wait.total_seconds(), 0.0)
