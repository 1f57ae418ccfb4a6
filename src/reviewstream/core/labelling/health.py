"""How often an endpoint fails: tells a text that it cannot take from an endpoint that is ill."""

from collections import deque
from typing import Final

SAMPLE: Final = 20  # requests that are looked at: few, so that a sudden illness shows at once
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

    def is_text_at_fault(self, failures: int) -> bool:
        """Say whether so many failures in a row are no accident of the endpoint's.

        That is the chance of them after what was seen, whatever the rate is (Laplace's rule of
        succession): a few requests do not tell it well.
        """
        failed, seen, chance = sum(self._failed), len(self._failed), 1.0
        for number in range(failures):
            chance *= (failed + 1 + number) / (seen + 2 + number)
        return chance < CERTAIN
