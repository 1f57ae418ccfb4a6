"""`reviewstream search`: searches the index from a terminal."""

import html
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.text import Text

from reviewstream.cli.context import Context, verb
from reviewstream.cli.terminal import plain, printable
from reviewstream.core.index.searching import HIGHLIGHT, MAX_LIMIT, Found, Query
from reviewstream.core.index.searching import search as ask
from reviewstream.core.records.reviews import Sentiment

if TYPE_CHECKING:
    from reviewstream.core.index.ports import SearchHit

COLOURS = {"POSITIVE": "green", "NEUTRAL": "yellow", "NEGATIVE": "red"}
_EXCERPT = 300  # characters of a text without highlights
DAY = click.DateTime(["%Y-%m-%d"])


@click.command("search")
@click.argument("query", default="")
@click.option("--business", metavar="ID", help="Only reviews of this business.")
@click.option("--sentiment", type=click.Choice(Sentiment, case_sensitive=False))
@click.option("--from", "since", type=DAY, help="First day.")
@click.option("--to", "until", type=DAY, help="Last day.")
@click.option("--limit", type=click.IntRange(1, MAX_LIMIT), default=10, show_default=True)
@verb
def command(  # noqa: PLR0913 - one for each option
    context: Context,
    *,
    query: str,
    business: str | None,
    sentiment: Sentiment | None,
    since: datetime | None,
    until: datetime | None,
    limit: int,
) -> None:
    """Find reviews. QUERY is words, "a phrase", +must, -not, or nothing for all."""
    from reviewstream.app import open_index

    first, last = in_order(since, until)
    wanted = Query(
        text=query,
        business_id=business,
        sentiment=sentiment,
        since=first,
        until=last,
        limit=limit,
    )
    found = ask(open_index(context.settings), wanted)
    if context.json:
        context.emit(_as_json(found))
    else:
        Console(highlight=False).print(hits_table(found))


def in_order(since: datetime | None, until: datetime | None) -> tuple[date | None, date | None]:
    """Return the first and the last day.

    Raises:
        click.UsageError: They are in the wrong order.
    """
    if since and until and since > until:
        raise click.UsageError(f"--from {since:%Y-%m-%d} is after --to {until:%Y-%m-%d}")
    return since.date() if since else None, until.date() if until else None


def hits_table(found: Found) -> RenderableType:
    """Render the hits for a terminal, matched words in bold."""
    noun = "review" if found.total == 1 else "reviews"
    shown = f", the best {len(found.hits)}" if len(found.hits) < found.total else ""
    return Group(Text(f"{found.total} {noun}{shown}"), *(_rendered(hit) for hit in found.hits))


def _rendered(hit: "SearchHit") -> Text:
    document = hit.document
    sentiment = plain(str(document.get("sentiment", "?")))
    head = Text.assemble(
        "\n",
        (sentiment, f"bold {COLOURS.get(sentiment, '')}"),
        f"  {plain(str(document.get('stars', '?')))} stars  {_day(document.get('written_at'))}  ",
        (f"{plain(hit.id)} of {plain(str(document.get('business_id', '?')))}", "dim"),
        "\n",
    )
    body = hit.fragments or (_excerpt(str(document.get("text", ""))),)
    return head.append_text(Text(" … ").join(_highlighted(each) for each in body))


def _highlighted(fragment: str) -> Text:
    """Return a fragment with its matched words in bold, without interpreting markup in it."""
    start, end = HIGHLIGHT
    first, *others = fragment.split(start)
    text = Text(printable(first))  # not `plain`: pieces are separated by spaces
    for piece in others:
        match, _, rest = piece.partition(end)
        text.append(printable(match), "bold reverse").append(printable(rest))
    return text


def _excerpt(text: str) -> str:
    return text if len(text) <= _EXCERPT else f"{text[:_EXCERPT]}…"


def _day(written_at: object) -> str:
    """Return the day of a field of the index: milliseconds since 1970, or text."""
    if not isinstance(written_at, int):
        return plain(str(written_at))
    try:
        return str((datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=written_at)).date())
    except OverflowError:  # a year that Python cannot represent
        return str(written_at)


def _as_json(found: Found) -> dict[str, Any]:
    body: dict[str, Any] = msgspec.to_builtins(found)
    for hit in body["hits"]:
        hit["fragments"] = [  # HTML: the text of a review is not trusted
            html.escape(each).replace(HIGHLIGHT[0], "<em>").replace(HIGHLIGHT[1], "</em>")
            for each in hit["fragments"]
        ]
    return body
