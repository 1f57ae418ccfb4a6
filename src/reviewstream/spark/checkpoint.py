"""The checkpoint's folder: its metadata, and a lock that admits one query at a time.

A checkpoint in another file system (`s3a://...`) has neither file: there only the marker in Kafka
detects a lost checkpoint, and only Spark detects two queries on one checkpoint.
"""

import fcntl
import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

from pyspark.sql import SparkSession

from reviewstream.app import identity_of
from reviewstream.core.delivery.checkpoint_metadata import (
    Identity,
    check_identity,
    identity_text,
    read_identity,
)
from reviewstream.core.delivery.markers import Marker, check_past
from reviewstream.errors import ConfigError
from reviewstream.settings import IDENTITY, KafkaSettings, account_of, local_folder

LOCK: Final = "reviewstream.lock"
OFFSETS: Final = "offsets"  # written by Spark: the offsets of each micro-batch
COMMITS: Final = "commits"  # written by Spark: the completed micro-batches
METADATA: Final = "metadata"  # written by Spark: the query's id
# All entries that Spark writes; we must not remove any other file of the folder.
_SPARKS: Final = (OFFSETS, COMMITS, "sources", "state", METADATA, f".{METADATA}.crc")
_FORGOTTEN: Final = (
    "a marker goes offsets.retention.minutes after it was written, with its consumer group, and "
    "with the topic"
)

_log = logging.getLogger("reviewstream.spark")
_held: dict[Path, "Checkpoint"] = {}


class Checkpoint:
    """A checkpoint in use; `is_used` says whether its query still runs.

    Without a folder its history is unknown, and all checks pass.
    """

    def __init__(self, folder: Path | None = None, lock: int | None = None) -> None:
        self._folder = folder
        self._lock = lock
        self._before: bytes | None = None  # metadata before a start that is not complete
        self._since = -1  # the newest micro-batch completed before the stream got its name
        self._begins_again = False
        self.is_used: Callable[[], bool] = lambda: True

    def check(self, kafka: KafkaSettings) -> KafkaSettings:
        """Check the checkpoint's metadata against the settings, and record the new metadata.

        Returns:
            The settings with the stream's name, where it is known: a checkpoint that was moved
            keeps the name that it began with, unless the settings name another.

        Raises:
            ConfigError: The checkpoint belongs to another query.
        """
        if self._folder is None:
            return kafka
        query = _query_of(self._folder)
        file = self._folder / IDENTITY
        recorded = _recorded(file, query)
        before = None if recorded is None else recorded.stream
        stream = kafka.stream_name or before or str(self._folder)
        kafka = kafka.model_copy(update={"stream_name": stream})
        self._since = _newest_batch(self._folder / COMMITS)
        if recorded is not None and before == stream:
            self._since = recorded.since
        now = identity_of(kafka, query, account_of(str(self._folder)), self._since)
        if recorded is not None:
            check_identity(recorded, now, str(self._folder))
            self._before = self._before or file.read_bytes()
        # Written now: a process that is killed later may have written records under this name.
        _replace(file, identity_text(now).encode())
        return kafka

    def begin_again(self, kafka: KafkaSettings) -> KafkaSettings:
        """Let the next start read everything again; `clear` removes the checkpoint's content.

        Returns:
            The settings with a new stream name, unless they set one.

        Raises:
            ConfigError: The checkpoint is in another file system.
        """
        if self._folder is None:
            raise ConfigError(
                "only a checkpoint in a folder of this machine can begin again: remove this one "
                "with the tools of its file system, and set kafka.stream_name to another name"
            )
        self._begins_again = True
        stream = kafka.stream_name or f"{self._folder}@{uuid4().hex[:12]}"
        return kafka.model_copy(update={"stream_name": stream})

    def clear(self, kafka: KafkaSettings) -> None:
        """Remove Spark's progress if the query is to begin again; the account is kept.

        If the process is killed during this, the next start refuses to continue.
        """
        if self._folder is None or not self._begins_again:
            return
        account = account_of(str(self._folder))
        with _writing(self._folder):
            for name in _SPARKS:
                _remove(self._folder / name)
        now = identity_of(kafka, None, account)
        _replace(self._folder / IDENTITY, identity_text(now).encode())

    def check_past(self, find_marker: Callable[[], Marker | None]) -> None:
        """Check that the micro-batch of the first task's newest marker is in the checkpoint.

        Spark records the offsets of a micro-batch before its tasks run. A micro-batch that is
        missing here would be planned anew, and tasks with other rows would not find them written.

        Args:
            find_marker: Called only if the folder is readable here.

        Raises:
            ConfigError: It is missing: the checkpoint was lost, or is an old copy; or Kafka has
                deleted the marker, and a micro-batch is half done.
        """
        if self._folder is None:
            return
        last = find_marker()
        if self._begins_again:
            query, planned = None, -1
        else:
            query, planned = _query_of(self._folder), _newest_batch(self._folder / OFFSETS)
        if last is not None:
            check_past(query, planned, last)
        elif not self._begins_again:
            self._check_forgotten(planned, _newest_batch(self._folder / COMMITS))

    def _check_forgotten(self, planned: int, done: int) -> None:
        """Handle a missing marker of a stream that has begun: warn, or raise `ConfigError`."""
        if done <= self._since:
            return  # possibly no record was written under this name yet
        if planned > done:
            raise ConfigError(
                f"micro-batch {planned} may be half written, and Kafka has forgotten which part "
                f"({_FORGOTTEN}). Set kafka.stream_name to another name: the micro-batch is "
                "written whole, and what was written of it before is there twice"
            )
        _log.warning(
            "Checkpoint %s has done %d micro-batches, and Kafka has no marker of them (%s). The "
            "query goes on where it was; `reviewstream run --from-start` writes all of them again",
            self._folder,
            done + 1,
            _FORGOTTEN,
        )

    def started(self, kafka: KafkaSettings, query: str) -> None:
        """Record the id of the query that the checkpoint belongs to."""
        self._before = None
        if self._folder is not None:
            now = identity_of(kafka, query, account_of(str(self._folder)), self._since)
            _replace(self._folder / IDENTITY, identity_text(now).encode())

    def release(self) -> None:
        """Release the lock, and undo the metadata of a failed start; idempotent."""
        if self._folder is not None:
            self._restore(self._folder / IDENTITY)
            _held.pop(self._folder, None)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _restore(self, file: Path) -> None:
        before, self._before = self._before, None
        if before is not None:
            with suppress(ConfigError):  # the reason for the failed start matters more
                _replace(file, before)


