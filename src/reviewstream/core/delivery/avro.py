"""Records as Avro with Confluent's header: a zero byte, the schema's id (4 bytes), the body.

Source: Confluent, "Wire format" of the Schema Registry; Apache Avro 1.12 specification.
"""

import json
import struct
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from io import BytesIO
from typing import Any, Final

import fastavro
import msgspec
from fastavro.types import Schema

from reviewstream.core.records.reviews import LabelledReview, RejectedReview
from reviewstream.core.schemas.definitions import is_finite
from reviewstream.errors import PermanentError

MAGIC: Final = 0
_HEADER: Final = struct.Struct(">bI")
_KEPT: Final = (bytes, datetime)  # fastavro encodes these itself


class AvroEncodeError(PermanentError):
    """Raised when a record does not fit its schema."""


class AvroDecodeError(PermanentError):
    """Raised when bytes are not a Confluent-framed record of the schema."""


class AvroCodec:
    """An encoder and decoder for the records of one schema.

    Encoding is deterministic. A codec has no state except its parsed schema, so threads may share
    it.
    """

    def __init__(self, schema: str) -> None:
        self._schema = _parsed(schema)
        self.name: str = json.loads(schema)["name"]

    def encode(self, record: Mapping[str, Any], schema_id: int) -> bytes:
        """Return the record with its header.

        Args:
            record: Fields by name; times are aware datetimes. Other keys are ignored.
            schema_id: Id of this schema in the registry, at least 0.

        Raises:
            AvroEncodeError: A field is missing, mistyped or out of range.
        """
        out = BytesIO(_HEADER.pack(MAGIC, schema_id))
        out.seek(_HEADER.size)
        try:
            fastavro.schemaless_writer(out, self._schema, record)
        except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as err:
            raise AvroEncodeError(f"not a {self.name}: {err}") from err
        return out.getvalue()

    def decode(self, data: bytes, *, writer: str | None = None) -> tuple[int, dict[str, Any]]:
        """Return the schema id in the header, and the record.

        Args:
            data: Value of a Kafka record.
            writer: Schema that the record was written with, if it differs from the codec's. It must
                be finite, as ours are: see `is_finite`.

        Raises:
            AvroDecodeError: Wrong header, a writer's schema that is not Avro or not finite, or data
                that does not fit the schema. No other error is raised.
        """
        schema_id = schema_id_of(data)
        body = BytesIO(data)
        body.seek(_HEADER.size)
        try:
            schema = self._schema if writer is None else _finite(writer)
            record = fastavro.schemaless_reader(body, schema, self._schema)
        except Exception as err:  # fastavro raises a dozen types for untrusted bytes
            raise AvroDecodeError(f"not a {self.name}: {type(err).__name__}: {err}") from err
        if not isinstance(record, dict):
            raise AvroDecodeError(f"not a {self.name}: a {type(record).__name__}")
        if surplus := len(data) - body.tell():
            raise AvroDecodeError(f"not a {self.name}: {surplus} bytes are left over")
        return schema_id, record


def schema_id_of(data: bytes) -> int:
    """Return the schema id in the header of a Kafka record's value.

    Raises:
        AvroDecodeError: The header is missing or wrong.
    """
    if len(data) < _HEADER.size:
        raise AvroDecodeError(f"{len(data)} bytes, too short for Confluent's header of 5")
    magic, schema_id = _HEADER.unpack_from(data)
    if magic != MAGIC:
        raise AvroDecodeError(f"unknown magic byte {data[0]:#04x}, expected 0x00")
    return int(schema_id)


def to_avro(record: LabelledReview | RejectedReview) -> dict[str, Any]:
    """Return a record as the fields of its schema."""
    fields: dict[str, Any] = msgspec.to_builtins(record, builtin_types=_KEPT)
    return fields


def labelled_of_avro(fields: Mapping[str, Any]) -> LabelledReview:
    """Return the labelled review for a decoded record."""
    return msgspec.convert(fields, LabelledReview, builtin_types=_KEPT)


def rejected_of_avro(fields: Mapping[str, Any]) -> RejectedReview:
    """Return the rejected review for a decoded record."""
    return msgspec.convert(fields, RejectedReview, builtin_types=_KEPT)


def labelled_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a labelled row of Spark as the fields of its schema."""
    provenance = row["provenance"]
    return {
        **row,
        "written_at": _aware(row["written_at"]),
        "provenance": {**provenance, "labelled_at": _aware(provenance["labelled_at"])},
    }


def rejected_of_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a rejected row of Spark as the fields of its schema."""
    rejection = row["rejection"]
    # Rows stored before version 2 have no cost; then the default is written.
    known = {name: value for name, value in rejection.items() if value is not None}
    return {
        **known,
        "rejected_at": _aware(rejection["rejected_at"]),
        "origin": row["origin"],
    }


def _aware(time: datetime) -> datetime:
    """Return the time with a zone: Spark's naive times are UTC; fastavro reads them as local."""
    return time if time.tzinfo is not None else time.replace(tzinfo=UTC)


@lru_cache(maxsize=64)
def _parsed(schema: str) -> Schema:
    return fastavro.parse_schema(json.loads(schema))


@lru_cache(maxsize=64)
def _finite(schema: str) -> Schema:
    """Parse an untrusted schema after checking that fastavro can decode it safely.

    fastavro's C code recurses without limit on a recursive record, which overflows the stack and
    kills the process; and it iterates over an array of 2**40 items of no bytes each.
    """
    if not is_finite(json.loads(schema)):
        raise ValueError("the writer's schema has an array, a map or a type by its name")
    return _parsed(schema)
