"""Waits for an index that is still being filled."""

import time
from collections.abc import Callable
from typing import Final

from reviewstream.asking import Call

POLL: Final = 0.5  # seconds


class Patience:
    """Says whether to look again; ends when nothing has changed for a while.

    Args:
        count: Returns how many documents there are.
        seconds: Without a change; 0: do not wait at all.
    """

    def __init__(self, count: Callable[[], int], seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._found: int | None = None
        self._changed = 0.0

    def __call__(self) -> bool:
        """Wait a moment, but not the first time, and say whether to look again."""
        if not self._seconds:
            return False
        if self._found is not None:
            with Call("waiting for the index, which lags behind"):
                time.sleep(POLL)
        now = self._count()
        if now != self._found:
            self._found, self._changed = now, time.monotonic()
        return time.monotonic() - self._changed < self._seconds
