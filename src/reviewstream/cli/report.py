"""`reviewstream report`: summarizes the index."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reviewstream.cli.context import Context, verb
from reviewstream.cli.search import COLOURS, DAY, in_order
from reviewstream.cli.terminal import plain
from reviewstream.core.index.searching import Query, Report, Row
from reviewstream.core.index.searching import report as ask

YEAR, MONTH = "year", "month"

by_period = click.option(
    "--by",
    type=click.Choice([YEAR, MONTH]),
    default=YEAR,
    show_default=True,
    help="Period of each row of the table; --json always lists months.",
)


@click.command("report")
@by_period
@click.option("--business", metavar="ID", help="Only reviews of this business.")
@click.option("--from", "since", type=DAY, help="First day.")
@click.option("--to", "until", type=DAY, help="Last day.")
@verb
def command(
    context: Context,
    *,
    by: str,
    business: str | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Count the reviews by sentiment, stars, year or month, and business."""
    from reviewstream.app import open_index

    first, last = in_order(since, until)
    wanted = Query(business_id=business, since=first, until=last)
    found = ask(open_index(context.settings), wanted)
    if context.json:
        context.emit(msgspec.to_builtins(found))
    else:
        Console(highlight=False).print(report_tables(found, by))


def report_tables(found: Report, by: str) -> RenderableType:
    """Render the report for a terminal, longest part first, because it scrolls away."""
    agreement = "" if found.agreement is None else f"; {found.agreement:.0%} agree with their stars"
    return Group(
        sentiment_table(by, found.by_month if by == MONTH else _years(found.by_month)),
        sentiment_table("business", found.businesses),
        sentiment_table("stars", found.by_stars),
        Text(f"{found.documents} reviews{agreement}"),
    )


def _years(months: Sequence[Row]) -> list[Row]:
    years = [(year, [*rows]) for year, rows in groupby(months, lambda row: row.key[:-3])]
    return [
        Row(
            key=year,
            documents=sum(row.documents for row in rows),
            sentiments=sum((Counter(row.sentiments) for row in rows), Counter()),
        )
        for year, rows in years
    ]


def sentiment_table(heading: str, rows: Sequence[Row]) -> Table:
    """Return a table of document counts by a key and by sentiment."""
    table = Table(heading, title_justify="left")
    table.add_column("reviews", justify="right")
    for sentiment, colour in COLOURS.items():
        table.add_column(sentiment.lower(), justify="right", style=colour)
    for row in rows:
        counts = (str(row.sentiments[sentiment]) for sentiment in COLOURS)
        table.add_row(Text(plain(row.key)), str(row.documents), *counts)
    return table
