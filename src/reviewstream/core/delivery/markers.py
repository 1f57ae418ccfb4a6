"""The marker that a Spark task leaves beside its records: whoever comes later writes nothing twice.

`docs/decisions/0013-exactly-once.md` says why this holds.
"""

import hashlib
from collections.abc import Iterable
from typing import Final
from zlib import crc32

from msgspec import Struct

from reviewstream.errors import ConfigError

_PREFIX: Final = "reviewstream"


class Marker(Struct, frozen=True, kw_only=True):
    """What one task of a micro-batch has written.

    Attributes:
        query: Spark's id of the query; it is in its checkpoint.
        batch: Number of the micro-batch.
        count: Records.
        checksum: `checksum` of where they come from.
    """

    query: str
    batch: int
    count: int
    checksum: int


def checksum(origins: Iterable[str]) -> int:
    """Return a number that is the same for the same origins in any order; below 2^32.

    The sum of the checksums of parts, modulo 2^32, is that of all.
    """
    return sum(crc32(origin.encode()) for origin in origins) % (1 << 32)


def writer_name(topic: str, stream: str, partition: int) -> str:
    """Return the name that all attempts at one task of a stream share, in all its micro-batches.

    Args:
        topic: Of the labelled reviews; it is legible in the name.
        stream: Of any length.
        partition: Spark's number of the task.
    """
    digest = hashlib.sha256(stream.encode()).hexdigest()[:16]
    return f"{_PREFIX}-{topic}-{digest}-{partition}"


def is_written(task: Marker, last: Marker | None) -> bool:
    """Say whether a task's records are on their topics already.

    Args:
        task: What the task is about to write.
        last: The last marker that its writer committed; None if there is none.

    Raises:
        ConfigError: The marker is not of this query's past: nothing may be written, or records
            would be lost or doubled.
    """
    if last is None:
        return False
    check_past(task.query, task.batch, last)
    if last.batch < task.batch:
        return False
    if (last.count, last.checksum) != (task.count, task.checksum):
        raise ConfigError(
            f"micro-batch {task.batch} was cut otherwise when its records were written "
            f"({last.count:,} in this task, {task.count:,} now): start with the number of "
            "partitions and the transformations that it had, and change them when it is done"
        )
    return True


def check_past(query: str | None, batch: int, last: Marker) -> None:
    """See that a marker is of a micro-batch's own query, and not of its future.

    Args:
        query: Spark's id of the query that is about to write; None if it has none yet.
        batch: Number of its micro-batch.
        last: A marker that is there under its stream's name.

    Raises:
        ConfigError: It is not: the checkpoint was lost, or is an old copy.
    """
    if last.query != query:
        raise ConfigError(
            f"another query ({last.query}, up to its micro-batch {last.batch}) has written to this "
            f"topic under this stream's name, and this one ({query or 'a new one'}) does not know "
            "what: was its checkpoint lost? Start with the checkpoint of that query; or give this "
            "stream a name of its own (kafka.stream_name, option streamName), and all is written "
            "once more"
        )
    if last.batch > batch:
        raise ConfigError(
            f"micro-batch {batch} comes too late, as {last.batch} is written already: start "
            "with the newest copy of the checkpoint; or give this stream a name of its own "
            "(kafka.stream_name, option streamName), and what follows the old copy is written "
            "once more"
        )
