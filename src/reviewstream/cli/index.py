"""`reviewstream index`: prepares the index behind the alias."""

import click

from reviewstream.cli.context import Context, verb


@click.group("index")
def command() -> None:
    """Make the index ready."""


@command.command("setup")
@verb
def setup(context: Context) -> None:
    """Create template, first index and alias; add the fields that an index lacks."""
    from reviewstream.app import open_index
    from reviewstream.core.index.mapping import index_mapping
    from reviewstream.core.schemas.schema_files import schema_text

    index = open_index(context.settings)
    index.setup(index_mapping(schema_text("labelled_review")))
    alias = context.settings.elasticsearch.index
    if context.json:
        context.emit({"alias": alias, "documents": index.count()})
    else:
        context.console.print(f"{alias} is ready.")
