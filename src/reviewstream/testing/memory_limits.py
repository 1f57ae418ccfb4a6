"""Limits and budgets, in memory."""

from reviewstream.core.labelling.limits.operations import (
    Ended,
    LimitKey,
    Operation,
    Reply,
    Reserved,
    Shared,
    apply,
)
from reviewstream.core.labelling.limits.pace import Pace
from reviewstream.core.retry.ports import Clock


class MemoryLimits:
    """`LimitStore` that lives as long as its process, and takes the time from a clock.

    Attributes:
        paces: Pace of each model.
        spent: Micro-dollars of each account, including reservations.
        reserved: The part of `spent` that can be released.
        ended: The last ended run of each account.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.paces: dict[str, Pace] = {}
        self.spent: dict[str, int] = {}
        self.reserved: dict[str, Reserved] = {}
        self.ended: dict[str, Ended] = {}

    def apply(self, operation: Operation, terms: LimitKey) -> Reply:
        """See `LimitStore.apply`."""
        kept = Shared(
            pace=self.paces.get(terms.model, Pace()),
            spent=self.spent.get(terms.account, 0),
            reserved=self.reserved.get(terms.account, Reserved()),
            ended=self.ended.get(terms.account, Ended()),
        )
        shared, reply = apply(kept, operation, terms, self._clock.now().timestamp())
        self.paces[terms.model] = shared.pace
        self.spent[terms.account] = shared.spent
        self.reserved[terms.account] = shared.reserved
        self.ended[terms.account] = shared.ended
        return reply

    def close(self) -> None:
        """See `LimitStore.close`."""
