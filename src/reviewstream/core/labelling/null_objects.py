"""A ledger that remembers nothing and a limiter that never waits: what a run without them uses."""

from collections.abc import Collection, Mapping

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.ports import LedgerEntry, LedgerKey


class NoLedger:
    """`LabelLedger` that remembers nothing, and lets everyone buy."""

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """Find nothing."""
        del keys
        return {}

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """Forget at once."""

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """Allow everything."""
        return set(keys)

    def release(self, keys: Collection[LedgerKey]) -> None:
        """Do nothing."""

    def prove(self) -> None:
        """Do nothing: what is forgotten at once needs no room."""

    def close(self) -> None:
        """Do nothing."""


class NoLimit:
    """`RateLimiter` that lets everything through at once."""

    tokens_per_minute: float | None = None

    async def acquire(self, most: Amount) -> None:
        """Do not wait."""

    def give_up(self, reserved: Amount) -> None:
        """Count nothing."""

    def end(self, why: str) -> None:
        """End nobody else."""

    async def check(self) -> None:
        """Let everybody pass."""

    def settle(self, reserved: Amount, used: Amount) -> None:
        """Count nothing."""

    def throttled(self, retry_after: float | None) -> None:
        """Slow nobody down."""

    def learn(self, limits: RateLimits) -> None:
        """Do nothing."""
