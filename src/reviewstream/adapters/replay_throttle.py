"""How far readers may go."""

import threading
import time
from collections.abc import Callable

from reviewstream.adapters.review_log import ReviewLog


class ReplayThrottle:
    """The end of the lines that have arrived: all complete ones, or so many per second.

    At a rate, one head is shared by all readers. It is never behind the furthest of them: after a
    restart of the server it goes on from there.
    """

    def __init__(
        self,
        log: ReviewLog,
        *,
        rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Start the clock.

        Args:
            log: The lines.
            rate: Lines per second; None for no limit.
            clock: Seconds.
        """
        self._log = log
        self._rate = rate
        self._clock = clock
        self._started = clock()
        self._arrived = 0
        self._head = 0
        self._lock = threading.Lock()

    def head(self, reader: int = 0) -> int:
        """Return the end of what has arrived.

        Args:
            reader: Where the reader stands that asks.

        Raises:
            SourceReplacedError: the file was cut short, or another is in its place.
        """
        complete = self._log.head()
        if self._rate is None:
            return complete
        with self._lock:
            due = int((self._clock() - self._started) * self._rate) - self._arrived
            self._arrived += due  # what the file did not have in time is not made up for later
            self._head = self._log.skip(max(self._head, reader), due, complete)
            return self._head
