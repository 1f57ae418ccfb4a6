"""`reviewstream report`: summarizes the index."""

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reviewstream.cli.context import Context, verb
from reviewstream.cli.search import COLOURS
from reviewstream.cli.terminal import plain
from reviewstream.core.index.searching import Report, Row
from reviewstream.core.index.searching import report as ask


@click.command("report")
@verb
def command(context: Context) -> None:
    """Count the reviews by sentiment, stars, month and business."""
    from reviewstream.app import open_index

    found = ask(open_index(context.settings))
    if context.json:
        context.emit(msgspec.to_builtins(found))
    else:
        Console(highlight=False).print(report_tables(found))


def report_tables(found: Report) -> RenderableType:
    """Render the report for a terminal, longest part first, because it scrolls away."""
    agreement = "" if found.agreement is None else f"; {found.agreement:.0%} agree with their stars"
    return Group(
        sentiment_table("month", found.by_month),
        sentiment_table("business", found.businesses),
        sentiment_table("stars", found.by_stars),
        Text(f"{found.documents} reviews{agreement}"),
    )


def sentiment_table(heading: str, rows: tuple[Row, ...]) -> Table:
    """Return a table of document counts by a key and by sentiment."""
    table = Table(heading, title_justify="left")
    table.add_column("reviews", justify="right")
    for sentiment, colour in COLOURS.items():
        table.add_column(sentiment.lower(), justify="right", style=colour)
    for row in rows:
        counts = (str(row.sentiments[sentiment]) for sentiment in COLOURS)
        table.add_row(Text(plain(row.key)), str(row.documents), *counts)
    return table
