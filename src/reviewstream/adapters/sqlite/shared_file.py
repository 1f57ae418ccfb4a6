"""A SQLite file that all processes of one machine may write to concurrently."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Final

from reviewstream.core.retry import waits
from reviewstream.core.retry.backoff import Attempts
from reviewstream.errors import ConfigError, TransientError

APPLICATION: Final = 0x52564C47  # in the header of our files

_EMPTY_LOG: Final = "PRAGMA wal_checkpoint(PASSIVE)"
_PROOF: Final = "CREATE TABLE IF NOT EXISTS proof (number INTEGER PRIMARY KEY, room BLOB)"
_WAITS: Final = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class SqliteFile:
    """One connection per process, opened on first use, in WAL mode.

    A forked process opens the file again: SQLite's connections do not survive a fork.

    Args:
        file: File on a local disk; created with its folder if missing.
        setting: Setting that names the file; for messages.
        schema: Statement that creates the table, if missing.
        version: Version of the schema.
        timeout: Seconds to wait for another process that writes.
    """

    def __init__(
        self, file: Path, *, setting: str, schema: str, version: int, timeout: float
    ) -> None:
        self._file = file
        self._setting = setting
        self._schema = schema
        self._version = version
        self._timeout = timeout
        self._connection: sqlite3.Connection | None = None
        self._inherited: list[sqlite3.Connection] = []  # never closed: the parent's
        self._owner = os.getpid()
        self._lock = Lock()

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Provide the connection, to one thread at a time.

        Raises:
            TransientError: Other processes write for longer than the timeout.
            ConfigError: The file is damaged, belongs to another program, or cannot be written.
        """
        if self._owner != os.getpid():
            self._begin_anew()
        with self._lock, self._plain_errors():
            if self._connection is None:
                self._connection = self._opened()
            yield self._connection

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Like `reading`, in a transaction that is rolled back if the block raises."""
        with self.reading() as connection, _transaction(connection):
            yield connection

    def close(self) -> None:
        """Close this process's connection; the next use opens a new one."""
        if self._owner == os.getpid() and self._connection is not None:
            self._connection.close()
            self._connection = None

    def damaged(self, why: str) -> ConfigError:
        """Return an error that says how to repair the file."""
        return ConfigError(f"{self._file}: {why}: move it away, or {self._elsewhere}")

    def empty_log(self) -> None:
        """Checkpoint SQLite's log into the file, so that the log's space is reused."""
        with self.reading() as connection:
            connection.execute(_EMPTY_LOG).fetchone()

    def prove(self, room: int) -> None:
        """Check that the file can grow by `room` bytes, and reserve them as free pages.

        Raises:
            TransientError: Other processes write for longer than the timeout.
            ConfigError: There is no space, or no permission.
        """
        with self.reading() as connection:
            with _transaction(connection):
                connection.execute(_PROOF)
                # Not zeros, which some file systems do not allocate.
                connection.execute("REPLACE INTO proof VALUES (1, randomblob(?))", (room,))
            try:
                connection.execute(_EMPTY_LOG).fetchone()  # only this makes the file itself grow
            finally:
                # In a separate transaction: SQLite does not write pages that are free again.
                with _transaction(connection):
                    connection.execute("DELETE FROM proof")

    def _begin_anew(self) -> None:
        """Discard the connection and the lock of the parent process."""
        if self._connection is not None:
            self._inherited.append(self._connection)
        self._connection = None
        self._owner = os.getpid()
        self._lock = Lock()

    def _opened(self) -> sqlite3.Connection:
        """Open the file; retry while other processes open it, for which SQLite does not wait."""
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        attempts = Attempts(waits.OPENING.within(self._timeout), time)
        while True:
            connection = sqlite3.connect(
                self._file, timeout=self._timeout, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection)
            except BaseException as err:
                connection.close()
                if _code(err) not in _WAITS or not attempts.again():
                    raise
            else:
                return connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        with _transaction(connection, "DEFERRED"):
            found = self._inspect(connection)
        (mode,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise ConfigError(f"{self._file}: not on a local disk: {self._elsewhere}")
        # A killed process loses nothing; a power failure may lose the last transactions.
        connection.execute("PRAGMA synchronous = NORMAL")
        if _is_cut_short(connection, self._file):
            raise self.damaged("the file was cut short")
        if not found:
            with _transaction(connection):
                connection.execute(self._schema)
                connection.execute(f"PRAGMA application_id = {APPLICATION}")
                connection.execute(f"PRAGMA user_version = {self._version}")

    def _inspect(self, connection: sqlite3.Connection) -> bool:
        """Say whether the table exists, without changing another program's file."""
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if application != APPLICATION and (application or tables):
            raise ConfigError(f"{self._file}: a database of another program: {self._elsewhere}")
        if version > self._version:
            raise ConfigError(
                f"{self._file}: written by a newer reviewstream (version {version} of the file, "
                f"known here: {self._version}): upgrade, or {self._elsewhere}"
            )
        return bool(application == APPLICATION)

    @property
    def _elsewhere(self) -> str:
        variable = f"REVIEWSTREAM_{self._setting.replace('.', '__')}".upper()
        return f"name another file by {self._setting} ({variable})"

    @contextmanager
    def _plain_errors(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as err:
            code = _code(err)
            if code in _WAITS:
                raise TransientError(
                    f"{self._file}: other processes kept it locked for {self._timeout:g} s"
                ) from err
            if code in _DAMAGED:
                raise self.damaged(str(err)) from err
            raise ConfigError(f"{self._file}: {err}: {self._elsewhere}, or see to it") from err
        except OSError as err:
            raise ConfigError(f"{self._file}: {err.strerror}: {self._elsewhere}") from err


@contextmanager
def _transaction(connection: sqlite3.Connection, kind: str = "IMMEDIATE") -> Iterator[None]:
    connection.execute(f"BEGIN {kind}")
    try:
        yield
    except BaseException:
        with suppress(sqlite3.Error):  # some errors end the transaction
            connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _is_cut_short(connection: sqlite3.Connection, file: Path) -> bool:
    """Say whether a file ends within a page: SQLite only detects a cut between two pages.

    The file is not opened here, because closing it would release SQLite's locks on it.
    """
    (page,) = connection.execute("PRAGMA page_size").fetchone()
    if file.stat().st_size % page == 0:
        return False
    log = file.with_name(f"{file.name}-wal")
    if not log.exists() or log.stat().st_size == 0:
        return True
    # A killed process may have left half a page, which is complete in the log.
    (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return bool(found != "ok")


def _code(err: BaseException) -> int | None:
    """Return SQLite's primary result code."""
    code = getattr(err, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF
