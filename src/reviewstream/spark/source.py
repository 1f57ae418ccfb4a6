"""`format("reviews")`: reads a review server, with offsets in Spark's checkpoint."""

import random
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, NotRequired, TypedDict

import pyarrow as pa
from pyspark.sql.datasource import (
    DataSource,
    DataSourceReader,
    DataSourceStreamReader,
    InputPartition,
)
from pyspark.sql.streaming.datasource import (
    ReadAllAvailable,
    ReadLimit,
    ReadMaxBytes,
    ReadMaxRows,
    SupportsTriggerAvailableNow,
)
from pyspark.sql.types import StructType

from reviewstream import app
from reviewstream.core.retry import waits
from reviewstream.core.transport.ports import LineReader
from reviewstream.core.transport.protocol import Hello, Latest
from reviewstream.spark.byte_ranges import ByteRange, read_range, split
from reviewstream.spark.columns import SOURCE, source_batch
from reviewstream.spark.option_reader import EARLIEST, LATEST
from reviewstream.spark.options import SourceOptions
from reviewstream.spark.retrying_reader import RetryingReader, RetryPolicy
from reviewstream.spark.rows import in_batches, to_row

IDLE = 0.1  # seconds between two requests for new lines
AT_HEAD = -1  # the offset of a query that starts at `latest` and has not connected yet
DRAINED = "drained"

Connect = Callable[[], LineReader]


class Offset(TypedDict):
    """Offset in the checkpoint; its names are empty until the query has connected to the server.

    `source` keeps its first value: the file may be renamed, but the origins of its lines must not
    change. `partitions` ensures that a repeated micro-batch has the same tasks, even if the options
    have changed: exactly-once delivery depends on it. So does `begin`: the start of the micro-batch
    that ends here, if it is not the end of the previous one, because the last line that was read
    had no newline and has grown.
    """

    offset: int
    source: str
    fingerprint: str
    partitions: int
    begin: NotRequired[int]


class ReviewsDataSource(DataSource):
    """Data source `reviews`; see `SourceOptions` for the options."""

    def __init__(self, options: MutableMapping[str, str]) -> None:
        super().__init__(options)
        self.parsed = SourceOptions.of(options)

    @classmethod
    def name(cls) -> str:
        """Return the format's name."""
        return "reviews"

    def schema(self) -> StructType:
        """Return the columns."""
        return SOURCE

    def streamReader(self, schema: StructType) -> "ReviewStreamReader":  # noqa: N802, ARG002 - Spark's
        """Return the reader of a streaming query."""
        return ReviewStreamReader(self.parsed, _connector(self.parsed))

    def reader(self, schema: StructType) -> "ReviewReader":  # noqa: ARG002 - Spark's signature
        """Return the reader of a batch query."""
        return ReviewReader(self.parsed, _connector(self.parsed))


