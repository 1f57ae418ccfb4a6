"""Texts of the Avro schemas: the current and every released version."""

import json
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, Literal, TypeAlias, get_args

import fastavro

from reviewstream.core.schemas.compatibility import incompatibilities
from reviewstream.errors import ConfigError

SchemaName: TypeAlias = Literal["labelled_review", "rejected_review"]
SCHEMA_NAMES: Final[tuple[SchemaName, ...]] = get_args(SchemaName)


def schemas_directory(package: Traversable | None = None) -> Traversable:
    """Return the folder of schemas: in the installed package, or beside `src` in a checkout."""
    installed = (package or resources.files("reviewstream")) / "schemas"
    return installed if installed.is_dir() else Path(__file__).parents[4] / "schemas"


def schema_text(name: SchemaName, *, directory: Traversable | None = None) -> str:
    """Return the current schema with a name."""
    return ((directory or schemas_directory()) / f"{name}.avsc").read_text(encoding="utf-8")


def released_schemas(
    name: SchemaName, *, directory: Traversable | None = None
) -> tuple[tuple[int, str], ...]:
    """Return (version, text) of every released version of a schema, oldest first."""
    files = ((directory or schemas_directory()) / "released").iterdir()
    found = (file for file in files if file.name.startswith(f"{name}.v"))
    return tuple(sorted((_version(file.name), file.read_text(encoding="utf-8")) for file in found))


def checked_schema(text: str, where: str) -> str:
    """Return an untrusted schema after checking it.

    Raises:
        ConfigError: It is not valid Avro; the message contains `where`.
    """
    try:
        fastavro.parse_schema(json.loads(text))
        incompatibilities(reader=text, writer=text)  # finds errors that fastavro accepts
    except Exception as err:  # fastavro raises many types for untrusted JSON
        raise ConfigError(f"{where} is not an Avro schema: {type(err).__name__}: {err}") from err
    return text


def _version(filename: str) -> int:
    """Return the version in a file name: 12 for `labelled_review.v12.avsc`."""
    return int(filename.split(".")[-2].removeprefix("v"))
