"""`NewestVersions` in a nameless file that SQLite keeps: memory stays the same however many."""

import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from reviewstream.errors import ConfigError
from reviewstream.ports import Sighting

NAMELESS: Final = ""  # a file in SQLite's temporary folder that ends with the connection
CACHE: Final = 32 << 10  # KiB of it in memory

_TABLE: Final = """
CREATE TABLE newest (
    review_id TEXT PRIMARY KEY,
    version INTEGER NOT NULL,
    place INTEGER NOT NULL, -- partition
    at INTEGER NOT NULL, -- offset
    mark TEXT NOT NULL
) WITHOUT ROWID
"""
_SEE: Final = """
INSERT INTO newest VALUES (?, ?, ?, ?, ?) ON CONFLICT (review_id) DO UPDATE
SET version = excluded.version, place = excluded.place, at = excluded.at, mark = excluded.mark
WHERE excluded.version >= version
"""
_FORGET: Final = "DELETE FROM newest WHERE review_id = ?"
_FIND: Final = "SELECT * FROM newest WHERE review_id = ?"
_COUNT: Final = "SELECT mark, count(*) FROM newest GROUP BY mark"


class SqliteVersions:
    """`NewestVersions` on disk, for as long as it is open; nothing is left behind by a kill."""

    def __init__(self) -> None:
        with _plain_errors():
            self._connection = sqlite3.connect(NAMELESS, isolation_level=None)
            self._connection.execute(f"PRAGMA cache_size = -{CACHE}")
            self._connection.execute(_TABLE)

    def see(self, sightings: Iterable[Sighting]) -> None:
        """See `NewestVersions.see`."""
        with _plain_errors():
            self._connection.execute("BEGIN")
            for one in sightings:
                if one.version is None:
                    self._connection.execute(_FORGET, (one.review_id,))
                else:
                    row = (one.review_id, one.version, one.partition, one.offset, one.mark)
                    self._connection.execute(_SEE, row)
            self._connection.execute("COMMIT")

    def newest(self, review_ids: Collection[str]) -> Mapping[str, Sighting]:
        """See `NewestVersions.newest`."""
        with _plain_errors():
            found = (self._connection.execute(_FIND, (name,)).fetchone() for name in review_ids)
            return {row[0]: _sighting(row) for row in found if row is not None}

    def count(self) -> Mapping[str, int]:
        """See `NewestVersions.count`."""
        with _plain_errors():
            return dict(self._connection.execute(_COUNT).fetchall())

    def close(self) -> None:
        """See `NewestVersions.close`."""
        self._connection.close()


def _sighting(row: tuple[Any, ...]) -> Sighting:
    review_id, version, partition, offset, mark = row
    return Sighting(
        review_id=review_id, version=version, partition=partition, offset=offset, mark=mark
    )


@contextmanager
def _plain_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as err:
        raise ConfigError(
            f"the list of the newest versions cannot be kept: {err}; it is a temporary file: "
            "is there room, or name another folder by SQLITE_TMPDIR"
        ) from err
