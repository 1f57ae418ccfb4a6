"""Log of waits: a message at the start, and one per minute while the wait lasts."""

import logging
from datetime import datetime, timedelta
from typing import Final

from reviewstream.core.retry.ports import Clock

AGAIN: Final = timedelta(minutes=1)
SOON: Final = timedelta(seconds=10)  # a wait that resumes within this time is the same wait

_log = logging.getLogger("reviewstream.labelling")

WAITS: Final = {
    "failure": "Labelling waits after a failure",
    "throttled": "Labelling waits for the rate limit",
    "capacity": "Labelling waits for capacity in openai.service_tier",
}
CONTRADICTED: Final = (
    "A control text in a pack was labelled wrongly: a review of the pack may have labelled the"
    " others. The answer is thrown away and the pack is asked about in parts."
)
TOO_SMALL: Final = (
    "An answer was cut at its largest ceiling, most of it reasoning that is not shown: lower"
    " openai.reasoning_effort, or raise openai.max_output_tokens_per_label"
)


class WaitLog:
    """A logger of waits, at most one message per kind and minute."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._said: dict[str, datetime] = {}
        self._over: set[str] = set()

    def wait(self, kind: str, sentence: str) -> None:
        """Log a wait.

        Args:
            kind: Kind of wait; waits of one kind share the limit of one message per minute.
            sentence: Subject of the wait, its reason, and the setting to check.
        """
        now = self._clock.now()
        said = self._said.get(kind)
        if said is None or now >= said + (SOON if kind in self._over else AGAIN):
            self._said[kind] = now
            self._over.discard(kind)
            _log.warning("%s", sentence)

    def over(self, kind: str) -> None:
        """Record the end of a wait: the next one is logged at once."""
        self._over.add(kind)
