"""The offset up to which readers may read."""

import threading
import time
from collections.abc import Callable

from reviewstream.adapters.files.review_log import ReviewLog


class ReplayThrottle:
    """The end of the lines that have arrived: all complete ones, or a number per second.

    With a rate, all readers share one head. It is never behind the furthest reader, so it continues
    there after a restart of the server.
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
            clock: Returns seconds.
        """
        self._log = log
        self._rate = rate
        self._clock = clock
        self._started = clock()
        self._arrived = 0
        self._head = 0
        self._lock = threading.Lock()

    def head(self, reader: int = 0) -> int:
        """Return the end of the lines that have arrived.

        Args:
            reader: Offset of the asking reader.

        Raises:
            SourceReplacedError: The file was truncated, or another is in its place.
        """
        complete = self._log.head()
        if self._rate is None:
            return complete
        with self._lock:
            due = int((self._clock() - self._started) * self._rate) - self._arrived
            self._arrived += due  # lines that the file did not have in time are not added later
            self._head = self._log.skip(max(self._head, reader), due, complete)
            return self._head
