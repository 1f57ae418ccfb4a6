"""Orderly shutdown: requests in flight finish, because they are paid for; no new ones start."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from reviewstream.errors import FatalError

T = TypeVar("T")


class Cancelled(Exception):
    """Raised when the work was ended elsewhere; the reason is in `Shutdown.reason`."""


class Shutdown:
    """A shutdown signal for concurrent tasks.

    Attributes:
        reason: Why the work ends, or None. A `FatalError` replaces another reason, because it
            explains more.
    """

    def __init__(self) -> None:
        self.reason: Exception | None = None
        self._halted = asyncio.Event()

    def end(self) -> None:
        """Start the shutdown, without a reason."""
        self._halted.set()

    def stop(self, reason: Exception) -> None:
        """Start the shutdown with a reason that every task raises."""
        self.end()
        if isinstance(reason, Cancelled):
            return
        tells_more = isinstance(reason, FatalError) and not isinstance(self.reason, FatalError)
        if self.reason is None or tells_more:
            self.reason = reason

    def check(self) -> None:
        """Raise after the shutdown has started.

        Raises:
            Cancelled: The shutdown has started.
        """
        if self._halted.is_set():
            raise Cancelled

    async def run_until_shutdown(self, waiting: Awaitable[T]) -> T:
        """Await a result; cancel it when the shutdown starts first.

        Raises:
            Cancelled: The awaitable was cancelled.
        """
        task = asyncio.ensure_future(waiting)
        halted = asyncio.ensure_future(self._halted.wait())
        try:
            await asyncio.wait({task, halted}, return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Cancelled
            return task.result()
        finally:
            halted.cancel()
            task.cancel()
            await asyncio.gather(task, halted, return_exceptions=True)
