"""Token buckets for requests and tokens per minute; pure arithmetic without a clock.

`now` is seconds on any clock that never goes back.

Source: OpenAI's guide "Rate limits": limits may be enforced over shorter periods than a minute, a
refused request counts too, and the tokens of a request are first estimated.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

MINUTE: Final = 60.0  # seconds
MAX_LIMIT: Final = 1_000_000_000  # per minute
USUAL_REQUESTS: Final = 10_000  # reported for a limit that is not enforced
USUAL_TOKENS: Final = 2_000_000
ROUNDING: Final = 1e-3  # requests or tokens; admits a client that waits exactly as told


class Limits(NamedTuple):
    """Enforced limits.

    Attributes:
        requests_per_minute: None for no limit.
        tokens_per_minute: None for no limit.
        window_seconds: Seconds in which an empty bucket fills, which bounds the burst: 60,000 per
            minute with a window of one second are enforced as 1,000 per second.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    window_seconds: float = MINUTE

    def complaint(self) -> str | None:
        """Return an error message if a number is invalid, else None."""
        for name in ("requests_per_minute", "tokens_per_minute"):
            limit = getattr(self, name)
            if limit is not None and not (_is_number(limit, int) and 1 <= limit <= MAX_LIMIT):
                return f"{name} is {limit!r} (a whole number from 1 to {MAX_LIMIT}, or null)"
        window = self.window_seconds
        if not (_is_number(window, int | float) and 0 < window <= MINUTE):
            return f"window_seconds is {window!r} (more than 0, at most {MINUTE:g})"
        return None


def limits_of(fields: Mapping[str, Any]) -> Limits:
    """Return the limits in a JSON object.

    Raises:
        ValueError: A field is unknown or invalid; the message says which.
    """
    unknown = fields.keys() - {*Limits._fields}
    if unknown:
        raise ValueError(
            f"there is no limit {min(unknown)!r}; there are {', '.join(Limits._fields)}"
        )
    limits = Limits(**fields)
    complaint = limits.complaint()
    if complaint:
        raise ValueError(complaint)
    return limits


class Standing(NamedTuple):
    """State of a bucket.

    Attributes:
        limit: Limit per minute.
        remaining: Amount available now.
        reset: Seconds until the bucket is full.
    """

    limit: int
    remaining: int
    reset: float


class Bucket:
    """A token bucket.

    A request larger than the capacity is admitted when the bucket is full, and leaves a debt. The
    amount admitted in any period is at most the capacity, plus the refill in that period, plus the
    amount by which the largest request exceeds the capacity.

    Args:
        limit: Limit per minute; None admits everything, and reports each request as the first.
        window: Seconds in which an empty bucket fills.
        usual: Limit that is reported if no limit is enforced.
        now: Current time in seconds.
    """

    def __init__(self, limit: int | None, window: float, usual: int, now: float) -> None:
        self.limit = usual if limit is None else limit
        self.is_enforced = limit is not None
        self._rate = self.limit / MINUTE
        # A capacity below one would never admit anything.
        self._capacity = max(1.0, self.limit * window / MINUTE)
        self._level = self._capacity
        self._at = now

    def used(self, now: float) -> int:
        """Return the used part of the limit, rounded up."""
        self._fill(now)
        return math.ceil(self.limit - self._level - ROUNDING)

    def is_too_large(self, amount: int) -> bool:
        """Report whether the amount exceeds the limit, so that waiting does not help."""
        return self.is_enforced and amount > self.limit

    def wait(self, amount: int, now: float) -> float:
        """Return the seconds until `amount` is available if no other request arrives."""
        self._fill(now)
        lacking = min(amount, self._capacity) - self._level
        return 0.0 if not self.is_enforced or lacking <= ROUNDING else lacking / self._rate

    def take(self, amount: float, now: float) -> None:
        """Take an amount; a negative amount is returned to the bucket."""
        self._fill(now)
        self._level = min(self._capacity, self._level - amount)

    def spill(self, now: float) -> None:
        """Take up to one, without going into debt."""
        self._fill(now)
        self._level = min(self._level, max(0.0, self._level - 1))

    def standing(self, amount: int, now: float) -> Standing:
        """Return the state after a request of `amount`."""
        self._fill(now)
        level = self._level if self.is_enforced else self._capacity - amount
        remaining = max(0, int(level + ROUNDING))
        return Standing(self.limit, remaining, (self._capacity - level) / self._rate)

    def _fill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)


class RateLimited(NamedTuple):
    """A refusal of a request over a limit.

    Attributes:
        of: The exceeded limit: `requests` or `tokens`.
        limit: Limit per minute.
        used: Used part of the limit.
        requested: Amount of this request.
        wait: Seconds until requests and tokens suffice; None if the request needs more tokens
            than the whole limit.
    """

    of: str
    limit: int
    used: int
    requested: int
    wait: float | None

    @property
    def reason(self) -> str:
        """Name under which the refusal is counted."""
        return self.of if self.wait is not None else "too_large"


class Allowance:
    """The request and token buckets of one group of clients.

    Args:
        limits: Enforced limits.
        now: Current time in seconds.
        tells_usual: Report the usual limits if no limits are enforced; otherwise report nothing,
            so that a client which obeys the reported limits is not slowed down.

    Attributes:
        admitted: Number of admitted requests.
    """

    def __init__(self, limits: Limits, now: float, *, tells_usual: bool = False) -> None:
        window = limits.window_seconds
        self.admitted = 0
        self._tells_usual = tells_usual
        self._requests = Bucket(limits.requests_per_minute, window, USUAL_REQUESTS, now)
        self._tokens = Bucket(limits.tokens_per_minute, window, USUAL_TOKENS, now)

    def admit(self, tokens: int, now: float) -> RateLimited | None:
        """Admit a request and its tokens, or return the refusal.

        A refused request counts as a request too.
        """
        if self._tokens.is_too_large(tokens):
            self._requests.spill(now)
            return _refusal("tokens", self._tokens, tokens, None, now)
        if self._requests.wait(1, now):
            self._requests.spill(now)
            return _refusal("requests", self._requests, 1, self._wait(tokens, now), now)
        self._requests.take(1, now)
        self.admitted += 1
        if self._tokens.wait(tokens, now):
            return _refusal("tokens", self._tokens, tokens, self._wait(tokens, now), now)
        self._tokens.take(tokens, now)
        return None

    def settle(self, reserved: int, used: int, now: float) -> None:
        """Replace an admitted request's estimated tokens by its used tokens."""
        self._tokens.take(used - reserved, now)

    def standings(self, tokens: int, now: float) -> dict[str, Standing]:
        """Return the reported bucket states after a request with this number of tokens."""
        buckets = {"requests": (self._requests, 1), "tokens": (self._tokens, tokens)}
        return {
            name: bucket.standing(amount, now)
            for name, (bucket, amount) in buckets.items()
            if bucket.is_enforced or self._tells_usual
        }

    def _wait(self, tokens: int, now: float) -> float:
        return max(self._requests.wait(1, now), self._tokens.wait(tokens, now))


def _refusal(of: str, bucket: Bucket, asked: int, wait: float | None, now: float) -> RateLimited:
    return RateLimited(of, bucket.limit, bucket.used(now), asked, wait)


def _is_number(value: object, kind: Any) -> bool:  # noqa: ANN401 - a type or a union of types
    return isinstance(value, kind) and not isinstance(value, bool)
