"""Publishing of labelled and rejected reviews as Kafka records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from reviewstream.core.delivery.avro import AvroCodec, to_avro
from reviewstream.core.delivery.ports import OutgoingRecord, RecordSink
from reviewstream.core.records.lineage import Cause, cause_header
from reviewstream.core.records.reviews import LabelledReview, RejectedReview
from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.records.versions import VERSION_HEADER, external_version
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.core.schemas.registered import register_schemas, subjects
from reviewstream.core.schemas.schema_files import SchemaName, schema_text
from reviewstream.errors import ConfigError

Headers: TypeAlias = tuple[tuple[str, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Topics:
    """Topics of the records, and ids of the schemas of their values."""

    labelled: str
    labelled_id: int
    rejected: str
    rejected_id: int


class Encoder:
    """An encoder of reviews as Kafka records."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._labelled = AvroCodec(schema_text("labelled_review"))
        self._rejected = AvroCodec(schema_text("rejected_review"))

    def labelled(self, fields: Mapping[str, Any], headers: Headers = ()) -> OutgoingRecord:
        """Return the record of a labelled review, given as its schema's fields.

        An edited or relabelled review has a higher version.
        """
        version = external_version(fields["written_at"], fields["provenance"]["generation"])
        return OutgoingRecord(
            topic=self._topics.labelled,
            key=fields["review_id"].encode(),
            value=self._labelled.encode(fields, self._topics.labelled_id),
            headers=((VERSION_HEADER, str(version).encode("ascii")), *headers),
        )

    def rejected(self, fields: Mapping[str, Any], headers: Headers = ()) -> OutgoingRecord:
        """Return the record of a rejected review, given as its schema's fields."""
        return OutgoingRecord(
            topic=self._topics.rejected,
            key=origin_text(fields["origin"]).encode(),
            value=self._rejected.encode(fields, self._topics.rejected_id),
            headers=headers,
        )


def origin_text(origin: Mapping[str, Any]) -> str:
    """Return an origin as one word."""
    return f"{origin['source']}@{origin['offset']}"


class Publisher:
    """A writer to the topics; records are durable after `flush`."""

    def __init__(self, topics: Topics, sink: RecordSink) -> None:
        self._encoder = Encoder(topics)
        self._sink = sink

    def publish(
        self,
        outcome: LabelledReview | RejectedReview,
        *,
        cause: Cause = Cause.LINE,
        place: str = "",
    ) -> None:
        """Queue a record; see `RecordSink.write`.

        Args:
            outcome: Labelled or rejected review.
            cause: Cause of the record, if it was not made from its line.
            place: Place of the record that it was made from; see `core.records.lineage`.
        """
        headers = () if cause is Cause.LINE else (cause_header(cause, place),)
        labelled = isinstance(outcome, LabelledReview)
        encode = self._encoder.labelled if labelled else self._encoder.rejected
        self._sink.write(encode(to_avro(outcome), headers))

    def flush(self) -> int:
        """Wait until all queued records are acknowledged; see `RecordSink.flush`."""
        return self._sink.flush()


def find_topics(
    names: TopicNames, registry: SubjectRegistry, *, address: str, auto_register: bool
) -> Topics:
    """Return the topics, with the schemas' ids from the registry.

    Args:
        names: Names of the topics.
        registry: Registry with the schemas.
        address: Address of the registry, for errors.
        auto_register: Register the current schemas first.

    Raises:
        ConfigError: A schema is not registered.
    """
    if auto_register:
        register_schemas(registry, names)
    found = {
        name: _schema_id(registry, address, subject, name)
        for subject, name in subjects(names).items()
    }
    return Topics(
        labelled=names.labelled,
        labelled_id=found["labelled_review"],
        rejected=names.rejected,
        rejected_id=found["rejected_review"],
    )


def _schema_id(registry: SubjectRegistry, address: str, subject: str, name: SchemaName) -> int:
    found = registry.find(subject, schema_text(name))
    if found is None:
        raise ConfigError(
            f"the registry at {address} does not have our schema {name} under subject "
            f"{subject}: run `reviewstream schemas register` first"
        )
    return found
