"""Failure rate of an endpoint: separates a text that makes it fail from a failing endpoint."""

from collections import deque
from typing import Final

SAMPLE: Final = 20  # recent requests considered; few, so that a sudden outage shows at once
CERTAIN: Final = 1e-6  # accepted probability of blaming a valid text for failures of the endpoint


class Health:
    """The failure rate of recent requests, across all texts.

    Only the first attempt of a request is recorded. Otherwise repeated attempts at one text that
    makes the endpoint fail would look like an outage.
    """

    def __init__(self) -> None:
        self._failed: deque[bool] = deque(maxlen=SAMPLE)

    def record(self, *, failed: bool) -> None:
        """Record the outcome of a first attempt."""
        self._failed.append(failed)

    def is_text_at_fault(self, failures: int) -> bool:
        """Say whether this many consecutive failures are too unlikely to be the endpoint's.

        The probability is computed from the recorded outcomes for an unknown failure rate
        (Laplace's rule of succession), because a few requests do not determine the rate well.
        """
        failed, seen, chance = sum(self._failed), len(self._failed), 1.0
        for number in range(failures):
            chance *= (failed + 1 + number) / (seen + 2 + number)
        return chance < CERTAIN
