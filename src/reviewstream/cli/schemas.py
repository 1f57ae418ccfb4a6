"""`reviewstream schemas`: the schemas of the topics, a contract with all of their readers."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec
from rich.table import Table

from reviewstream.cli.context import DONE, FINDINGS, Context, verb
from reviewstream.cli.terminal import plain
from reviewstream.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from reviewstream.core.records.topic_names import TopicNames
    from reviewstream.core.schemas.differences import SchemaDiff
    from reviewstream.core.schemas.ports import SubjectRegistry
    from reviewstream.core.schemas.registered import RegisteredSchema

REGISTRY_PREFIX = "registry:"


@click.group("schemas")
def command() -> None:
    """Register, check, show and compare the schemas of the topics."""


@command.command("register")
@verb
def register(context: Context) -> None:
    """Set FULL_TRANSITIVE on our subjects, and register today's schemas."""
    from reviewstream.core.schemas.registered import register_schemas

    _present(context, register_schemas(_registry(context), _topics(context)))


@command.command("check")
@verb
def check(context: Context) -> None:
    """Compare today's schemas with every released one and with the registry; 1 if any differs."""
    from reviewstream.core.schemas.registered import check_schemas

    findings = check_schemas(_registry(context), _topics(context))
    if context.json:
        context.emit([msgspec.structs.asdict(each) for each in findings])
    else:
        for each in findings:
            click.echo(plain(f"{each.where}: {each.problem}"))
        if not findings:
            context.console.print("Every schema fits.")
    sys.exit(FINDINGS if findings else DONE)


@command.command("show")
@verb
def show(context: Context) -> None:
    """Show the versions that the registry holds."""
    from reviewstream.core.schemas.registered import registered_schemas

    _present(context, registered_schemas(_registry(context), _topics(context)))


@command.command("diff")
@click.argument("old")
@click.argument("new")
@verb
def diff(context: Context, *, old: str, new: str) -> None:
    """Say what changed from OLD to NEW, and whom it breaks; 1 if anyone.

    Each is an .avsc file, `labelled_review` or `rejected_review` (today's), `labelled_review@1`
    (as it was released), or `registry:SUBJECT[@VERSION]`.
    """
    from reviewstream.core.schemas.differences import compare_schemas

    found = compare_schemas(_schema(context, old), _schema(context, new))
    if context.json:
        context.emit({"old": old, "new": new, "level": found.level, **msgspec.to_builtins(found)})
    else:
        for line in _told(found):
            click.echo(line)
    sys.exit(DONE if found.level == "FULL" else FINDINGS)


def _schema(context: Context, reference: str) -> str:
    from reviewstream.core.schemas.registered import own_schema, registered_schema
    from reviewstream.core.schemas.schema_files import checked_schema

    if reference.startswith(REGISTRY_PREFIX):
        return registered_schema(_registry(context), reference.removeprefix(REGISTRY_PREFIX))
    if (own := own_schema(reference)) is not None:
        return own
    try:
        return checked_schema(Path(reference).read_text(encoding="utf-8"), reference)
    except (OSError, ValueError) as err:
        raise ConfigError(
            f"{reference} cannot be read ({err}); expected an .avsc file, a schema of ours "
            "(labelled_review, labelled_review@1) or registry:SUBJECT[@VERSION]"
        ) from err


def _told(found: "SchemaDiff") -> "Iterator[str]":
    for change in found.changes:
        yield plain(f"{change.path}: {change.what}")
    if not found.changes:
        yield "Nothing changed."
    for whom, problems in (
        ("Readers that have the old schema, of new records", found.old_readers),
        ("Readers that have the new schema, of old records", found.new_readers),
    ):
        yield f"{whom}: {'break' if problems else 'fine'}."
        yield from (f"  {plain(problem)}" for problem in problems)
    yield f"Compatibility: {found.level}."


def _registry(context: Context) -> "SubjectRegistry":
    from reviewstream.app import open_registry

    return open_registry(context.settings.registry)


def _topics(context: Context) -> "TopicNames":
    from reviewstream.app import topic_names

    return topic_names(context.settings.kafka)


def _present(context: Context, schemas: "tuple[RegisteredSchema, ...]") -> None:
    if context.json:
        context.emit([msgspec.structs.asdict(each) for each in schemas])
        return
    table = Table("subject", "version", "id")
    for each in schemas:
        table.add_row(each.subject, str(each.version), str(each.id))
    context.console.print(table)
