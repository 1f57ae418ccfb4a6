"""A fake clock."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """`Clock` that advances only in `sleep`.

    Args:
        now: The time at the start.
        jitter: Result of `jitter`.
        most: Maximum number of waits; more raise an error, as the test would never end.

    Attributes:
        sleeps: All waits, in seconds.
    """

    def __init__(
        self,
        now: datetime = datetime(2026, 1, 1, tzinfo=UTC),
        *,
        jitter: float = 0.0,
        most: int = 10_000,
    ) -> None:
        self._now = now
        self._jitter = jitter
        self._most = most
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self._now

    def jitter(self) -> float:
        """See `Clock.jitter`."""
        return self._jitter

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        if len(self.sleeps) >= self._most:
            raise AssertionError(f"{self._most} waits: what waits on this clock never ends")
        self.sleeps.append(seconds)
        self._now += timedelta(seconds=seconds)
        await asyncio.sleep(0)
