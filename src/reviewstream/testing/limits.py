"""Limits and budgets, in memory."""

from reviewstream.core.limits import Operation, Reply, Shared, Terms, apply
from reviewstream.core.pace import Pace
from reviewstream.ports import Clock


class MemoryLimits:
    """`LimitStore` that lives as long as its process, in the time of a clock.

    Attributes:
        paces: Of each model.
        spent: Micro-dollars of each account, those reserved included.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.paces: dict[str, Pace] = {}
        self.spent: dict[str, int] = {}

    def apply(self, operation: Operation, terms: Terms) -> Reply:
        """See `LimitStore.apply`."""
        kept = Shared(
            pace=self.paces.get(terms.model, Pace()), spent=self.spent.get(terms.account, 0)
        )
        shared, reply = apply(kept, operation, terms, self._clock.now().timestamp())
        self.paces[terms.model] = shared.pace
        self.spent[terms.account] = shared.spent
        return reply

    def close(self) -> None:
        """See `LimitStore.close`."""
