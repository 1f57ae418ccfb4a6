"""Claims among the processes of one machine, which end with the process that holds them.

Each key is one byte of an empty file, and a claim is the kernel's lock on that byte. A killed
process holds no locks, so there is no timeout and no cleanup.
"""

import fcntl
import os
import struct
from hashlib import blake2b
from pathlib import Path
from typing import Final

from reviewstream.core.labelling.ports import LedgerKey

# `struct flock` of Linux: type, whence, start, length, process. These locks belong to an open file,
# not to a process: two ledgers in one process exclude each other too.
_FLOCK: Final = "hhqqi4x"


class FileClaims:
    """Claims of one ledger. `file` is created on first use, and stays empty."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._descriptor: int | None = None
        self._held: set[LedgerKey] = set()
        self._owner = os.getpid()

    def take(self, key: LedgerKey) -> bool:
        """Claim a key; return False if it is claimed, also by this process."""
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
        """Release a claim, if this process holds it."""
        if self._owner == os.getpid() and self._descriptor is not None and key in self._held:
            self._held.remove(key)
            self._lock(self._descriptor, fcntl.F_UNLCK, key)

    def close(self) -> None:
        """Release all claims of this process."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None
        self._held.clear()
        self._owner = os.getpid()

    def _lock(self, descriptor: int, kind: int, key: LedgerKey) -> None:
        if not hasattr(fcntl, "F_OFD_SETLK"):  # macOS: its locks belong to a process
            how = fcntl.LOCK_UN if kind == fcntl.F_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
            fcntl.lockf(descriptor, how, 1, _place(key))
            return
        request = struct.pack(_FLOCK, kind, os.SEEK_SET, _place(key), 1, 0)
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, request)


def _place(key: LedgerKey) -> int:
    """Return a key's byte, 0 to 2^62 - 1. Two keys with the same byte only wait for each other."""
    name = f"{key.prompt_version} {key.model}".encode(errors="surrogatepass") + key.text_sha256
    return int.from_bytes(blake2b(name, digest_size=8).digest()) >> 2
