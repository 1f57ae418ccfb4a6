"""Reads how long an endpoint asks to wait, and what it allows in a minute, out of HTTP headers."""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.endpoint.dialects import MINUTE, Dialect
from reviewstream.core.records.json_values import as_number

UNLIMITED: Final = 1e12  # in a minute: some gateways write 2**63 - 1 for "no limit"


def lower_case(headers: Mapping[str, str]) -> Mapping[str, str]:
    """Return headers by their names in lower case."""
    return {name.lower(): value for name, value in headers.items()}


def rate_limits(headers: Mapping[str, str], dialect: Dialect) -> RateLimits | None:
    """Return what an endpoint allows in a minute, or None if it does not say.

    A limit for more than a minute is no rate: most of a day's requests may be made in an hour.
    Zero and less is not a limit either, but an endpoint that does not know (or a closed door).

    Args:
        headers: Names in lower case.
        dialect: Names the headers and their windows.
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
    """Return the seconds that an answer asks us to wait, or None if it does not say.

    Args:
        headers: Names in lower case.
    """
    milliseconds = as_number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return max(milliseconds / 1000, 0.0)
    value = headers.get("retry-after")
    seconds = as_number(value)
    return _until(value, headers.get("date")) if seconds is None else max(seconds, 0.0)


def _until(moment: str | None, now: str | None) -> float | None:
    """Return the seconds between two HTTP dates, both by the endpoint's clock: ours may be off."""
    try:
        wait = parsedate_to_datetime(moment or "") - parsedate_to_datetime(now or "")
    except (TypeError, ValueError, IndexError, OverflowError):  # TypeError: one date has no zone
        return None
    return max(wait.total_seconds(), 0.0)
