"""The folder shared by every run on this machine, and the ways to fill it safely."""

import fcntl
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

Make = Callable[[Path], None]


def cache_folder(environ: Mapping[str, str]) -> Path:
    """Return `$REVIEWSTREAM_CACHE`, or `reviewstream` in the user's cache folder."""
    if given := environ.get("REVIEWSTREAM_CACHE"):
        return Path(given).expanduser().absolute()
    base = environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "reviewstream"


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
