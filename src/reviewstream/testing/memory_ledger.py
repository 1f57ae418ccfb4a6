"""A label ledger in memory."""

from collections.abc import Collection, Iterator, Mapping

from reviewstream.core.labelling.ports import LedgerEntry, LedgerKey


class MemoryLedger:
    """`LedgerArchive` that lives as long as its process.

    Attributes:
        labels: All recorded entries.
        claimed: Keys that are claimed now.
    """

    def __init__(self) -> None:
        self.labels: dict[LedgerKey, LedgerEntry] = {}
        self.claimed: set[LedgerKey] = set()

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """See `LabelLedger.find`."""
        return {key: self.labels[key] for key in keys if key in self.labels}

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """See `LabelLedger.record`."""
        self.labels = {**entries, **self.labels}

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """See `LabelLedger.claim`."""
        mine = set(keys) - self.claimed
        self.claimed |= mine
        return mine

    def release(self, keys: Collection[LedgerKey]) -> None:
        """See `LabelLedger.release`."""
        self.claimed -= set(keys)

    def prove(self) -> None:
        """See `LabelLedger.prove`."""

    def close(self) -> None:
        """See `LabelLedger.close`."""
        self.claimed.clear()

    def entries(self) -> Iterator[tuple[LedgerKey, LedgerEntry]]:
        """See `LedgerArchive.entries`."""
        return iter(list(self.labels.items()))

    def forget(self, keys: Collection[LedgerKey]) -> int:
        """See `LedgerArchive.forget`."""
        return sum(self.labels.pop(key, None) is not None for key in set(keys))
