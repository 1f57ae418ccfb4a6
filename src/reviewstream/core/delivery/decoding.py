"""Reader for the records of our topics, in any version of their schema."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Generic, TypeVar

import msgspec

from reviewstream.core.delivery.avro import (
    AvroCodec,
    labelled_of_avro,
    rejected_of_avro,
    schema_id_of,
)
from reviewstream.core.delivery.ports import StoredRecord
from reviewstream.core.records.reviews import LabelledReview, RejectedReview
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.core.schemas.schema_files import SchemaName, schema_text
from reviewstream.errors import ConfigError, FatalError, PermanentError

SHOWN: Final = 20  # positions listed of unreadable records

T = TypeVar("T")


class RecordPositions:
    """A counter of record positions that keeps the first ones.

    Attributes:
        count: Number of records.
        first: `partition@offset` of the first records.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, record: StoredRecord) -> None:
        """Count the position of a record."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(f"{record.partition}@{record.offset}")


class RecordReader(Generic[T]):
    """A reader for the records of one topic.

    Args:
        registry: Registry with the schemas that the records were written with.
        name: Name of the current schema.
        convert: Builds a record from the schema's fields.
    """

    def __init__(
        self, registry: SubjectRegistry, name: SchemaName, convert: Callable[[Mapping[str, Any]], T]
    ) -> None:
        self._registry = registry
        self._codec = AvroCodec(schema_text(name))
        self._convert = convert
        self._writers: dict[int, str] = {}

    def read(self, record: StoredRecord, foreign: Callable[[StoredRecord], None]) -> T | None:
        """Return a decoded record; None for a deletion or a record that cannot be decoded.

        Args:
            record: Record of the topic.
            foreign: Called with a record that cannot be decoded.

        Raises:
            TransientError: The registry is unavailable.
            FatalError: The registry refuses access.
        """
        if record.value is None:
            return None
        try:
            _, fields = self._codec.decode(record.value, writer=self._writer(record.value))
            return self._convert(fields)
        except (FatalError, ConfigError):
            raise
        except (PermanentError, msgspec.ValidationError):
            foreign(record)
            return None

    def _writer(self, value: bytes) -> str:
        schema_id = schema_id_of(value)
        if schema_id not in self._writers:
            self._writers[schema_id] = self._registry.schema(schema_id)
        return self._writers[schema_id]


def labelled_reader(registry: SubjectRegistry) -> RecordReader[LabelledReview]:
    """Return a reader for the topic of labelled reviews."""
    return RecordReader(registry, "labelled_review", labelled_of_avro)


def rejected_reader(registry: SubjectRegistry) -> RecordReader[RejectedReview]:
    """Return a reader for the topic of rejections."""
    return RecordReader(registry, "rejected_review", rejected_of_avro)
