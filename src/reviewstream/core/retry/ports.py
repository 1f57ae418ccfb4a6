"""Ports of retry: time and chance."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Time and randomness."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...

    def jitter(self) -> float:
        """Return a random number in [0, 1)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Sleep for some seconds."""
        ...


class Timer(Protocol):
    """A monotonic clock of code that blocks; the module `time` is one."""

    def monotonic(self) -> float:
        """Return seconds that no change of the time of day affects."""
        ...

    def sleep(self, seconds: float, /) -> None:
        """Sleep for some seconds."""
        ...
