"""Exponential backoff with jitter, and the two loops that wait by it: awaited and blocking."""

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from reviewstream.core.retry.ports import Clock, Timer
from reviewstream.errors import TransientError

MAX_DOUBLINGS: Final = 60  # 2**60 exceeds any maximum and is still a finite float

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits between attempts, in seconds: each is twice as long as the one before.

    Attributes:
        first: The first wait.
        longest: Maximum of a wait.
        total: Time after which a failure is final.
        least: Minimum wait if the other side asks for less; never more than our own wait.
    """

    first: float
    longest: float
    total: float = math.inf
    least: float = math.inf

    def within(self, total: float) -> "Backoff":
        """Return the same waits with another limit of the time in all."""
        return replace(self, total=total)

    def wait(
        self,
        failures: int,
        *,
        jitter: float,
        asked: float | None = None,
        limit: float | None = None,
    ) -> float:
        """Return the seconds to wait after some failures in a row.

        Args:
            failures: Any integer; values below 1 count as 1.
            jitter: In [0, 1); spreads the attempts of several workers. It shortens our own wait by
                up to half, and lengthens one that was asked for.
            asked: Seconds that the other side asks for (`Retry-After`), or None.
            limit: Maximum of any wait; None: `longest`.
        """
        limit = self.longest if limit is None else limit
        doubled = self.first * 2.0 ** min(max(failures, 1) - 1, MAX_DOUBLINGS)
        own = min(self.longest, limit, doubled) * (1 - jitter / 2)
        if asked is None:
            return own
        # A repeated `Retry-After: 0` must not cause a busy loop.
        return max(min(self.least, own), min(limit, asked * (1 + jitter / 2)))

    async def retry(
        self,
        call: Callable[[], Awaitable[T]],
        clock: Clock,
        on_failure: Callable[[TransientError], None],
    ) -> T:
        """Call, and call again after each transient failure.

        Args:
            call: The call.
            clock: Clock for the waits; the total counts from now.
            on_failure: Called before each wait.

        Raises:
            TransientError: The call still fails after the total.
        """
        began, failures = clock.now(), 0
        while True:
            try:
                return await call()
            except TransientError as err:
                if (clock.now() - began).total_seconds() >= self.total:
                    raise
                on_failure(err)
                asked = err.retry_after
            failures += 1
            await clock.sleep(self.wait(failures, jitter=clock.jitter(), asked=asked))


class Attempts:
    """The attempts of code that blocks; the total counts from the creation.

    Args:
        backoff: The waits; they are not spread.
        timer: Clock for the waits.
    """

    def __init__(self, backoff: Backoff, timer: Timer) -> None:
        self._backoff = backoff
        self._timer = timer
        self._began = timer.monotonic()
        self._failures = 0

    def again(self) -> bool:
        """Wait for the next attempt and return True, or return False after the total."""
        if self._timer.monotonic() - self._began > self._backoff.total:
            return False
        self._failures += 1
        self._timer.sleep(self._backoff.wait(self._failures, jitter=0))
        return True
