"""The checkpoint's folder: whose it is, and that one query at a time uses it.

A checkpoint in another file system (`s3a://...`) has neither file: there the marker in Kafka alone
notices a checkpoint that was lost, and Spark alone that two queries use one.
"""

import fcntl
import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from reviewstream.core.markers import Marker, check_past
from reviewstream.errors import ConfigError
from reviewstream.pipeline.identity import (
    Identity,
    check_identity,
    identity_of,
    identity_text,
    read_identity,
)
from reviewstream.settings import IDENTITY, KafkaSettings, account_of, local_folder

LOCK: Final = "reviewstream.lock"
OFFSETS: Final = "offsets"  # Spark's own: what is in each micro-batch
METADATA: Final = "metadata"  # Spark's own: the query's id

_held: dict[Path, "Checkpoint"] = {}


class Checkpoint:
    """A checkpoint in use; `is_used` says whether it still is.

    Without a folder it is one that nothing is known about.
    """

    def __init__(self, folder: Path | None = None, lock: int | None = None) -> None:
        self._folder = folder
        self._lock = lock
        self.is_used: Callable[[], bool] = lambda: True

    def check(self, kafka: KafkaSettings) -> KafkaSettings:
        """Compare whose the checkpoint is with what is about to start, and write it down.

        Returns:
            The settings with the stream's name, where it is known: a checkpoint that was moved
            goes on under the name that it began with, unless it is given another.

        Raises:
            ConfigError: It is another query's.
        """
        if self._folder is None:
            return kafka
        query = _query_of(self._folder)
        recorded = _recorded(self._folder / IDENTITY, query)
        before = None if recorded is None else recorded.stream
        stream = kafka.stream_name or before or str(self._folder)
        kafka = kafka.model_copy(update={"stream_name": stream})
        now = identity_of(kafka, query, account_of(str(self._folder)))
        if recorded is not None:
            check_identity(recorded, now, str(self._folder))
        _replace(self._folder / IDENTITY, identity_text(now))
        return kafka

    def check_past(self, find_marker: Callable[[], Marker | None]) -> None:
        """See that the newest marker of the first task is of a micro-batch that is known here.

        Spark writes down what is in a micro-batch before a task of it runs. One that is not here
        would be cut anew, and tasks whose rows moved would not find them written.

        Args:
            find_marker: Called only where the folder can be looked into.

        Raises:
            ConfigError: It is not: the checkpoint was lost, or is an old copy.
        """
        if self._folder is not None and (last := find_marker()) is not None:
            check_past(_query_of(self._folder), _newest_batch(self._folder), last)

    def started(self, kafka: KafkaSettings, query: str) -> None:
        """Write down which query the checkpoint belongs to."""
        if self._folder is not None:
            now = identity_of(kafka, query, account_of(str(self._folder)))
            _replace(self._folder / IDENTITY, identity_text(now))

    def release(self) -> None:
        """Let another query use it; twice is fine."""
        if self._folder is not None:
            _held.pop(self._folder, None)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def use(checkpoint: str) -> Checkpoint:
    """Return a checkpoint that no other query on this machine uses; a dead process uses none.

    Raises:
        ConfigError: Another query uses it.
    """
    folder = local_folder(checkpoint)
    if folder is None:
        return Checkpoint()
    before = _held.get(folder)
    if before is not None and not before.is_used():
        before.release()
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder / LOCK, os.O_CREAT | os.O_RDWR, 0o644)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as err:
        os.close(lock)
        raise ConfigError(
            f"another query uses checkpoint {folder} just now: stop it first, or give this one a "
            "checkpoint of its own (spark.checkpoint)"
        ) from err
    _held[folder] = Checkpoint(folder, lock)
    return _held[folder]


def anchored(checkpoint: str) -> str:
    """Return a checkpoint as it is spelled; a path that is not absolute begins in this folder.

    Spark would take it from the folder in which its own process was started.
    """
    is_path = local_folder(checkpoint) is not None and ":/" not in checkpoint
    return str(Path(checkpoint).absolute()) if is_path else checkpoint


def _recorded(file: Path, query: str | None) -> Identity | None:
    """Return what was written down, if a query has begun since: a start that failed binds nobody.

    Args:
        file: Where it is.
        query: That Spark began with the checkpoint, or None.
    """
    if not file.exists():
        return None
    found = read_identity(file.read_bytes(), str(file))
    return None if (found.query or query) is None else found


def _query_of(folder: Path) -> str | None:
    """Return the id of the query that Spark began with this checkpoint, or None if it did not."""
    try:
        text = (folder / METADATA).read_text(encoding="utf-8")
        return str(json.loads(text)["id"])
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as err:
        raise ConfigError(
            f"{folder / METADATA} is damaged: start with a copy of the checkpoint"
        ) from err


def _newest_batch(folder: Path) -> int:
    """Return the number of the micro-batch that Spark planned last, or -1."""
    numbers = (each.name for each in (folder / OFFSETS).glob("*"))
    return max((int(name) for name in numbers if name.isdecimal()), default=-1)


def _replace(file: Path, text: str) -> None:
    """Write a file so that it is the old or the new one, whenever the process is killed."""
    fresh = file.with_name(f".{file.name}.new")
    with _writing(file.parent):
        with fresh.open("w", encoding="utf-8") as writing:
            writing.write(text)
            writing.flush()
            os.fsync(writing.fileno())
        fresh.replace(file)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Say which setting is wrong where a folder cannot be made or written."""
    try:
        yield
    except OSError as err:
        raise ConfigError(
            f"checkpoint {folder} cannot be written ({err.strerror}): give a folder that can be "
            "(spark.checkpoint)"
        ) from err
