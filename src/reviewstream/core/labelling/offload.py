"""Runs what blocks (a file's lock, a server's answer) beside the event loop that asks the model."""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Offload(Protocol):
    """Runs blocking work, one piece after the other, in the order in which it came."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run some work, and return or raise what it does."""
        ...

    def submit(self, work: Callable[[], object]) -> None:
        """Run some work without waiting for it; it must not raise."""
        ...


class Inline:
    """`Offload` that blocks: for tests, and where nothing else runs."""

    async def run(self, work: Callable[[], T]) -> T:
        """See `Offload.run`."""
        return work()

    def submit(self, work: Callable[[], object]) -> None:
        """See `Offload.submit`."""
        work()
