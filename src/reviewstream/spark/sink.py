"""`format("reviews-kafka")`: labelled and rejected reviews to their topics, in Confluent's Avro."""

import random
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Self

import pyarrow as pa
from msgspec import msgpack
from pyspark import TaskContext
from pyspark.sql.datasource import DataSource, DataSourceStreamArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from reviewstream import app
from reviewstream.core.delivery import publishing
from reviewstream.core.delivery.attempt import deliver
from reviewstream.core.delivery.avro import labelled_of_row, rejected_of_row
from reviewstream.core.delivery.markers import Marker, check_past, checksum, writer_name
from reviewstream.core.delivery.ports import OutgoingRecord, RecordSink, TransactionalSink
from reviewstream.core.delivery.publishing import Encoder, Topics, origin_text
from reviewstream.core.records.batches import bounded
from reviewstream.core.schemas.ports import SchemaRegistry
from reviewstream.errors import ConfigError, TransientError
from reviewstream.settings import KafkaSettings, RegistrySettings
from reviewstream.spark.columns import LABELLED, missing, rows_of
from reviewstream.spark.options import SinkOptions
from reviewstream.spark.properties import BATCH_ID, QUERY_ID, RUN_ID
from reviewstream.spark.retrying_reader import RetryPolicy

PACK_RECORDS = 1_000
PACK_BYTES = 1 << 20

_unpack = msgpack.Decoder(list[OutgoingRecord]).decode
_checked: set[tuple[str, str]] = set()  # of streams, in which start of their query


@dataclass
class Written(WriterCommitMessage):
    """What one task wrote, and Kafka acknowledged."""

    labelled: int = 0
    rejected: int = 0

    def count(self, row: dict[str, Any]) -> None:
        """Count a row."""
        if row["rejection"] is None:
            self.labelled += 1
        else:
            self.rejected += 1


class ReviewsKafkaDataSource(DataSource):
    """Registers as `reviews-kafka`; for the options see `SinkOptions`."""

    @classmethod
    def name(cls) -> str:
        """Return the format's name."""
        return "reviews-kafka"

    def streamWriter(  # noqa: N802 - Spark's name
        self,
        schema: StructType,
        overwrite: bool,  # noqa: ARG002, FBT001 - Spark's signature
    ) -> "ReviewsKafkaWriter":
        """Return the writer of a streaming query."""
        if absent := missing(LABELLED, schema.names):
            raise ConfigError(
                f"reviews-kafka: no column {', '.join(absent)}; "
                "label first: reviews.transform(label_reviews(settings))"
            )
        return ReviewsKafkaWriter(SinkOptions.of(self.options))


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """Which part of a query's work a task is; all attempts at it are the same task.

    Attributes:
        query: Spark's id of the query; it is in the checkpoint.
        batch: Number of the micro-batch.
        partition: Number of the task in it.
        run: Spark's id of this start of the query; it says nothing about the work.
    """

    query: str
    batch: int
    partition: int
    run: str = ""


class ReviewsKafkaWriter(DataSourceStreamArrowWriter):
    """Writes each task's rows, by default in one transaction that leaves a marker.

    With `at_least_once` a task that Spark runs again writes its records again.
    """

    def __init__(self, options: SinkOptions, topics: Topics | None = None) -> None:
        self.options = options
        self.topics = topics

    def __reduce__(self) -> tuple[type[Self], tuple[SinkOptions, Topics]]:
        """Look the schemas' ids up when the writer is shipped to the tasks.

        Not earlier: Spark makes another writer only to commit, when everything is written and the
        registry is no longer needed.
        """
        if self.topics is None:
            self.topics = find_topics(self.options, app.open_registry)
        return type(self), (self.options, self.topics)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:  # type: ignore[override] # pyspark's own override of a supertype, too
        """Write one task's rows; on return they are on their topics."""
        assert self.topics is not None  # noqa: S101 - it is pickled on the way here
        kafka = self.options.kafka
        rows = (row for batch in iterator for row in rows_of(batch, LABELLED))
        if kafka.delivery == "at_least_once":
            return publish(rows, self.topics, app.open_record_sink(kafka))
        return write_once(rows, self.topics, current_task(), kafka)


def write_once(
    rows: Iterable[dict[str, Any]], topics: Topics, task: Task, kafka: KafkaSettings
) -> Written:
    """Write a task's rows exactly once."""
    stream = kafka.stream_name or task.query
    name = writer_name(kafka.labelled_topic, stream, task.partition)
    past = Past(partial(app.find_marker, kafka), writer_name(kafka.labelled_topic, stream, 0))

    def open_sink() -> TransactionalSink:
        past.check(task)
        return app.open_transactional_sink(kafka, name)

    return publish_once(rows, topics, task, open_sink, patient(kafka))


