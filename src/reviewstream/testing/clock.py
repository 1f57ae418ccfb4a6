"""Time that passes when it is told to."""

import asyncio
from datetime import UTC, datetime, timedelta


class FakeClock:
    """`Clock` whose time passes only in `sleep`.

    Args:
        now: The time at the start.
        jitter: What `jitter` returns.
        most: Waits that it allows; more are an error, for such a test would never end.

    Attributes:
        sleeps: Every wait, in seconds.
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
