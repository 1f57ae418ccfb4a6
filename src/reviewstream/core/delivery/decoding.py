"""Reads the records of our topics, whichever version of the schema they were written with."""

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
from reviewstream.core.schemas.files import SchemaName, schema_text
from reviewstream.core.schemas.ports import SchemaRegistry
from reviewstream.errors import ConfigError, FatalError, PermanentError

SHOWN: Final = 20  # records named, of those that cannot be read

T = TypeVar("T")


class Places:
    """Counts places, and keeps the first of them.

    Attributes:
        count: All of them.
        first: `partition@offset` of the first.
    """

    def __init__(self) -> None:
        self.count = 0
        self.first: list[str] = []

    def add(self, record: StoredRecord) -> None:
        """Count where a record is."""
        self.count += 1
        if len(self.first) < SHOWN:
            self.first.append(f"{record.partition}@{record.offset}")


class RecordReader(Generic[T]):
    """Reads the records of one topic.

    Args:
        registry: Knows the schemas that they were written with.
        name: Of today's schema.
        convert: Makes a record of the schema's fields.
    """

    def __init__(
        self, registry: SchemaRegistry, name: SchemaName, convert: Callable[[Mapping[str, Any]], T]
    ) -> None:
        self._registry = registry
        self._codec = AvroCodec(schema_text(name))
        self._convert = convert
        self._writers: dict[int, str] = {}

    def read(self, record: StoredRecord, foreign: Callable[[StoredRecord], None]) -> T | None:
        """Return what a record says; None if it deletes, or is none of ours.

        Args:
            record: Of the topic.
            foreign: Told a record that is none of ours.

        Raises:
            TransientError: the registry is away.
            FatalError: it refuses us.
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


def labelled_reader(registry: SchemaRegistry) -> RecordReader[LabelledReview]:
    """Return a reader of the topic of labelled reviews."""
    return RecordReader(registry, "labelled_review", labelled_of_avro)


def rejected_reader(registry: SchemaRegistry) -> RecordReader[RejectedReview]:
    """Return a reader of the topic of rejections."""
    return RecordReader(registry, "rejected_review", rejected_of_avro)
