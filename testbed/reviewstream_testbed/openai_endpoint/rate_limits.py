"""Requests and tokens per minute as buckets that refill continuously: arithmetic, and no clock.

`now` is seconds on any clock that never goes back.

Source: OpenAI's guide "Rate limits": limits may be enforced over shorter periods than a minute, a
refused request counts too, and the tokens of a request are first estimated.
"""

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

MINUTE: Final = 60.0  # seconds
MAX_LIMIT: Final = 1_000_000_000  # per minute
USUAL_REQUESTS: Final = 10_000  # what headers tell of what is not enforced, if anything
USUAL_TOKENS: Final = 2_000_000
ROUNDING: Final = 1e-3  # of a request or token: a client that waits as told is not a hair too early


class Limits(NamedTuple):
    """Limits that are enforced.

    Attributes:
        requests_per_minute: None: any number.
        tokens_per_minute: Likewise.
        window_seconds: How long it takes to fill an empty bucket, and so how large a burst may be:
            60,000 a minute with a window of one second are enforced as 1,000 a second.
    """

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    window_seconds: float = MINUTE

    def complaint(self) -> str | None:
        """Return what is wrong with the numbers, or None."""
        for name in ("requests_per_minute", "tokens_per_minute"):
            limit = getattr(self, name)
            if limit is not None and not (_is_number(limit, int) and 1 <= limit <= MAX_LIMIT):
                return f"{name} is {limit!r} (a whole number from 1 to {MAX_LIMIT}, or null)"
        window = self.window_seconds
        if not (_is_number(window, int | float) and 0 < window <= MINUTE):
            return f"window_seconds is {window!r} (more than 0, at most {MINUTE:g})"
        return None


def limits_of(fields: Mapping[str, Any]) -> Limits:
    """Return the limits that a JSON object describes.

    Raises:
        ValueError: it describes none; says what is wrong.
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
        limit: Per minute.
        remaining: What could be had now.
        reset: Seconds until it is full.
    """

    limit: int
    remaining: int
    reset: float


class Bucket:
    """Holds what may be asked for now.

    More than it can hold is given when it is full, and owed: what is given over any time is at most
    a full bucket, what flowed in meanwhile, and by how much the largest request exceeds a bucket.

    Args:
        limit: Per minute; None: everything is given, and it counts as the only one ever asked for.
        window: Seconds in which it fills.
        usual: The limit that is told if none is enforced.
        now: Seconds.
    """

    def __init__(self, limit: int | None, window: float, usual: int, now: float) -> None:
        self.limit = usual if limit is None else limit
        self.is_enforced = limit is not None
        self._rate = self.limit / MINUTE
        # Of less than one, nothing would ever be given.
        self._capacity = max(1.0, self.limit * window / MINUTE)
        self._level = self._capacity
        self._at = now

    def used(self, now: float) -> int:
        """Return how much of the limit is used up, rounded up."""
        self._fill(now)
        return math.ceil(self.limit - self._level - ROUNDING)

    def is_too_large(self, amount: int) -> bool:
        """Say whether waiting is of no use."""
        return self.is_enforced and amount > self.limit

    def wait(self, amount: int, now: float) -> float:
        """Return the seconds until `amount` can be had, if no other request comes."""
        self._fill(now)
        lacking = min(amount, self._capacity) - self._level
        return 0.0 if not self.is_enforced or lacking <= ROUNDING else lacking / self._rate

    def take(self, amount: float, now: float) -> None:
        """Take something; a negative amount is given back."""
        self._fill(now)
        self._level = min(self._capacity, self._level - amount)

    def spill(self, now: float) -> None:
        """Take what is there of one more; nothing is owed."""
        self._fill(now)
        self._level = min(self._level, max(0.0, self._level - 1))

    def standing(self, amount: int, now: float) -> Standing:
        """Say how it stands after `amount` was asked for."""
        self._fill(now)
        level = self._level if self.is_enforced else self._capacity - amount
        remaining = max(0, int(level + ROUNDING))
        return Standing(self.limit, remaining, (self._capacity - level) / self._rate)

    def _fill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + max(0.0, now - self._at) * self._rate)
        self._at = max(self._at, now)


class RateLimited(NamedTuple):
    """Why a request is not answered now.

    Attributes:
        of: What there is too little of: `requests` or `tokens`.
        limit: Per minute.
        used: Of it.
        requested: By this request.
        wait: Seconds until requests and tokens suffice; None: never, as it asks for more tokens
            than the whole limit.
    """

    of: str
    limit: int
    used: int
    requested: int
    wait: float | None

    @property
    def reason(self) -> str:
        """Name under which it is counted."""
        return self.of if self.wait is not None else "too_large"


class Allowance:
    """Requests and tokens that one group of clients may use.

    Args:
        limits: What is enforced.
        now: Seconds.
        tells_usual: Usual limits are told of what is not enforced; otherwise nothing is told, so
            that a client that believes it is not held back.

    Attributes:
        admitted: Requests, so far.
    """

    def __init__(self, limits: Limits, now: float, *, tells_usual: bool = False) -> None:
        window = limits.window_seconds
        self.admitted = 0
        self._tells_usual = tells_usual
        self._requests = Bucket(limits.requests_per_minute, window, USUAL_REQUESTS, now)
        self._tokens = Bucket(limits.tokens_per_minute, window, USUAL_TOKENS, now)

    def admit(self, tokens: int, now: float) -> RateLimited | None:
        """Take a request and its tokens, or say why not.

        A request that is refused counts as a request too.
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
        """Correct an admitted request's tokens, now that it is known what it used."""
        self._tokens.take(used - reserved, now)

    def standings(self, tokens: int, now: float) -> dict[str, Standing]:
        """Say how that stands which is told, after a request with so many tokens."""
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
