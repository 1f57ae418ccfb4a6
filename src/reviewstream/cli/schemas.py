"""`reviewstream schemas`: the contract with everyone who reads the topics."""

import sys
from typing import TYPE_CHECKING

import click
import msgspec
from rich.table import Table

from reviewstream.cli.context import DONE, FINDINGS, Context, verb

if TYPE_CHECKING:
    from reviewstream.pipeline.schemas import RegisteredSchema
    from reviewstream.ports import SchemaRegistry


@click.group("schemas")
def command() -> None:
    """Register, check and show the schemas of the topics."""


@command.command("register")
@verb
def register(context: Context) -> None:
    """Set FULL_TRANSITIVE on our subjects, and register today's schemas."""
    from reviewstream.pipeline.schemas import register_schemas

    _present(context, register_schemas(_registry(context), context.settings.kafka))


@command.command("check")
@verb
def check(context: Context) -> None:
    """Compare today's schemas with every released one and with the registry; 1 if any differs."""
    from reviewstream.pipeline.schemas import check_schemas

    findings = check_schemas(_registry(context), context.settings.kafka)
    if context.json:
        context.emit([msgspec.structs.asdict(each) for each in findings])
    else:
        for each in findings:
            click.echo(f"{each.where}: {each.problem}")
        if not findings:
            context.console.print("Every schema fits.")
    sys.exit(FINDINGS if findings else DONE)


@command.command("show")
@verb
def show(context: Context) -> None:
    """Show the versions that the registry holds."""
    from reviewstream.pipeline.schemas import registered_schemas

    _present(context, registered_schemas(_registry(context), context.settings.kafka))


def _registry(context: Context) -> "SchemaRegistry":
    from reviewstream.app import open_registry

    return open_registry(context.settings.registry)


def _present(context: Context, schemas: "tuple[RegisteredSchema, ...]") -> None:
    if context.json:
        context.emit([msgspec.structs.asdict(each) for each in schemas])
        return
    table = Table("subject", "version", "id")
    for each in schemas:
        table.add_row(each.subject, str(each.version), str(each.id))
    context.console.print(table)
