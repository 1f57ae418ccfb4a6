"""How often an endpoint fails: tells a text that it cannot take from an endpoint that is ill."""

from collections import deque
from typing import Final

SAMPLE: Final = 200  # requests that are looked at
CERTAIN: Final = 1e-6  # chance that a sound text is taken for one that makes the endpoint fail


class Health:
    """The share of requests that fail, whatever they ask about.

    A request is told of once, at its first attempt: a text that makes the endpoint fail, and is
    tried again and again, would otherwise look like an endpoint that fails everybody.
    """

    def __init__(self) -> None:
        self._failed: deque[bool] = deque(maxlen=SAMPLE)

    def record(self, *, failed: bool) -> None:
        """Note the outcome of a first attempt."""
        self._failed.append(failed)

    @property
    def failure_rate(self) -> float:
        """Estimate the share of failures, 0 to 1; a half where nothing is known."""
        return (sum(self._failed) + 1) / (len(self._failed) + 2)

    def is_text_at_fault(self, failures: int) -> bool:
        """Say whether so many failures in a row are no accident of the endpoint's."""
        return self.failure_rate**failures < CERTAIN