class _RangeReader:
    """The part of both readers that runs in a task. Pickled before it opens a connection."""

    def __init__(self, options: SourceOptions, connect: Connect) -> None:
        self.options = options
        self.connect = connect

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Read the range of one task."""
        assert isinstance(partition, ByteRange)  # noqa: S101 - we made it in `partitions`
        with closing(self.server()) as server:
            for lines in in_batches(read_range(server, partition)):
                rows = (to_row(line, partition.source, _now) for line in lines)
                yield source_batch(row for row in rows if row is not None)

    def server(self) -> RetryingReader:
        """Return an unconnected client of the server."""
        who = f"the review server at {self.options.server.host}:{self.options.server.port}"
        backoff = waits.REVIEW_SERVER.within(self.options.retry_timeout)
        patience = RetryPolicy(who, backoff, time, jitter=random.random)
        return RetryingReader(self.connect, patience, time)


class ReviewReader(_RangeReader, DataSourceReader):
    """Reads, once, all data that the server has now."""

    def partitions(self) -> list[ByteRange]:
        """Return the ranges of the tasks; waits for the server."""
        with closing(self.server()) as server:
            hello, latest = server.insist(lambda asked: asked.latest(0), fingerprint="")
        starting: dict[int | str, int] = {EARLIEST: 0, LATEST: latest.head}
        start = self.options.starting_offset
        first = start if isinstance(start, int) else starting[start]
        whole = ByteRange(first, latest.head, hello.source, hello.fingerprint)
        return split(whole, self.options.partitions)


class ReviewStreamReader(_RangeReader, DataSourceStreamReader, SupportsTriggerAvailableNow):
    """Reads one micro-batch after another.

    All methods but `read` run in one process beside the driver, for the lifetime of the query.
    """

    def __init__(self, options: SourceOptions, connect: Connect) -> None:
        super().__init__(options, connect)
        self._server = self.server()
        self._last_seen: Offset | None = None
        self._target: int | None = None

    def initialOffset(self) -> dict[str, Any]:  # noqa: N802 - Spark's name
        """Return the start of a new query, without a request, as the server may be unavailable."""
        starting = {EARLIEST: 0, LATEST: AT_HEAD}
        start = self.options.starting_offset
        offset = start if isinstance(start, int) else starting[start]
        parts = self.options.partitions
        return {**Offset(offset=offset, source="", fingerprint="", partitions=parts)}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802 - Spark's name
        """Return the row limit of one micro-batch; the byte limit applies in addition."""
        return ReadMaxRows(self.options.max_rows)

    def latestOffset(self, start: dict[str, Any], limit: ReadLimit) -> dict[str, Any]:  # noqa: N802
        """Return the end of the next micro-batch, or `start` if there is nothing to read."""
        if self._is_drained() or self._is_at_target(start):
            time.sleep(IDLE)
            return start
        admitted = self._ask(start, limit)
        if admitted is None:
            return start
        hello, latest = admitted
        source = start["source"] or hello.source
        fingerprint = latest.fingerprint or hello.fingerprint
        self._last_seen = self._offset(latest.head, source, fingerprint)
        end = latest.head if start["offset"] == AT_HEAD else latest.offset
        if self._target is not None:
            end = min(end, self._target)
        if end == start["offset"]:
            time.sleep(IDLE)
            return start
        begins = start["offset"] if latest.start is None else latest.start
        # Before its first connection, a query is at the position of the options.
        begin = {"begin": begins} if start["source"] and begins < start["offset"] else {}
        return {**self._offset(end, source, fingerprint), **begin}

    def reportLatestOffset(self) -> dict[str, Any] | None:  # noqa: N802 - Spark's name
        """Return the end of all data at the time of the last request, or None."""
        return None if self._last_seen is None else {**self._last_seen}

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802 - Spark's name
        """Fix the current end of the data as the target; waits for the server, or for a drain."""
        found = self._call_with_retry(lambda asked: asked.latest(0), fingerprint="")
        self._target = 0 if found is None else found[1].head
        self._server.close()  # the next connection names the checkpoint's file

    def partitions(self, start: dict[str, Any], end: dict[str, Any]) -> list[ByteRange]:
        """Return the ranges of the tasks."""
        first = end["offset"] if start["offset"] == AT_HEAD else start["offset"]
        first = end.get("begin", first)
        whole = ByteRange(first, end["offset"], end["source"], end["fingerprint"])
        # Offsets of versions before 0.2 do not contain it.
        return split(whole, end.get("partitions", self.options.partitions))

    def stop(self) -> None:
        """Close the connection."""
        self._server.close()

    def _offset(self, offset: int, source: str, fingerprint: str) -> Offset:
        parts = self.options.partitions
        return Offset(offset=offset, source=source, fingerprint=fingerprint, partitions=parts)

    def _ask(self, start: dict[str, Any], limit: ReadLimit) -> tuple[Hello, Latest] | None:
        position = max(0, start["offset"])
        max_rows, max_bytes = self._limits(limit)
        # With `availableNow`, "nothing new" would end the query, so this waits for the server.
        ask = self._server.poll_once if self._target is None else self._call_with_retry
        return ask(
            lambda asked: asked.latest(position, max_rows=max_rows, max_bytes=max_bytes),
            fingerprint=start["fingerprint"],
        )

    def _call_with_retry(
        self, question: Callable[[LineReader], Latest], *, fingerprint: str
    ) -> tuple[Hello, Latest] | None:
        """Ask until there is an answer; return None if the query is drained before."""
        while not self._is_drained():
            answer = self._server.poll_once(question, fingerprint=fingerprint)
            if answer is not None:
                return answer
        return None

    def _limits(self, limit: ReadLimit) -> tuple[int | None, int | None]:
        """Return the most rows and bytes of a micro-batch."""
        match limit:
            case ReadMaxRows(max_rows):
                return max_rows, self.options.max_bytes
            case ReadMaxBytes(max_bytes):
                return None, max_bytes
            case ReadAllAvailable():
                return None, None
            case _:
                return self.options.max_rows, self.options.max_bytes

    def _is_at_target(self, start: dict[str, Any]) -> bool:
        return self._target is not None and bool(start["offset"] >= self._target)

    def _is_drained(self) -> bool:
        """Check for the drain file, and record in it that no micro-batch is running.

        Spark requests the next micro-batch only after the last one is committed.
        """
        if self.options.drain_file is None:
            return False
        try:  # it may be removed at any moment, and must not be recreated
            with Path(self.options.drain_file).open("r+") as drain_file:
                drain_file.write(DRAINED)
        except FileNotFoundError:
            return False
        return True


def _connector(options: SourceOptions) -> Connect:
    return partial(app.open_reader, options.server, timeout=options.timeout)


def _now() -> datetime:
    return datetime.now(UTC)
