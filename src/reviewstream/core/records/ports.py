"""Outside systems of every room: a sorter of more rows than fit into memory."""

from collections.abc import Iterable, Iterator
from typing import Protocol

Row = tuple[int | str, ...]


class Sorter(Protocol):
    """Sorts rows of one width, maybe more of them than memory holds."""

    def add(self, rows: Iterable[Row]) -> None:
        """Take rows; a column holds numbers alone (below 2^63), or texts alone.

        Raises:
            ConfigError: there is no more room on the disk.
        """
        ...

    def rows(self) -> Iterator[Row]:
        """Return all rows so far, in ascending order; may be called again."""
        ...

    def close(self) -> None:
        """Forget everything."""
        ...
