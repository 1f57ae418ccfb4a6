"""Turns at the limiter, given up as soon as a request could not be made any more."""

import asyncio
from collections.abc import Callable

from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.ports import RateLimiter
from reviewstream.core.labelling.shutdown import Shutdown


class NoLongerFitsError(Exception):
    """While a request waited for its turn it became known that it is never let in."""


class Turns:
    """Waits for turns at a limiter; what waits is looked at again when something is learned.

    A request that no longer fits would keep its place for minutes, and all behind it with it.
    """

    def __init__(self, limiter: RateLimiter, shutdown: Shutdown) -> None:
        self._limiter = limiter
        self._shutdown = shutdown
        self._waiting: dict[asyncio.Future[None], Callable[[], bool]] = {}

    async def take(self, most: Amount, fits: Callable[[], bool]) -> None:
        """Wait for a turn.

        Args:
            most: What the request takes at most.
            fits: Says whether it could be made at all, as things are.

        Raises:
            NoLongerFitsError: It could not.
            Cancelled: The wait was given up.
            ReviewStreamError: As of `RateLimiter.acquire`.
        """
        turn = asyncio.ensure_future(self._limiter.acquire(most))
        self._waiting[turn] = fits
        try:
            await self._shutdown.run_until_shutdown(turn)
        except asyncio.CancelledError:
            if turn in self._waiting:  # not by `look`: whoever asked is cancelled
                raise
            raise NoLongerFitsError from None
        finally:
            self._waiting.pop(turn, None)
        if not fits():
            self._limiter.give_up(most)
            raise NoLongerFitsError

    def look(self) -> None:
        """Give up the turns of requests that do not fit any more."""
        for turn, fits in [*self._waiting.items()]:
            if not fits():
                del self._waiting[turn]
                turn.cancel()
