"""`LimitStore` in a SQLite file, shared by all processes of one machine."""

import time
from collections.abc import Callable, Iterator, Mapping
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from reviewstream.adapters.sqlite.shared_file import SqliteFile
from reviewstream.core.labelling.limits.operations import (
    Ended,
    LimitKey,
    MicroUsd,
    Operation,
    Reply,
    Reserved,
    Shared,
    apply,
)
from reviewstream.core.labelling.limits.pace import Pace
from reviewstream.errors import ConfigError

VERSION: Final = 1  # of the table

# `kind` is pace, account, reserved or ended; `state` is a JSON object, or whole micro-dollars of an
# account. Earlier versions wrote no `reserved`, and ignore it.
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS limits (
    kind TEXT NOT NULL,
    name TEXT NOT NULL,
    state NOT NULL,
    PRIMARY KEY (kind, name)
) WITHOUT ROWID
"""
# One statement for all rows: between two statements another thread may run.
_FIND: Final = """
SELECT kind, state FROM limits
WHERE kind = 'pace' AND name = ? OR kind IN ('account', 'reserved', 'ended') AND name = ?
"""
_KEEP: Final = "INSERT OR REPLACE INTO limits VALUES {rows}"


class SqliteLimits:
    """`LimitStore` in one file.

    Args:
        file: SQLite adds `-wal` and `-shm` beside it.
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

    def apply(self, operation: Operation, terms: LimitKey) -> Reply:
        """See `LimitStore.apply`."""
        with self._file.writing() as connection:
            kept = self._read(
                dict(connection.execute(_FIND, (terms.model, terms.account)).fetchall())
            )
            # The clock is read under the lock, so that times are in order.
            shared, reply = apply(kept, operation, terms, self._now())
            rows = [*_changes(kept, shared, terms)]
            places = ", ".join(["(?, ?, ?)"] * len(rows))
            connection.execute(_KEEP.format(rows=places), [*chain.from_iterable(rows)])
        return reply

    def close(self) -> None:
        """See `LimitStore.close`."""
        self._file.close()

    def _read(self, states: Mapping[str, Any]) -> Shared:
        decode = msgspec.json.decode
        try:
            return Shared(
                pace=decode(states.get("pace", "{}"), type=Pace),
                spent=msgspec.convert(states.get("account", 0), MicroUsd),
                reserved=decode(states.get("reserved", "{}"), type=Reserved),
                ended=decode(states.get("ended", "{}"), type=Ended),
            )
        except (msgspec.MsgspecError, TypeError) as err:  # not a JSON object, or not text
            raise ConfigError(f"{self._name}: {err}: move it away, and it is made anew") from err


def _changes(kept: Shared, shared: Shared, terms: LimitKey) -> Iterator[tuple[str, str, Any]]:
    """Yield the changed rows."""
    yield "pace", terms.model, _text(shared.pace)
    if shared.spent != kept.spent:
        yield "account", terms.account, shared.spent
    if shared.reserved != kept.reserved:
        yield "reserved", terms.account, _text(shared.reserved)
    if shared.ended != kept.ended:
        yield "ended", terms.account, _text(shared.ended)


def _text(state: Pace | Reserved | Ended) -> str:
    return msgspec.json.encode(state).decode()
