"""`format("reviews-kafka")`: labelled and rejected reviews to their topics, in Confluent's Avro."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Self

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceStreamArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from reviewstream.errors import ConfigError
from reviewstream.pipeline import publishing
from reviewstream.pipeline.publishing import Publisher, Topics
from reviewstream.ports import RecordSink, SchemaRegistry
from reviewstream.settings import RegistrySettings
from reviewstream.spark.columns import LABELLED, missing, rows_of
from reviewstream.spark.options import SinkOptions
from reviewstream.spark.wiring import wiring
from reviewstream.wire.avro import labelled_of_row, rejected_of_row


@dataclass
class Written(WriterCommitMessage):
    """What one task wrote, and Kafka acknowledged."""

    labelled: int = 0
    rejected: int = 0


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


class ReviewsKafkaWriter(DataSourceStreamArrowWriter):
    """Writes each task's rows with an idempotent producer, at least once.

    A task that Spark runs again writes its records again.
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
            self.topics = find_topics(self.options, wiring().open_registry)
        return type(self), (self.options, self.topics)

    def write(self, iterator: Iterator[pa.RecordBatch]) -> Written:  # type: ignore[override] # pyspark's own override of a supertype, too
        """Write one task's rows; on return Kafka has acknowledged them."""
        assert self.topics is not None  # noqa: S101 - it is pickled on the way here
        sink = wiring().open_record_sink(self.options.kafka)
        rows = (row for batch in iterator for row in rows_of(batch, LABELLED))
        return publish(rows, self.topics, sink)


def publish(rows: Iterable[dict[str, Any]], topics: Topics, sink: RecordSink) -> Written:
    """Write rows to their topics and wait until they are acknowledged."""
    publisher = Publisher(topics, sink)
    written = Written()
    for row in rows:
        if row["rejection"] is None:
            publisher.labelled(labelled_of_row(row))
            written.labelled += 1
        else:
            publisher.rejected(rejected_of_row(row))
            written.rejected += 1
    publisher.flush()
    return written


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
