"""Claims among the processes of one machine, that end with the process that holds them.

Each key is one byte of an empty file, and a claim is the kernel's lock on that byte. A process that
is killed, in whatever way, holds no locks: nothing has to be waited for, and nothing tidied up.
"""

import fcntl
import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Final

from reviewstream.core.labelling.ports import LedgerKey

# `struct flock` of Linux: type, whence, start, length, process. Locks of this kind belong to an
# open file, not to a process: two ledgers in one process keep each other out too.
_FLOCK: Final = "hhqqi4x"


class FileClaims:
    """Claims of one ledger. `file` is made when it is first needed; nothing is written to it."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None
        self._held: set[LedgerKey] = set()
        self._owner = os.getpid()

    def take(self, key: LedgerKey) -> bool:
        """Claim a key; False if it is claimed, be it by ourselves."""
        if self._owner != os.getpid():  # a fork's claims are its parent's
            self.close()
        if key in self._held:
            return False
        if self._descriptor is None:
            self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            self._lock(self._descriptor, fcntl.F_WRLCK, key)
        except BlockingIOError:
            return False
        self._held.add(key)
        return True

    def give_back(self, key: LedgerKey) -> None:
        """End a claim; one that is not ours stays."""
        if self._owner == os.getpid() and self._descriptor is not None and key in self._held:
            self._held.remove(key)
            self._lock(self._descriptor, fcntl.F_UNLCK, key)

    def close(self) -> None:
        """End every claim of this process."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        self._held.clear()
        self._owner = os.getpid()

    def _lock(self, descriptor: int, kind: int, key: LedgerKey) -> None:
        if not hasattr(fcntl, "F_OFD_SETLK"):  # macOS: there the locks are a whole process's
            how = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
            fcntl.lockf(descriptor, how, 1, _place(key))
            return
        request = struct.pack(_FLOCK, kind, os.SEEK_SET, _place(key), 1, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)


def _place(key: LedgerKey) -> int:
    """Return a key's byte, 0 to 2^62 - 1. Two keys that share one only wait for each other."""
    name = f"{key.prompt_version} {key.model}".encode(errors="surrogatepass") + key.text_sha256
    return int.from_bytes(blake2b(name, digest_size=8).digest()) >> 2
