"""Null objects: a ledger that stores nothing and a limiter that never waits."""

from collections.abc import Collection, Mapping

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.ports import LedgerEntry, LedgerKey


class NoLedger:
    """`LabelLedger` that stores nothing and grants every claim."""

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """Return no entries."""
        del keys
        return {}

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """Discard the entries."""

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """Grant all claims."""
        return set(keys)

    def release(self, keys: Collection[LedgerKey]) -> None:
        """Do nothing."""

    def prove(self) -> None:
        """Do nothing: discarded entries need no space."""

    def close(self) -> None:
        """Do nothing."""


class NoLimit:
    """`RateLimiter` without limits."""

    tokens_per_minute: float | None = None

    async def acquire(self, most: Amount) -> None:
        """Return at once."""

    def give_up(self, reserved: Amount) -> None:
        """Do nothing."""

    def end(self, why: str) -> None:
        """Do nothing: no other task shares the limits."""

    async def check(self) -> None:
        """Return at once."""

    def settle(self, reserved: Amount, used: Amount) -> None:
        """Do nothing."""

    def throttled(self, retry_after: float | None) -> None:
        """Do nothing."""

    def learn(self, limits: RateLimits) -> None:
        """Do nothing."""
