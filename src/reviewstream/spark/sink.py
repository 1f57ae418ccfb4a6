"""`format("reviews-kafka")`: writes reviews and rejections to topics, in Confluent's Avro."""

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
from reviewstream.core.delivery.attempt import deliver
from reviewstream.core.delivery.avro import labelled_of_row, rejected_of_row
from reviewstream.core.delivery.markers import Marker, check_past, checksum, writer_name
from reviewstream.core.delivery.ports import OutgoingRecord, RecordSink, TransactionalSink
from reviewstream.core.delivery.publishing import Encoder, Topics, origin_text
from reviewstream.core.records.batches import bounded
from reviewstream.core.retry import waits
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.errors import ConfigError, TransientError
from reviewstream.settings import KafkaSettings, RegistrySettings
from reviewstream.spark.columns import LABELLED, missing, rows_of
from reviewstream.spark.options import SinkOptions
from reviewstream.spark.properties import BATCH_ID, QUERY_ID, RUN_ID
from reviewstream.spark.retrying_reader import RetryPolicy

PACK_RECORDS = 1_000
PACK_BYTES = 1 << 20

_unpack = msgpack.Decoder(list[OutgoingRecord]).decode
_checked: set[tuple[str, str]] = set()  # first task of a stream, and start of its query


@dataclass
class Written(WriterCommitMessage):
    """The numbers of records that one task wrote and Kafka acknowledged."""

    labelled: int = 0
    rejected: int = 0

    def count(self, row: dict[str, Any]) -> None:
        """Count a row."""
        if row["rejection"] is None:
            self.labelled += 1
        else:
            self.rejected += 1


class ReviewsKafkaDataSource(DataSource):
    """Data source `reviews-kafka`; see `SinkOptions` for the options."""

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
    """Identity of a task in a query's work; all attempts have the same identity.

    Attributes:
        query: Spark's id of the query; it is in the checkpoint.
        batch: Number of the micro-batch.
        partition: Number of the task in it.
        run: Spark's id of this start of the query; not part of the identity.
    """

    query: str
    batch: int
    partition: int
    run: str = ""


class ReviewsKafkaWriter(DataSourceStreamArrowWriter):
    """Writes each task's rows, by default in one transaction that commits a marker.

    With `at_least_once`, a task that Spark runs again writes its records again.
    """

    def __init__(self, options: SinkOptions, topics: Topics | None = None) -> None:
        self.options = options
        self.topics = topics

    def __reduce__(self) -> tuple[type[Self], tuple[SinkOptions, Topics]]:
        """Look up the schemas' ids when the writer is sent to the tasks.

        Not earlier: Spark creates another writer only to commit, when all rows are written and the
        registry is no longer needed.
        """
        if self.topics is None:
            self.topics = find_topics(self.options, app.open_registry)
        return type(self), (self.options, self.topics)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:  # type: ignore[override] # pyspark's own override of a supertype, too
        """Write one task's rows; they are acknowledged when this returns."""
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
    """The stream's history; the marker of its first task covers every micro-batch.

    A task detects by its own marker that its checkpoint was lost, or is an old copy. But if the
    number of tasks changed, there may have been no task of its number for long, or ever.

    Attributes:
        find_marker: Returns the marker of a name.
        first: Name of the stream's first task.
    """

    find_marker: Callable[[str], Marker | None]
    first: str

    def check(self, task: Task) -> None:
        """Check that a task follows the last write; once per process and start of a query.

        Raises:
            ConfigError: See `core.delivery.markers.check_past`.
            TransientError: Kafka is unavailable.
        """
        if task.run and (self.first, task.run) in _checked:
            return
        last = self.find_marker(self.first)
        if last is not None:
            check_past(task.query, task.batch, last)
        _checked.add((self.first, task.run))


def current_task() -> Task:
    """Return the current Spark task.

    Raises:
        ConfigError: It does not belong to a streaming query.
    """
    context = TaskContext.get()
    query = context.getLocalProperty(QUERY_ID) if context else None
    batch = context.getLocalProperty(BATCH_ID) if context else None
    run = context.getLocalProperty(RUN_ID) if context else None
    if context is None or query is None or batch is None:
        raise ConfigError("reviews-kafka: exactly once needs a streaming query: writeStream")
    return Task(query=query, batch=int(batch), partition=context.partitionId(), run=run or "")


def patient(kafka: KafkaSettings) -> Callable[[TransientError], None]:
    """Return a function that waits after a failed attempt, and raises after the timeout."""
    patience = RetryPolicy(
        f"Kafka at {kafka.bootstrap_servers}",
        waits.DELIVERY.within(kafka.delivery_timeout),
        time,
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
    """Write a task's rows in one transaction, unless an earlier attempt has written them.

    Nothing is written before the last row has arrived: a transaction that waited for the model
    would block all readers of the topics.
    """
    records = EncodedRows(rows, topics)
    if records.count:
        deliver(open_sink, records.marker(task), records, wait)
    return records.written


class RowEncoder:
    """Converts a row to the record of its topic."""

    def __init__(self, topics: Topics) -> None:
        self._encoder = Encoder(topics)

    def __call__(self, row: dict[str, Any]) -> OutgoingRecord:
        """Return a row's record."""
        if row["rejection"] is None:
            return self._encoder.labelled(labelled_of_row(row))
        return self._encoder.rejected(rejected_of_row(row))


class EncodedRows:
    """A task's rows as packed records, because a row is a dictionary of about 3 kB.

    Each iteration unpacks them: one per attempt.

    Attributes:
        written: Number of records for each topic.
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
        """Return the marker that records these rows of a task as written."""
        crc = self._checksum % (1 << 32)
        return Marker(query=task.query, batch=task.batch, count=self.count, checksum=crc)

    def _encoded(self, row: dict[str, Any]) -> OutgoingRecord:
        self.written.count(row)
        self._checksum += checksum([origin_text(row["origin"])])
        return self._encode(row)


def _size(record: OutgoingRecord) -> int:
    return len(record.value)


def find_topics(
    options: SinkOptions, open_registry: Callable[[RegistrySettings], SubjectRegistry]
) -> Topics:
    """Return the topics with the schemas' ids from the options, or from the registry.

    Raises:
        ConfigError: The registry does not know a schema.
    """
    kafka = options.kafka
    if options.labelled_id is None or options.rejected_id is None:
        return app.find_topics(kafka, options.registry, open_registry(options.registry))
    return Topics(
        labelled=kafka.labelled_topic,
        labelled_id=options.labelled_id,
        rejected=kafka.rejected_topic,
        rejected_id=options.rejected_id,
    )
