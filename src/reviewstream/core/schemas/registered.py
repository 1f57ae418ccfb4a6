"""Checks of the current schemas against the registry and every released version."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from typing import Final

from msgspec import Struct

from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.schemas.compatibility import incompatibilities
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.core.schemas.schema_files import (
    SCHEMA_NAMES,
    SchemaName,
    checked_schema,
    released_schemas,
    schema_text,
)
from reviewstream.errors import ConfigError, IncompatibleSchemaError

LEVEL: Final = "FULL_TRANSITIVE"  # every version can read every other one


class RegisteredSchema(Struct, frozen=True, kw_only=True):
    """A schema in the registry."""

    subject: str
    version: int
    id: int


class SchemaFinding(Struct, frozen=True, kw_only=True):
    """An incompatible or unregistered schema.

    Attributes:
        where: A subject, or a schema's name.
        problem: Message with the problem and the fix.
    """

    where: str
    problem: str


def subjects(topics: TopicNames) -> Mapping[str, SchemaName]:
    """Return the subject of each schema (TopicNameStrategy)."""
    return {
        f"{topics.labelled}-value": "labelled_review",
        f"{topics.rejected}-value": "rejected_review",
    }


def register_schemas(registry: SubjectRegistry, topics: TopicNames) -> tuple[RegisteredSchema, ...]:
    """Set our compatibility level on our subjects, then register the current schemas. Idempotent.

    Raises:
        IncompatibleSchemaError: A schema is incompatible with an older version; the message names
            both.
    """
    wanted = subjects(topics)
    for subject in wanted:
        if registry.compatibility(subject) != LEVEL:
            registry.set_compatibility(subject, LEVEL)
    return tuple(_register(registry, subject, name) for subject, name in wanted.items())


def registered_schemas(
    registry: SubjectRegistry, topics: TopicNames
) -> tuple[RegisteredSchema, ...]:
    """Return the versions of our subjects, oldest first; unknown subjects have none."""
    return tuple(
        RegisteredSchema(subject=subject, version=version, id=schema_id)
        for subject in subjects(topics)
        for version, text in registry.versions(subject)
        if (schema_id := registry.find(subject, text)) is not None
    )


def own_schema(reference: str) -> str | None:
    """Return our schema by its name, or the released version N of it by `name@N`.

    Returns:
        None if we have no schema of this name.

    Raises:
        ConfigError: There is no such version; the message lists the known ones.
    """
    called, at, version = reference.partition("@")
    name = next((each for each in SCHEMA_NAMES if each == called), None)
    if name is None or not at:
        return name and schema_text(name)
    return _version_of(called, version, released_schemas(name))


def registered_schema(registry: SubjectRegistry, reference: str) -> str:
    """Return the schema of a `SUBJECT@VERSION`, or the latest one of a `SUBJECT`.

    Raises:
        ConfigError: There is no such version, or it is not Avro.
    """
    subject, at, version = reference.rpartition("@")
    subject = subject if at else reference
    versions = registry.versions(subject)
    wanted = version if at else str(versions[-1][0] if versions else "latest")
    text = _version_of(f"subject {subject}", wanted, versions)
    return checked_schema(text, f"subject {subject}, version {wanted},")


def _version_of(where: str, wanted: str, versions: Sequence[tuple[int, str]]) -> str:
    for number, text in versions:
        if str(number) == wanted:
            return text
    known = ", ".join(str(number) for number, _ in versions) or "no version at all"
    raise ConfigError(f"{where} has no version {wanted}; it has {known}")


def check_schemas(
    registry: SubjectRegistry, topics: TopicNames, *, directory: Traversable | None = None
) -> tuple[SchemaFinding, ...]:
    """Compare the current schemas with the released ones, then with those in the registry.

    Args:
        registry: Registry; it is only read.
        topics: Topics, which determine the subjects.
        directory: Folder of the schemas; None means that of the package.
    """
    return tuple(
        finding
        for subject, name in subjects(topics).items()
        for finding in (
            *_released(name, directory),
            *_in_registry(registry, subject, name, schema_text(name, directory=directory)),
        )
    )


def _register(registry: SubjectRegistry, subject: str, name: SchemaName) -> RegisteredSchema:
    text = schema_text(name)
    problems = [
        f"v{version}: {problem}"
        for version, older in registry.versions(subject)
        for problem in misfits(text, older)
    ]
    if problems:  # the registry would accept it if its level was changed elsewhere
        raise IncompatibleSchemaError(
            f"subject {subject}: today's {name} does not fit {'; '.join(problems)}"
        )
    schema_id = registry.register(subject, text)
    versions = registry.versions(subject)
    version = next((n for n, found in versions if registry.find(subject, found) == schema_id), 0)
    return RegisteredSchema(subject=subject, version=version, id=schema_id)


def _released(name: SchemaName, directory: Traversable | None) -> Iterator[SchemaFinding]:
    today = schema_text(name, directory=directory)
    for version, text in released_schemas(name, directory=directory):
        for problem in misfits(today, text):
            yield SchemaFinding(
                where=name, problem=f"does not fit released version {version}: {problem}"
            )


def _in_registry(
    registry: SubjectRegistry, subject: str, name: SchemaName, today: str
) -> Iterator[SchemaFinding]:
    versions = registry.versions(subject)
    for version, text in versions:
        for problem in misfits(today, text):
            yield SchemaFinding(where=subject, problem=f"does not fit version {version}: {problem}")
    if not versions or registry.find(subject, today) is None:
        yield SchemaFinding(
            where=subject,
            problem=f"today's {name} is not registered: run `reviewstream schemas register`",
        )
    elif (level := registry.compatibility(subject)) != LEVEL:
        yield SchemaFinding(
            where=subject,
            problem=f"its level is {level}, not {LEVEL}: run `reviewstream schemas register`",
        )


def misfits(new: str, old: str) -> Iterator[str]:
    """Yield the reasons why records of one schema cannot be read with the other, both ways."""
    for problem in incompatibilities(reader=new, writer=old):
        yield f"{problem} (the new one reading old records)"
    for problem in incompatibilities(reader=old, writer=new):
        yield f"{problem} (the old one reading new records)"
