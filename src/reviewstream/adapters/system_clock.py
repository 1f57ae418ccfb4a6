"""`Clock` over the machine's time and random numbers."""

import asyncio
import random
from datetime import UTC, datetime


class SystemClock:
    """`Clock` of this machine."""

    def now(self) -> datetime:
        """See `Clock.now`."""
        return datetime.now(UTC)

    def jitter(self) -> float:
        """See `Clock.jitter`."""
        return random.random()  # noqa: S311 - spreads retries in time; not security

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        await asyncio.sleep(seconds)
