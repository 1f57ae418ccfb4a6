"""Markers: a Spark task commits one with its records, so that a retry writes nothing twice.

`docs/decisions/0013-exactly-once.md` explains why this holds.
"""

import hashlib
from collections.abc import Iterable
from typing import Final
from zlib import crc32

from msgspec import Struct

from reviewstream.errors import ConfigError

_PREFIX: Final = "reviewstream"


class Marker(Struct, frozen=True, kw_only=True):
    """The records that one task of a micro-batch has written.

    Attributes:
        query: Spark's id of the query, from its checkpoint.
        batch: Number of the micro-batch.
        count: Number of records.
        checksum: `checksum` of the records' origins.
    """

    query: str
    batch: int
    count: int
    checksum: int


def checksum(origins: Iterable[str]) -> int:
    """Return an order-independent checksum of origins, below 2^32.

    The checksum of a union is the sum of the checksums of its parts, modulo 2^32.
    """
    return sum(crc32(origin.encode()) for origin in origins) % (1 << 32)


def writer_name(topic: str, stream: str, partition: int) -> str:
    """Return the name shared by all attempts at one task of a stream, in all its micro-batches.

    Args:
        topic: Topic of labelled reviews; it is legible in the name.
        stream: Name of the stream, of any length.
        partition: Spark's number of the task.
    """
    digest = hashlib.sha256(stream.encode()).hexdigest()[:16]
    return f"{_PREFIX}-{topic}-{digest}-{partition}"


def is_written(task: Marker, last: Marker | None) -> bool:
    """Say whether a task's records are on their topics already.

    Args:
        task: Marker of the records to be written.
        last: The last marker committed by the task's writer, or None.

    Raises:
        ConfigError: The marker does not belong to this query's past. Writing would lose or
            duplicate records.
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
    """Check that a marker belongs to the same query and not to a later micro-batch.

    Args:
        query: Spark's id of the query that is about to write; None if it has none yet.
        batch: Number of its micro-batch.
        last: A marker found under its stream's name.

    Raises:
        ConfigError: The check failed: the checkpoint was lost, or is an old copy.
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
