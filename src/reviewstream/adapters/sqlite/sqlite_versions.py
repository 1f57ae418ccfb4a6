"""`NewestVersions` in an unnamed SQLite file: memory does not grow with their number."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any, Final

from reviewstream.adapters.sqlite.temporary_file import open_temporary, plain_errors
from reviewstream.core.relabel.ports import VersionSeen

CACHE: Final = 32 << 10  # KiB in memory
_WHAT: Final = "the newest versions"

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
    """`NewestVersions` on disk while it is open; a kill deletes the file, too."""

    def __init__(self) -> None:
        with plain_errors(_WHAT):
            self._connection = open_temporary(_TABLE, cache=CACHE)

    def see(self, sightings: Iterable[VersionSeen]) -> None:
        """See `NewestVersions.see`."""
        with plain_errors(_WHAT):
            self._connection.execute("BEGIN")
            for one in sightings:
                if one.version is None:
                    self._connection.execute(_FORGET, (one.review_id,))
                else:
                    row = (one.review_id, one.version, one.partition, one.offset, one.mark)
                    self._connection.execute(_SEE, row)
            self._connection.execute("COMMIT")

    def newest(self, review_ids: Collection[str]) -> Mapping[str, VersionSeen]:
        """See `NewestVersions.newest`."""
        with plain_errors(_WHAT):
            found = (self._connection.execute(_FIND, (name,)).fetchone() for name in review_ids)
            return {row[0]: _sighting(row) for row in found if row is not None}

    def count(self) -> Mapping[str, int]:
        """See `NewestVersions.count`."""
        with plain_errors(_WHAT):
            return dict(self._connection.execute(_COUNT).fetchall())

    def close(self) -> None:
        """See `NewestVersions.close`."""
        self._connection.close()


def _sighting(row: tuple[Any, ...]) -> VersionSeen:
    review_id, version, partition, offset, mark = row
    return VersionSeen(
        review_id=review_id, version=version, partition=partition, offset=offset, mark=mark
    )
