"""Execution of blocking work (file locks, server calls) outside the event loop."""

from collections.abc import Callable
from typing import Protocol, TypeVar

T = TypeVar("T")


class Offload(Protocol):
    """Runs blocking work sequentially, in submission order."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run a callable; return its result or raise its exception."""
        ...

    def submit(self, work: Callable[[], object]) -> None:
        """Run a callable without waiting for it; it must not raise."""
        ...


class Inline:
    """`Offload` that blocks the caller: for tests and for code without an event loop."""

    async def run(self, work: Callable[[], T]) -> T:
        """See `Offload.run`."""
        return work()

    def submit(self, work: Callable[[], object]) -> None:
        """See `Offload.submit`."""
        work()
