"""Turns at the limiter, abandoned as soon as a request cannot be sent any more."""

import asyncio
from collections.abc import Callable

from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.ports import RateLimiter
from reviewstream.core.labelling.shutdown import Shutdown


class NoLongerFitsError(Exception):
    """Raised when limits that arrive during the wait make a request too large to ever be sent."""


class Turns:
    """A set of requests that wait for the limiter; each is checked again when limits change.

    Otherwise a request that no longer fits would block its place, and all requests behind it, for
    minutes.

    Attributes:
        limiter: The limiter.
        shutdown: Interrupts the waits.
    """

    def __init__(self, limiter: RateLimiter, shutdown: Shutdown) -> None:
        self.limiter = limiter
        self.shutdown = shutdown
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    async def take(self, most: Amount, fits: Callable[[], bool]) -> None:
        """Wait for a turn.

        Args:
            most: Maximum usage of the request.
            fits: Says whether the request fits the known limits.

        Raises:
            NoLongerFitsError: The request does not fit any more.
            Cancelled: Shutdown interrupted the wait.
            ReviewStreamError: See `RateLimiter.acquire`.
        """
        turn = asyncio.ensure_future(self.limiter.acquire(most))
        self._waiting[turn] = fits
        try:
            await self.shutdown.run_until_shutdown(turn)
        except asyncio.CancelledError:
            if turn in self._waiting:  # not cancelled by `look`: the caller is cancelled
                raise
            raise NoLongerFitsError from None
        finally:
            self._waiting.pop(turn, None)
        if not fits():
            self.limiter.give_up(most)
            raise NoLongerFitsError

    def look(self) -> None:
        """Cancel the waits of requests that no longer fit."""
        for turn, fits in [*self._waiting.items()]:
            if not fits():
                del self._waiting[turn]
                turn.cancel()
