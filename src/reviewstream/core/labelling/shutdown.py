"""An orderly end: what is in flight is finished, as it is paid for, and nothing new begins."""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

from reviewstream.errors import FatalError

T = TypeVar("T")


class Cancelled(Exception):
    """Something else has ended the work; its reason is in `Shutdown.reason`."""


class Shutdown:
    """Ends the waits of everybody who works on the same thing.

    Attributes:
        reason: Why everything ends, or None. A `FatalError` tells more than what failed beside it.
    """

    def __init__(self) -> None:
        self.reason: Exception | None = None
        self._halted = asyncio.Event()

    def end(self) -> None:
        """Let nothing new begin: nobody wants it any more."""
        self._halted.set()

    def stop(self, reason: Exception) -> None:
        """Let nothing new begin, for a reason that everybody is told."""
        self.end()
        if isinstance(reason, Cancelled):
            return
        tells_more = isinstance(reason, FatalError) and not isinstance(self.reason, FatalError)
        if self.reason is None or tells_more:
            self.reason = reason

    def check(self) -> None:
        """Let nobody pass after the end.

        Raises:
            Cancelled: this is the end.
        """
        if self._halted.is_set():
            raise Cancelled

    async def run_until_shutdown(self, waiting: Awaitable[T]) -> T:
        """Wait for something that is given up at the end, if it has not come by then.

        Raises:
            Cancelled: it was given up.
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
