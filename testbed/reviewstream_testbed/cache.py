"""The folder shared by every run on this machine, and the ways to fill it safely."""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from reviewstream_testbed.errors import TestbedError

UNUSED: Final = 30 * 24 * 3600.0  # seconds after which what no run asked for is removed

Make = Callable[[Path], None]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return `$REVIEWSTREAM_CACHE`, or `reviewstream` in the user's cache folder."""
    return user_folder(environ, "REVIEWSTREAM_CACHE", "XDG_CACHE_HOME", ".cache")


def user_folder(environ: Mapping[str, str], own: str, base: str, default: str) -> Path:
    """Return a folder of ours among the user's own.

    Args:
        environ: The environment.
        own: Variable that names it.
        base: Variable of the folder that it is in (XDG Base Directory Specification).
        default: That folder, from the user's home.

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
    """Let one process at a time in; the lock ends with its holder, however it dies.

    Args:
        path: The lock file, made if missing.
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
    """Return `folder`, filled by `make` if it is missing: by one process, whole or not at all."""
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


def keep_used(used: Path, others: str) -> None:
    """Note that `used` is in use; remove its siblings that no run noted for a month.

    A newer release brings other jars, and a newer Java other class data: the old ones would stay
    for ever.

    Args:
        used: A folder in the cache.
        others: The pattern of the siblings that may go.
    """
    os.utime(used)
    oldest = time.time() - UNUSED
    for folder in used.parent.glob(others):
        if folder.is_dir() and folder.stat().st_mtime < oldest:
            shutil.rmtree(folder, ignore_errors=True)
            folder.with_name(f"{folder.name}.lock").unlink(missing_ok=True)
