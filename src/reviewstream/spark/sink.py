"""`format("reviews-kafka")`: labelled and rejected reviews to their topics, in Confluent's Avro."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Self

import pyarrow as pa
from pyspark.sql.datasource import DataSource, DataSourceStreamArrowWriter, WriterCommitMessage
from pyspark.sql.types import StructType

from reviewstream.core.versions import VERSION_HEADER, external_version
from reviewstream.errors import ConfigError
from reviewstream.pipeline.schemas import register_schemas, subjects
from reviewstream.ports import OutgoingRecord, RecordSink, SchemaRegistry
from reviewstream.settings import RegistrySettings
from reviewstream.spark.columns import LABELLED, missing, rows_of
from reviewstream.spark.options import SinkOptions
from reviewstream.spark.wiring import wiring
from reviewstream.wire.avro import AvroCodec, labelled_of_row, rejected_of_row
from reviewstream.wire.schemas import SchemaName, schema_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Where the records go, and the ids of the schemas that their values are written with."""

    labelled: str
    labelled_id: int
    rejected: str
    rejected_id: int


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
    to_labelled = partial(labelled_record, topics, AvroCodec(schema_text("labelled_review")))
    to_rejected = partial(rejected_record, topics, AvroCodec(schema_text("rejected_review")))
    written = Written()
    for row in rows:
        if row["rejection"] is None:
            sink.write(to_labelled(row))
            written.labelled += 1
        else:
            sink.write(to_rejected(row))
            written.rejected += 1
    sink.flush()
    return written


def labelled_record(topics: Topics, codec: AvroCodec, row: dict[str, Any]) -> OutgoingRecord:
    """Return the record of a labelled row; an edited or relabelled review has a higher version."""
    fields = labelled_of_row(row)
    version = external_version(fields["written_at"], fields["provenance"]["generation"])
    return OutgoingRecord(
        topic=topics.labelled,
        key=fields["review_id"].encode(),
        value=codec.encode(fields, topics.labelled_id),
        headers=((VERSION_HEADER, str(version).encode("ascii")),),
    )


def rejected_record(topics: Topics, codec: AvroCodec, row: dict[str, Any]) -> OutgoingRecord:
    """Return the record of a rejected row."""
    fields = rejected_of_row(row)
    origin = fields["origin"]
    return OutgoingRecord(
        topic=topics.rejected,
        key=f"{origin['source']}@{origin['offset']}".encode(),
        value=codec.encode(fields, topics.rejected_id),
    )


def find_topics(
    options: SinkOptions, open_registry: Callable[[RegistrySettings], SchemaRegistry]
) -> Topics:
    """Return the topics, with the schemas' ids: those of the options, or the registry's.

    Raises:
        ConfigError: The registry does not know a schema.
    """
    kafka = options.kafka
    labelled_id, rejected_id = options.labelled_id, options.rejected_id
    if labelled_id is None or rejected_id is None:
        registry = open_registry(options.registry)
        if options.registry.auto_register:
            register_schemas(registry, kafka)
        found = {
            name: schema_id(registry, options.registry, subject, name)
            for subject, name in subjects(kafka).items()
        }
        labelled_id, rejected_id = found["labelled_review"], found["rejected_review"]
    return Topics(
        labelled=kafka.labelled_topic,
        labelled_id=labelled_id,
        rejected=kafka.rejected_topic,
        rejected_id=rejected_id,
    )


def schema_id(
    registry: SchemaRegistry, settings: RegistrySettings, subject: str, name: SchemaName
) -> int:
    """Return the id of today's schema `name` under a subject."""
    found = registry.find(subject, schema_text(name))
    if found is None:
        raise ConfigError(
            f"the registry at {settings.url} does not have our schema {name} under subject "
            f"{subject}: run `reviewstream schemas register` first"
        )
    return found
