"""The record of the testbed that `up` runs, which the other commands read."""

import fcntl
import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

from reviewstream_testbed.installation.cache import user_folder
from reviewstream_testbed.sharing.shared_testbed import SharedAddress
from reviewstream_testbed.testbed_error import TestbedError

_MOMENT = 0.3  # seconds
_POLL = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A running testbed.

    Attributes:
        pid: Process id of its owner.
        path: Path of the owner's socket.
        key: The owner's secret key, in hexadecimal.
        provider: Provider of its servers.
        parts: The requested parts.
    """

    pid: int
    path: str
    key: str
    provider: str
    parts: tuple[str, ...]

    @property
    def address(self) -> SharedAddress:
        """The address and key of its owner."""
        return SharedAddress(path=self.path, key=bytes.fromhex(self.key))


def state_folder(environ: Mapping[str, str]) -> Path:
    """Return `$REVIEWSTREAM_STATE`, or `reviewstream` in the user's state folder."""
    return user_folder(environ, "REVIEWSTREAM_STATE", "XDG_STATE_HOME", ".local/state")


class State:
    """The record of the running testbed, and a lock that its owner holds while it runs.

    The lock is released even if the owner is killed: a record without a lock is stale.

    Attributes:
        log: Output file of an owner in the background.
        variables: File of the clients' variables; it exists while the servers are ready.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        folder = state_folder(environ)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = folder / "testbed.lock"
        self._record = folder / "testbed.json"
        self.log = folder / "testbed.log"
        self.variables = folder / "testbed.env"

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the lock as the only owner within the block, and remove the record at its end.

        Raises:
            TestbedError: Another testbed is up.
        """
        with self._lock.open("a") as file:
            if not _lock_soon(file):
                raise TestbedError(
                    f"a testbed is up already{self._whose()}: see `status`, or `down`"
                )
            try:
                yield
            finally:
                self._record.unlink(missing_ok=True)
                self.variables.unlink(missing_ok=True)

    def write(self, record: Record) -> None:
        """Write the record atomically, readable only by the user."""
        _write(self._record, json.dumps(asdict(record)))

    def write_variables(self, text: str) -> None:
        """Write the clients' variables in the same way."""
        _write(self.variables, text)

    def read(self) -> Record | None:
        """Return the record, stale or not, or None if it does not exist."""
        try:
            found = json.loads(self._record.read_text())
            return Record(**{**found, "parts": tuple(found["parts"])})
        except FileNotFoundError:
            return None

    def is_held(self) -> bool:
        """Report whether an owner is running."""
        with self._lock.open("a") as file:
            return not _lock(file)

    def forget(self) -> Record | None:
        """Remove a stale record and return it, or None if there was no record."""
        stale = self.read()
        if stale:
            with self.held():
                pass
        return stale

    def _whose(self) -> str:
        record = self.read()
        return f" (process {record.pid})" if record else ""


def _write(path: Path, text: str) -> None:
    fresh = path.with_suffix(f".{os.getpid()}")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text(text)
    fresh.replace(path)


def _lock_soon(file: IO[str]) -> bool:
    """Lock the file, with retries because `is_held` in another process locks it briefly."""
    deadline = time.monotonic() + _MOMENT
    while not (locked := _lock(file)) and time.monotonic() < deadline:
        time.sleep(_POLL)
    return locked


def _lock(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
