"""`LimitStore` in a SQLite file: for every process of one machine."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import msgspec

from reviewstream.adapters.sqlite_file import SqliteFile
from reviewstream.core.limits import (
    Ended,
    MicroUsd,
    Operation,
    Reply,
    Reserved,
    Shared,
    Terms,
    apply,
)
from reviewstream.core.pace import Pace
from reviewstream.errors import ConfigError

VERSION: Final = 1  # of the table

# `kind` is pace, account, reserved or ended; `state` a JSON object, or whole micro-dollars of an
# account. A file of an earlier version has no `reserved`, which such a version does not look for.
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS limits (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    state NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID
"""
_FIND: Final = "SELECT state FROM limits WHERE kind = ? AND name = ?"
_KEEP: Final = "INSERT OR REPLACE INTO limits VALUES (?, ?, ?)"


class SqliteLimits:
    """`LimitStore` in one file.

    Args:
        file: Beside it are `-wal` and `-shm` of SQLite.
        timeout: Seconds to wait for another process that writes.
        now: Returns seconds since 1970.
    """

    def __init__(
        self, file: Path, *, timeout: float = 30.0, now: Callable[[], float] = time.time
    ) -> None:
        self._name = file
        self._now = now
        self._file = SqliteFile(
            file, setting="limits.file", schema=_TABLE, version=VERSION, timeout=timeout
        )

    def apply(self, operation: Operation, terms: Terms) -> Reply:
        """See `LimitStore.apply`."""
        pace, account = ("pace", terms.model), ("account", terms.account)
        reserved, ended = ("reserved", terms.account), ("ended", terms.account)
        with self._file.writing() as connection:
            names = (pace, account, reserved, ended)
            kept = self._read(*(connection.execute(_FIND, name).fetchone() for name in names))
            # The clock is read under the lock, so that times come in their order.
            shared, reply = apply(kept, operation, terms, self._now())
            connection.execute(_KEEP, (*pace, msgspec.json.encode(shared.pace).decode()))
            if shared.spent != kept.spent:
                connection.execute(_KEEP, (*account, shared.spent))
            if shared.reserved != kept.reserved:
                connection.execute(
                    _KEEP, (*reserved, msgspec.json.encode(shared.reserved).decode())
                )
            if shared.ended != kept.ended:
                connection.execute(_KEEP, (*ended, msgspec.json.encode(shared.ended).decode()))
        return reply

    def close(self) -> None:
        """See `LimitStore.close`."""
        self._file.close()

    def _read(
        self,
        pace: tuple[Any] | None,
        spent: tuple[Any] | None,
        reserved: tuple[Any] | None,
        ended: tuple[Any] | None,
    ) -> Shared:
        decode = msgspec.json.decode
        try:
            return Shared(
                pace=Pace() if pace is None else decode(pace[0], type=Pace),
                spent=0 if spent is None else msgspec.convert(spent[0], MicroUsd),
                reserved=Reserved() if reserved is None else decode(reserved[0], type=Reserved),
                ended=Ended() if ended is None else decode(ended[0], type=Ended),
            )
        except (msgspec.MsgspecError, TypeError) as err:  # no object, or no text at all
            raise ConfigError(f"{self._name}: {err}: move it away, and it is made anew") from err
