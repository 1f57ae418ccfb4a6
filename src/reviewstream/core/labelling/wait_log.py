"""Says what is being waited for: at once, and once a minute while it lasts."""

import logging
from datetime import datetime, timedelta
from typing import Final

from reviewstream.core.labelling.ports import Clock

AGAIN: Final = timedelta(minutes=1)
SOON: Final = timedelta(seconds=10)  # a wait that begins again within it is the same one

_log = logging.getLogger("reviewstream.labelling")


class WaitLog:
    """Logs waits, each kind once a minute at most."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, datetime] = {}
        self._over: set[str] = set()

    def wait(self, kind: str, sentence: str) -> None:
        """Log a wait.

        Args:
            kind: Waits of one kind share the minute.
            sentence: What is waited for, why, and which setting to look at.
        """
        now = self._clock.now()
        said = self._said.get(kind)
        if said is None or now >= said + (SOON if kind in self._over else AGAIN):
            self._said[kind] = now
            self._over.discard(kind)
            _log.warning("%s", sentence)

    def over(self, kind: str) -> None:
        """Note that a wait is over: another one is logged when it begins."""
        self._over.add(kind)