def use(checkpoint: str) -> Checkpoint:
    """Lock a checkpoint for one query of this machine; the lock ends with the process.

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


def resolved(spark: SparkSession, checkpoint: str) -> str:
    """Return a checkpoint as Spark resolves it, so that our files are in the folder of Spark's.

    Spark resolves a path without a scheme in its default file system (`fs.defaultFS`), which may
    be on another machine.
    """
    if ":/" in checkpoint:
        return checkpoint
    hadoop = spark._jsparkSession.sessionState().newHadoopConf()  # noqa: SLF001 - no other way to it
    path = spark._jvm.org.apache.hadoop.fs.Path(checkpoint)  # type: ignore[union-attr] # noqa: SLF001 - likewise
    url = str(path.getFileSystem(hadoop).makeQualified(path).toString())
    return anchored(checkpoint) if local_folder(url) else url


def anchored(checkpoint: str) -> str:
    """Return the checkpoint's path, made absolute from the current folder; a URL stays as it is.

    Spark would resolve it from the folder in which its own process was started.
    """
    is_path = local_folder(checkpoint) is not None and ":/" not in checkpoint
    return str(Path(checkpoint).absolute()) if is_path else checkpoint


def _recorded(file: Path, query: str | None) -> Identity | None:
    """Return the recorded metadata if a query has begun since; a failed start does not count.

    Args:
        file: File of the metadata.
        query: Id of the query that Spark began with the checkpoint, or None.
    """
    if not file.exists():
        return None
    found = read_identity(file.read_bytes(), str(file))
    return None if (found.query or query) is None else found


def _query_of(folder: Path) -> str | None:
    """Return the id of the query that Spark began with this checkpoint, or None."""
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
    """Return the newest micro-batch's number in one of Spark's logs, or -1."""
    numbers = (each.name for each in folder.glob("*"))
    return max((int(name) for name in numbers if name.isdecimal()), default=-1)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _replace(file: Path, content: bytes) -> None:
    """Replace a file atomically, even if the process is killed."""
    fresh = file.with_name(f".{file.name}.new")
    with _writing(file.parent):
        with fresh.open("wb") as writing:
            writing.write(content)
            writing.flush()
            os.fsync(writing.fileno())
        fresh.replace(file)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Raise `ConfigError` with the setting's name if a folder cannot be created or written."""
    try:
        yield
    except OSError as err:
        raise ConfigError(
            f"checkpoint {folder} cannot be written ({err.strerror}): give a folder that can be "
            "(spark.checkpoint)"
        ) from err
