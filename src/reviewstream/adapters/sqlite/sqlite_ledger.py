"""`LedgerArchive` in a SQLite file, shared by all processes of one machine."""

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import Any, Final

import msgspec

from reviewstream.adapters.sqlite.file_leases import FileClaims
from reviewstream.adapters.sqlite.shared_file import SqliteFile
from reviewstream.core.labelling.ports import LedgerEntry, LedgerKey
from reviewstream.core.records.batches import batches
from reviewstream.errors import ConfigError

VERSION: Final = 1  # of the table
SETTING: Final = "ledger.file"
ROOM: Final = 512 << 10  # bytes: 2,000 labels, more than are in flight in three processes
AMPLE: Final = 64 << 20  # free bytes of the disk that make a second proof unnecessary
PAGE: Final = 1_000  # rows read at once: a long read would block SQLite's checkpoint

# No text of a review is stored: its SHA-256 identifies it.
_TABLE: Final = """
CREATE TABLE IF NOT EXISTS labels (
    text_sha256 BLOB NOT NULL,
    prompt_version INTEGER NOT NULL,
    model TEXT NOT NULL,
    sentiment TEXT NOT NULL,
    confidence REAL,
    answered_by TEXT NOT NULL,
    prompt_tokens INTEGER NOT NULL,
    completion_tokens INTEGER NOT NULL,
    cost_micro_usd INTEGER NOT NULL,
    request_id TEXT,
    labelled_at INTEGER NOT NULL, -- microseconds since 1970, UTC
    PRIMARY KEY (text_sha256, prompt_version, model)
) WITHOUT ROWID
"""
# Many keys in one statement: between two statements another thread may run.
_FIND: Final = """
WITH wanted (digest, version, name) AS (VALUES {keys})
SELECT labels.* FROM wanted CROSS JOIN labels
ON text_sha256 = digest AND prompt_version = version AND model = name
"""
_FORGET: Final = "DELETE FROM labels WHERE text_sha256 = ? AND prompt_version = ? AND model = ?"
_RECORD: Final = "INSERT OR IGNORE INTO labels VALUES {rows}"
BATCH: Final = 80  # keys or rows of a statement: older SQLites accept 999 values
_PAGE: Final = """
SELECT * FROM labels WHERE (text_sha256, prompt_version, model) > (?, ?, ?)
ORDER BY text_sha256, prompt_version, model LIMIT ?
"""
_proven: set[tuple[int, Path]] = set()  # process and file

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def default_file() -> Path:
    """Return the file in the user's state folder (XDG Base Directory Specification).

    Raises:
        ConfigError: The user has no home folder.
    """
    try:
        state = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    except RuntimeError as err:  # no HOME, and a user id without an entry
        raise ConfigError(
            "no file for the ledger: the user has no home folder; "
            f"name a file by {SETTING} (REVIEWSTREAM_LEDGER__FILE)"
        ) from err
    return Path(state) / "reviewstream" / "ledger.sqlite3"