@dataclass(frozen=True, slots=True)
class Past:
    """What a stream has written before: its first task has a part in every micro-batch.

    A task sees by its own marker that its checkpoint was lost, or is an old copy. But another
    division into tasks may have had no task of its number for long, or never.

    Attributes:
        find_marker: Of a name.
        first: Name of the stream's first task.
    """

    find_marker: Callable[[str], Marker | None]
    first: str

    def check(self, task: Task) -> None:
        """See that a task comes after what is written; once in each process and start of a query.

        Raises:
            ConfigError: See `core.markers.check_past`.
            TransientError: Kafka is away.
        """
        if task.run and (self.first, task.run) in _checked:
            return
        last = self.find_marker(self.first)
        if last is not None:
            check_past(task.query, task.batch, last)
        _checked.add((self.first, task.run))


def current_task() -> Task:
    """Return the task that this process works on.

    Raises:
        ConfigError: It is not one of a streaming query.
    """
    context = TaskContext.get()
    query = context.getLocalProperty(QUERY_ID) if context else None
    batch = context.getLocalProperty(BATCH_ID) if context else None
    run = context.getLocalProperty(RUN_ID) if context else None
    if context is None or query is None or batch is None:
        raise ConfigError("reviews-kafka: exactly once needs a streaming query: writeStream")
    return Task(query=query, batch=int(batch), partition=context.partitionId(), run=run or "")


def patient(kafka: KafkaSettings) -> Callable[[TransientError], None]:
    """Return a function that waits after a failed attempt, and raises after too many."""
    patience = RetryPolicy(
        f"Kafka at {kafka.bootstrap_servers}",
        kafka.delivery_timeout,
        now=time.monotonic,
        jitter=random.random,
        option="deliveryTimeout",
    )
    return lambda error: time.sleep(patience.failed(error))


def publish(rows: Iterable[dict[str, Any]], topics: Topics, sink: RecordSink) -> Written:
    """Write rows to their topics and wait until they are acknowledged."""
    written, encode = Written(), RowEncoder(topics)
    for row in rows:
        sink.write(encode(row))
        written.count(row)
    sink.flush()
    return written


def publish_once(
    rows: Iterable[dict[str, Any]],
    topics: Topics,
    task: Task,
    open_sink: Callable[[], TransactionalSink],
    wait: Callable[[TransientError], None],
) -> Written:
    """Write a task's rows to their topics in one transaction, unless an earlier attempt has.

    Nothing is written before the last row is there: a transaction that waited for the model would
    hold up everyone who reads the topics.
    """
    records = EncodedRows(rows, topics)
    if records.count:
        deliver(open_sink, records.marker(task), records, wait)
    return records.written


class RowEncoder:
    """Makes a row the record of its topic."""

    def __init__(self, topics: Topics) -> None:
        self._encoder = Encoder(topics)

    def __call__(self, row: dict[str, Any]) -> OutgoingRecord:
        """Return a row's record."""
        if row["rejection"] is None:
            return self._encoder.labelled(labelled_of_row(row))
        return self._encoder.rejected(rejected_of_row(row))


class EncodedRows:
    """A task's rows as packed records: a row itself is a dictionary of some 3 kB.

    They are unpacked whenever they are looked through: once in each attempt.

    Attributes:
        written: How many of them belong on which topic.
    """

    def __init__(self, rows: Iterable[dict[str, Any]], topics: Topics) -> None:
        self.written = Written()
        self._checksum = 0
        self._encode = RowEncoder(topics)
        packs = bounded(map(self._encoded, rows), _size, size=PACK_RECORDS, room=PACK_BYTES)
        self._packs = [msgpack.encode(pack) for pack in packs]

    def __iter__(self) -> Iterator[OutgoingRecord]:
        return chain.from_iterable(map(_unpack, self._packs))

    @property
    def count(self) -> int:
        """Number of rows."""
        return self.written.labelled + self.written.rejected

    def marker(self, task: Task) -> Marker:
        """Return what says that these rows of a task are written."""
        crc = self._checksum % (1 << 32)
        return Marker(query=task.query, batch=task.batch, count=self.count, checksum=crc)

    def _encoded(self, row: dict[str, Any]) -> OutgoingRecord:
        self.written.count(row)
        self._checksum += checksum([origin_text(row["origin"])])
        return self._encode(row)


def _size(record: OutgoingRecord) -> int:
    return len(record.value)


def find_topics(
    options: SinkOptions, open_registry: Callable[[RegistrySettings], SchemaRegistry]
) -> Topics:
    """Return the topics, with the schemas' ids: those of the options, or the registry's.

    Raises:
        ConfigError: The registry does not know a schema.
    """
    kafka = options.kafka
    if options.labelled_id is None or options.rejected_id is None:
        return publishing.find_topics(kafka, options.registry, open_registry(options.registry))
    return Topics(
        labelled=kafka.labelled_topic,
        labelled_id=options.labelled_id,
        rejected=kafka.rejected_topic,
        rejected_id=options.rejected_id,
    )
