"""The cache folder shared by every run on this machine, and functions to fill it safely."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from reviewstream_testbed.testbed_error import TestbedError

UNUSED: Final = 30 * 24 * 3600.0  # seconds after which an unused folder is removed

Make = Callable[[Path], None]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return `$REVIEWSTREAM_CACHE`, or `reviewstream` in the user's cache folder."""
    return user_folder(environ, "REVIEWSTREAM_CACHE", "XDG_CACHE_HOME", ".cache")


def user_folder(environ: Mapping[str, str], own: str, base: str, default: str) -> Path:
    """Return reviewstream's folder within one of the user's base folders.

    Args:
        environ: The environment.
        own: Variable that names the folder itself.
        base: Variable that names its parent (XDG Base Directory Specification).
        default: Default parent, relative to the user's home.

    Raises:
        TestbedError: The user has no home, and neither variable is set.
    """
    try:
        if given := environ.get(own):
            return Path(given).expanduser().absolute()
        return Path(environ.get(base) or Path.home() / default) / "reviewstream"
    except RuntimeError as error:
        raise TestbedError(f"there is no home folder: name a folder by {own}") from error


@contextmanager
def exclusive(path: Path, *, on_wait: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold a lock that one process can have at a time; it is released even if its holder is killed.

    Args:
        path: The lock file, created if missing.
        on_wait: Called once if another process holds the lock.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def make_once(folder: Path, make: Make, *, on_wait: Callable[[], None] = lambda: None) -> Path:
    """Return `folder`; if it is missing, one process fills it with `make`, atomically."""
    if folder.is_dir():
        return folder
    with exclusive(folder.with_name(f"{folder.name}.lock"), on_wait=on_wait):
        if not folder.is_dir():
            partial = folder.with_name(f"{folder.name}.partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
            make(partial)
            partial.rename(folder)
    return folder


def keep_used(used: Path, others: str, *, unused: float = UNUSED) -> None:
    """Record that `used` is in use; remove siblings that have been unused for long.

    A new release has other jars, and a new Java other class data; without this, the old ones would
    never be removed.

    Args:
        used: A folder in the cache.
        others: Pattern of the siblings that may be removed.
        unused: Seconds after which an unused sibling is removed.
    """
    os.utime(used)
    oldest = time.time() - unused
    for folder in used.parent.glob(others):
        with suppress(FileNotFoundError):  # another process has removed it
            if folder.is_dir() and folder.stat().st_mtime < oldest:
                shutil.rmtree(folder, ignore_errors=True)
                folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
