"""Port for sorting more rows than fit into memory."""

from collections.abc import Iterable, Iterator
from typing import Protocol

Row = tuple[int | str, ...]


class Sorter(Protocol):
    """A sorter of rows of equal width that may exceed memory."""

    def add(self, rows: Iterable[Row]) -> None:
        """Add rows; a column holds only numbers (below 2^63), or only texts.

        Raises:
            ConfigError: The disk is full.
        """
        ...

    def rows(self) -> Iterator[Row]:
        """Yield all rows added so far in ascending order; may be called again."""
        ...

    def close(self) -> None:
        """Delete all rows and free the resources."""
        ...
