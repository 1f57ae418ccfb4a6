"""A row sorter in memory."""

from collections.abc import Iterable, Iterator

from reviewstream.core.records.ports import Row


class MemorySorter:
    """`Sorter` that keeps all rows in memory.

    Args:
        width: Number of values in a row.
    """

    def __init__(self, width: int) -> None:
        self._width = width
        self._rows: list[Row] = []

    def add(self, rows: Iterable[Row]) -> None:
        """See `Sorter.add`."""
        self._rows.extend(row for row in rows if self._fits(row))

    def rows(self) -> Iterator[Row]:
        """See `Sorter.rows`."""
        return iter(sorted(self._rows))

    def close(self) -> None:
        """See `Sorter.close`."""
        self._rows.clear()

    def _fits(self, row: Row) -> bool:
        if len(row) != self._width:
            raise ValueError(f"{len(row)} values in a row of {self._width}")
        return True