class SqliteLedger:
    """`LedgerArchive` in one file.

    Args:
        file: SQLite adds `-wal` and `-shm` beside it, and the claims `-claims`, which stays empty.
        timeout: Seconds to wait for another process that writes.
    """

    def __init__(self, file: Path, *, timeout: float = 30.0) -> None:
        self._path = file
        self._file = SqliteFile(
            file, setting=SETTING, schema=_TABLE, version=VERSION, timeout=timeout
        )
        self._claims = FileClaims(file.with_name(f"{file.name}-claims"))

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """See `LabelLedger.find`."""
        with self._file.reading() as connection:
            rows = [
                row
                for batch in batches(map(_key, keys), BATCH)
                for row in connection.execute(
                    _FIND.format(keys=_places(batch)), [*chain.from_iterable(batch)]
                ).fetchall()
            ]
        return dict(map(self._read, rows))

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """See `LabelLedger.record`."""
        rows = [_row(key, entry) for key, entry in entries.items()]
        try:
            self._keep(rows)
        except ConfigError:
            # The disk may be full by now: paid labels then use the space that `prove` has reserved.
            _proven.discard((os.getpid(), self._path))
            self._file.empty_log()
            self._keep(rows)

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """See `LabelLedger.claim`."""
        with self._file.reading():  # creates the folder
            return {key for key in keys if self._claims.take(key)}

    def release(self, keys: Collection[LedgerKey]) -> None:
        """See `LabelLedger.release`."""
        for key in keys:
            self._claims.give_back(key)

    def prove(self) -> None:
        """See `LabelLedger.prove`: once per process and file, while the disk has enough space."""
        proof = (os.getpid(), self._path)
        if proof in _proven and _has_ample_room(self._path.parent):
            return
        self._file.prove(ROOM)
        _proven.add(proof)

    def close(self) -> None:
        """See `LabelLedger.close`."""
        self._claims.close()
        self._file.close()

    def entries(self) -> Iterator[tuple[LedgerKey, LedgerEntry]]:
        """See `LedgerArchive.entries`."""
        last: tuple[Any, ...] = (b"", 0, "")  # before every key
        while True:
            with self._file.reading() as connection:
                page = connection.execute(_PAGE, (*last, PAGE)).fetchall()
            if not page:
                return
            yield from map(self._read, page)
            last = page[-1][:3]

    def forget(self, keys: Collection[LedgerKey]) -> int:
        """See `LedgerArchive.forget`."""
        with self._file.writing() as connection:
            return sum(connection.execute(_FORGET, _key(key)).rowcount for key in set(keys))

    def _keep(self, rows: Sequence[tuple[Any, ...]]) -> None:
        with self._file.writing() as connection:
            for batch in batches(rows, BATCH):
                connection.execute(
                    _RECORD.format(rows=_places(batch)), [*chain.from_iterable(batch)]
                )

    def _read(self, row: tuple[Any, ...]) -> tuple[LedgerKey, LedgerEntry]:
        try:
            return _entry(row)
        except (msgspec.MsgspecError, ValueError, OverflowError) as err:
            raise self._file.damaged(f"a label is damaged ({err})") from err


def _has_ample_room(folder: Path) -> bool:
    try:
        return shutil.disk_usage(folder).free >= AMPLE
    except OSError:
        return False


def _places(rows: Sequence[tuple[Any, ...]]) -> str:
    """Return SQL placeholders for each value of some rows: `(?, ?), (?, ?)`."""
    row = f"({', '.join('?' * len(rows[0]))})"
    return ", ".join([row] * len(rows))


def _key(key: LedgerKey) -> tuple[bytes, int, str]:
    return key.text_sha256, key.prompt_version, key.model


def _row(key: LedgerKey, entry: LedgerEntry) -> tuple[Any, ...]:
    return (
        *_key(key),
        entry.sentiment.value,
        entry.confidence,
        entry.model,
        entry.prompt_tokens,
        entry.completion_tokens,
        entry.cost_micro_usd,
        entry.request_id,
        (entry.labelled_at - _EPOCH) // _MICROSECOND,
    )


def _entry(row: tuple[Any, ...]) -> tuple[LedgerKey, LedgerEntry]:
    """Convert a row.

    Raises:
        ValueError: A value is out of range, or of the wrong type.
    """
    digest, version, model, sentiment, confidence, answered_by, prompt, completion, *rest = row
    cost, request_id, labelled_at = rest
    key = {"model": model, "prompt_version": version, "text_sha256": digest}
    entry = {
        "sentiment": sentiment,
        "confidence": confidence,
        "model": answered_by,
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "cost_micro_usd": cost,
        "request_id": request_id,
        "labelled_at": _EPOCH + msgspec.convert(labelled_at, int) * _MICROSECOND,
    }
    read = msgspec.convert(entry, LedgerEntry)
    if not (0 <= (read.confidence or 0) <= 1 and min(prompt, completion, cost) >= 0):
        raise ValueError("a number is out of its range")
    return msgspec.convert(key, LedgerKey, builtin_types=(bytes,)), read
