"""The schemas are found wherever the package is installed."""

import json
import runpy
from pathlib import Path

import fastavro
import pytest

from reviewstream.core.schemas.compatibility import incompatibilities
from reviewstream.core.schemas.schema_files import (
    SCHEMA_NAMES,
    SchemaName,
    checked_schema,
    released_schemas,
    schema_text,
    schemas_directory,
)
from reviewstream.errors import ConfigError


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_every_schema_is_valid_avro(name: SchemaName) -> None:
    assert fastavro.parse_schema(json.loads(schema_text(name)))


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_todays_schema_and_every_released_one_read_each_other(name: SchemaName) -> None:
    released = released_schemas(name)
    assert released, f"{name} was never released"
    today = schema_text(name)
    for version, text in released:
        assert not incompatibilities(reader=today, writer=text), version
        assert not incompatibilities(reader=text, writer=today), version


def test_released_versions_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    (tmp_path / "released").mkdir()
    for name in ("labelled_review.v10", "labelled_review.v9", "rejected_review.v1"):
        (tmp_path / "released" / f"{name}.avsc").write_text(name, encoding="utf-8")
    assert released_schemas("labelled_review", directory=tmp_path) == (
        (9, "labelled_review.v9"),
        (10, "labelled_review.v10"),
    )


def test_an_installed_package_brings_its_schemas_with_it(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    assert schemas_directory(tmp_path) == tmp_path / "schemas"


def test_a_checkout_has_its_schemas_beside_the_sources(tmp_path: Path) -> None:
    # From the checkout, even where the tests run on an installed wheel.
    checkout = Path(__file__).parents[4]
    source = checkout / "src/reviewstream/core/schemas/schema_files.py"
    module = runpy.run_path(str(source), run_name="reviewstream.core.schemas.schema_files")
    directory = module["schemas_directory"](tmp_path)
    assert directory == checkout / "schemas"
    assert (directory / "labelled_review.avsc").is_file()


@pytest.mark.parametrize("name", SCHEMA_NAMES)
def test_a_valid_schema_passes_as_it_is(name: SchemaName) -> None:
    assert checked_schema(schema_text(name), "here") == schema_text(name)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "nonsense",
        '"contract.Unknown"',
        '{"type": "enum", "name": "E"}',
        '{"type": "record", "name": "R"}',
        '{"type": "record", "name": "R", "fields": [{"name": "a"}]}',
        "[" * 100_000,
    ],
)
def test_what_is_no_schema_is_named_by_where_it_comes_from(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^x\.avsc is not an Avro schema: \w+"):
        checked_schema(text, "x.avsc")


def test_what_the_parser_said_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^x is not an Avro schema: JSONDecodeError: Expecting"):
        checked_schema("nonsense", "x")
