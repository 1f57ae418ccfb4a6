"""Today's schemas against every one released, both ways, on paper and with real bytes.

Topics are FULL_TRANSITIVE: any reader of any version reads any record ever written. `avro` and
`fastavro` judge here, not our own code.
"""

import json
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

import avro.schema
import pytest
from avro.compatibility import ReaderWriterCompatibilityChecker, SchemaCompatibilityType
from fastavro import parse_schema, schemaless_reader, schemaless_writer
from hypothesis import given
from hypothesis import strategies as st

SCHEMAS = Path(__file__).parents[2] / "schemas"
TODAY = {path.stem: json.loads(path.read_bytes()) for path in SCHEMAS.glob("*.avsc")}
RELEASED = [(path.name.split(".")[0], path) for path in sorted(SCHEMAS.glob("released/*.avsc"))]
PRIMITIVES: dict[str, st.SearchStrategy[Any]] = {
    "null": st.none(),
    "boolean": st.booleans(),
    "int": st.integers(-(2**31), 2**31 - 1),
    "long": st.integers(-(2**63), 2**63 - 1),
    "double": st.floats(allow_nan=False),
    "string": st.text(),
    "bytes": st.binary(),
}
MILLISECONDS = st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)).map(
    lambda time: time.replace(microsecond=time.microsecond // 1000 * 1000, tzinfo=UTC)
)


def values(schema: Any) -> st.SearchStrategy[Any]:
    """Everything that a schema can hold."""
    if isinstance(schema, list):
        return st.one_of(*map(values, schema))
    if isinstance(schema, str):
        return PRIMITIVES[schema]
    if schema.get("logicalType") == "timestamp-millis":
        return MILLISECONDS
    if schema["type"] == "enum":
        return st.sampled_from(schema["symbols"])
    return st.fixed_dictionaries(
        {field["name"]: values(field["type"]) for field in schema["fields"]}
    )


def reread(record: Any, *, writer: Any, reader: Any) -> Any:
    data = BytesIO()
    schemaless_writer(data, parse_schema(writer), record)
    data.seek(0)
    return schemaless_reader(data, parse_schema(writer), parse_schema(reader))


def is_compatible(*, writer: Any, reader: Any) -> bool:
    checker: Any = ReaderWriterCompatibilityChecker()  # type: ignore[no-untyped-call] # avro has no types here
    result = checker.get_compatibility(
        *(avro.schema.parse(json.dumps(s)) for s in (reader, writer))
    )
    return bool(result.compatibility is SchemaCompatibilityType.compatible)


def assert_agree(one: Any, other: Any) -> None:
    """What both versions know is the same in both."""
    if isinstance(one, dict):
        for name in one.keys() & other.keys():
            assert_agree(one[name], other[name])
    else:
        assert one == other


@pytest.mark.parametrize(("name", "path"), RELEASED, ids=[path.stem for _, path in RELEASED])
def test_today_and_every_release_read_each_other(name: str, path: Path) -> None:
    released = json.loads(path.read_bytes())
    assert is_compatible(writer=released, reader=TODAY[name])
    assert is_compatible(writer=TODAY[name], reader=released)


@pytest.mark.parametrize(("name", "path"), RELEASED, ids=[path.stem for _, path in RELEASED])
@given(data=st.data())
def test_bytes_written_with_one_are_read_with_the_other(
    name: str, path: Path, data: st.DataObject
) -> None:
    released = json.loads(path.read_bytes())
    for writer, reader in ((released, TODAY[name]), (TODAY[name], released)):
        record = data.draw(values(writer))
        assert_agree(record, reread(record, writer=writer, reader=reader))


@pytest.mark.parametrize("name", sorted(TODAY))
def test_every_schema_has_its_releases_numbered_from_one(name: str) -> None:
    versions = sorted(
        int(path.stem.removeprefix(f"{name}.v")) for owner, path in RELEASED if owner == name
    )
    assert versions == list(range(1, len(versions) + 1))
    assert versions


@pytest.mark.parametrize("name", sorted(TODAY))
def test_the_newest_release_is_what_is_written_today(name: str) -> None:
    releases = [path for owner, path in RELEASED if owner == name]
    newest = max(releases, key=lambda path: int(path.stem.removeprefix(f"{name}.v")))
    assert json.loads(newest.read_bytes()) == TODAY[name]


@pytest.mark.parametrize("name", sorted(TODAY))
def test_a_new_field_without_a_default_is_refused(name: str) -> None:
    """The check bites: old records could not be read any more."""
    fields = [*TODAY[name]["fields"], {"name": "planted", "type": "string"}]
    assert not is_compatible(writer=TODAY[name], reader={**TODAY[name], "fields": fields})


@pytest.mark.parametrize("name", sorted(TODAY))
def test_a_field_that_had_no_default_cannot_be_dropped(name: str) -> None:
    without = {**TODAY[name], "fields": TODAY[name]["fields"][1:]}
    assert not is_compatible(writer=without, reader=TODAY[name])


REJECTED: dict[str, Any] = {
    "stage": "PARSE",
    "reason": "NOT_JSON",
    "detail": "",
    "raw": b"",
    "origin": {"source": "a", "offset": 0},
    "attempts": 0,
    "rejected_at": datetime(2026, 1, 1, tzinfo=UTC),
}


def test_an_older_reader_takes_a_newer_reason_for_other() -> None:
    released = TODAY["rejected_review"]
    newer = json.loads(json.dumps(released).replace('"OTHER",', '"OTHER", "PLANTED",', 1))
    record = {**REJECTED, "reason": "PLANTED"}
    assert reread(record, writer=newer, reader=released)["reason"] == "OTHER"


@pytest.mark.parametrize("name", ["prompt_tokens", "completion_tokens", "cost_micro_usd"])
def test_a_rejection_from_before_cost_was_kept_cost_nothing(name: str) -> None:
    first = json.loads((SCHEMAS / "released" / "rejected_review.v1.avsc").read_bytes())
    assert reread(REJECTED, writer=first, reader=TODAY["rejected_review"])[name] == 0
