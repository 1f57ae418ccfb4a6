"""`Sorter` over SQLite, which sorts on disk: memory does not grow with the number of rows."""

from collections.abc import Iterable, Iterator
from typing import Final

from reviewstream.adapters.sqlite.temporary_file import open_temporary, plain_errors
from reviewstream.core.records.ports import Row

CACHE: Final = 16 << 10  # KiB in memory
_WHAT: Final = "what is to be sorted"


class SqliteSorter:
    """`Sorter` of rows of one width.

    Args:
        width: Number of values in a row, at least 1.
    """

    def __init__(self, width: int) -> None:
        columns = [f"c{number}" for number in range(width)]
        self._insert = f"INSERT INTO rows VALUES ({', '.join('?' * width)})"  # noqa: S608 - only question marks
        self._select = f"SELECT * FROM rows ORDER BY {', '.join(columns)}"  # noqa: S608 - numbered columns
        with plain_errors(_WHAT):
            table = f"CREATE TABLE rows ({', '.join(columns)})"
            self._connection = open_temporary(table, cache=CACHE)

    def add(self, rows: Iterable[Row]) -> None:
        """See `Sorter.add`."""
        with plain_errors(_WHAT):
            self._connection.execute("BEGIN")
            self._connection.executemany(self._insert, rows)
            self._connection.execute("COMMIT")

    def rows(self) -> Iterator[Row]:
        """See `Sorter.rows`."""
        with plain_errors(_WHAT):
            yield from self._connection.execute(self._select)

    def close(self) -> None:
        """See `Sorter.close`."""
        self._connection.close()
