"""An unnamed SQLite file: memory does not grow with its content."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from reviewstream.errors import ConfigError

NAMELESS: Final = ""  # a file in SQLite's temporary folder that ends with the connection


def open_temporary(table: str, *, cache: int) -> sqlite3.Connection:
    """Return a connection to a new file, which is deleted even if the process is killed.

    Args:
        table: Statement that creates its table.
        cache: KiB in memory.
    """
    connection = sqlite3.connect(NAMELESS, isolation_level=None)
    connection.execute(f"PRAGMA cache_size = -{cache}")
    connection.execute(table)
    return connection


@contextmanager
def plain_errors(what: str) -> Iterator[None]:
    """Map SQLite's errors to ours; `what` names the content of the file, for the message."""
    try:
        yield
    except sqlite3.Error as err:
        raise ConfigError(
            f"the list of {what} cannot be kept: {err}; it is a temporary file: "
            "is there room, or name another folder by SQLITE_TMPDIR"
        ) from err
