"""The schemas, the records, Spark's columns and the index say the same, field by field.

What Avro calls a type is written down once more here for each of the others: a second opinion.
"""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum
from types import NoneType, UnionType
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from msgspec import NODEFAULT, Struct
from pyspark.sql.types import (
    BinaryType,
    BooleanType,
    DataType,
    DoubleType,
    IntegerType,
    LongType,
    StringType,
    StructType,
    TimestampType,
)

from reviewstream.adapters.connect.connector_config import connector_config
from reviewstream.core.index.mapping import index_mapping
from reviewstream.core.records.reviews import LabelledReview, RejectedReview
from reviewstream.core.records.versions import VERSION_HEADER
from reviewstream.core.schemas.schema_files import SCHEMA_NAMES, SchemaName, schema_text
from reviewstream.settings import Settings
from reviewstream.spark.columns import LABELLED, REJECTION

RECORDS: Mapping[SchemaName, type[Struct]] = {
    "labelled_review": LabelledReview,
    "rejected_review": RejectedReview,
}
PYTHON = {
    "string": str,
    "double": float,
    "long": int,
    "int": int,
    "boolean": bool,
    "bytes": bytes,
    "timestamp-millis": datetime,
}
SPARK: Mapping[str, type[DataType]] = {
    "string": StringType,
    "enum": StringType,
    "double": DoubleType,
    "long": LongType,
    "int": IntegerType,
    "boolean": BooleanType,
    "bytes": BinaryType,
    "timestamp-millis": TimestampType,
}
INDEX = {
    "string": "keyword",
    "enum": "keyword",
    "double": "double",
    "long": "long",
    "int": "integer",
    "boolean": "boolean",
    "timestamp-millis": "date",
}
NONE = object()  # no default


def avro_fields(record: Any, path: str = "") -> Iterator[tuple[str, Any, bool, object]]:
    """Path, type, whether it may be null, and default, of every field that is no record."""
    for field in record["fields"]:
        below, schema = f"{path}{field['name']}", field["type"]
        is_nullable = isinstance(schema, list)
        if is_nullable:
            (schema,) = (branch for branch in schema if branch != "null")
        if isinstance(schema, dict) and schema["type"] == "record":
            yield from avro_fields(schema, f"{below}.")
        else:
            yield below, schema, is_nullable, field.get("default", NONE)


def avro(name: SchemaName) -> list[tuple[str, Any, bool, object]]:
    return list(avro_fields(json.loads(schema_text(name))))


def kind(schema: Any) -> str:
    return schema if isinstance(schema, str) else schema.get("logicalType", schema["type"])


def record_fields(record: type[Struct], path: str = "") -> Iterator[tuple[str, Any, bool, object]]:
    hints = get_type_hints(record)
    for field in msgspec.structs.fields(record):
        below, hint = f"{path}{field.name}", hints[field.name]
        is_nullable = isinstance(hint, UnionType)
        if is_nullable:
            (hint,) = (branch for branch in get_args(hint) if branch is not NoneType)
        if issubclass(hint, Struct):
            yield from record_fields(hint, f"{below}.")
        else:
            default = NONE if field.default is NODEFAULT else field.default
            yield below, hint, is_nullable, default


def as_python(schema: Any) -> object:
    return schema["symbols"] if kind(schema) == "enum" else PYTHON[kind(schema)]


def columns(struct: StructType, path: str = "") -> Iterator[tuple[str, type[DataType]]]:
    for field in struct:
        if isinstance(field.dataType, StructType):
            yield from columns(field.dataType, f"{path}{field.name}.")
        else:
            yield f"{path}{field.name}", type(field.dataType)


def indexed(mapping: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str]]:
    for name, field in mapping["properties"].items():
        if "properties" in field:
            yield from indexed(field, f"{path}{name}.")
        else:
            yield f"{path}{name}", field["type"]


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_the_records_have_the_fields_of_the_schema(name: SchemaName) -> None:
    found = [
        (path, [each.value for each in hint] if issubclass(hint, Enum) else hint, nullable, default)
        for path, hint, nullable, default in record_fields(RECORDS[name])
    ]
    wanted = [
        (path, as_python(schema), nullable, default)
        for path, schema, nullable, default in avro(name)
    ]
    assert sorted(found, key=str) == sorted(wanted, key=str)


def test_the_columns_have_the_fields_of_a_labelled_review() -> None:
    found = {path: t for path, t in columns(LABELLED) if not path.startswith("rejection.")}
    assert found == {path: SPARK[kind(schema)] for path, schema, _, _ in avro("labelled_review")}


def test_the_columns_of_a_rejection_have_the_fields_of_a_rejected_review() -> None:
    found = dict(columns(StructType([*REJECTION, LABELLED["origin"]])))
    assert found == {path: SPARK[kind(schema)] for path, schema, _, _ in avro("rejected_review")}


def test_the_index_has_the_fields_of_a_labelled_review() -> None:
    wanted = {path: INDEX[kind(schema)] for path, schema, _, _ in avro("labelled_review")}
    assert dict(indexed(index_mapping(schema_text("labelled_review")))) == wanted | {"text": "text"}


def test_the_connector_takes_the_fields_as_they_are_and_the_id_from_the_key() -> None:
    """It names no field, so that none can differ from the schema's."""
    config = connector_config(Settings())
    named = [value for name, value in config.items() if name.startswith("transforms")]
    fields = {path.rpartition(".")[2] for path, *_ in avro("labelled_review")}
    assert named == []
    assert fields & {*config.values()} == set()
    assert (config["key.ignore"], config["schema.ignore"]) == ("false", "true")
    assert config["external.version.header"] == VERSION_HEADER
