"""`reviewstream ledger`: inspects the labels that were paid for."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import IO, TYPE_CHECKING, Final

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reviewstream.cli.context import Context, verb
from reviewstream.cli.terminal import plain

if TYPE_CHECKING:
    from reviewstream.core.labelling.ledger.maintenance import Holding
    from reviewstream.core.labelling.ports import LedgerArchive

MILLION: Final = 1_000_000


@click.group("ledger")
def command() -> None:
    """Look through the labels that were paid for, keep a copy of them, forget some."""


@command.command("stats")
@verb
def stats(context: Context) -> None:
    """Count labels, tokens and dollars, by model and prompt version."""
    from reviewstream.core.labelling.ledger.maintenance import holdings

    with _ledger(context) as ledger:
        found = holdings(ledger)
    if context.json:
        context.emit({"labels": sum(one.labels for one in found), "by_model": _plain(found)})
    else:
        Console(highlight=False).print(_table(found))


@command.command("export")
@click.argument("file", type=click.File("wb"), default="-")
@verb
def export(context: Context, *, file: IO[bytes]) -> None:
    """Write every label as a line of JSON to FILE (default: standard output).

    The file has no text of a review: a label is known by the SHA-256 of its text.
    """
    from reviewstream.core.labelling.ledger import maintenance as looked_through

    count = 0
    with _ledger(context) as ledger:
        for line in looked_through.export(ledger):
            file.write(line + b"\n")
            count += 1
    file.flush()
    _tell(context, "exported", count)


@command.command("import")
@click.argument("file", type=click.File("rb"))
@verb
def import_(context: Context, *, file: IO[bytes]) -> None:
    """Take over the labels of an exported FILE; a label that is there already stays as it is."""
    from reviewstream.core.labelling.ledger.maintenance import restore

    with _ledger(context) as ledger:
        _tell(context, "imported", restore(ledger, file, file.name))


@command.command("prune")
@click.option("--older-than", type=click.FloatRange(0), metavar="DAYS", help="Bought before that.")
@click.option("--model", help="Of this model, as `stats` names it.")
@click.option("--prompt-version", type=int, help="Of this prompt version.")
@click.option("--request-id", help="Of this request (`provenance.request_id`): all of one pack.")
@verb
def prune(
    context: Context,
    *,
    older_than: float | None,
    model: str | None,
    prompt_version: int | None,
    request_id: str | None,
) -> None:
    """Forget labels for which all the given options hold; they will be bought again if needed."""
    from reviewstream.core.labelling.ledger.maintenance import Selection, holdings
    from reviewstream.core.labelling.ledger.maintenance import prune as forget

    if {older_than, model, prompt_version, request_id} == {None}:
        raise click.UsageError("say which: --older-than, --model, --prompt-version, --request-id")
    selection = Selection(
        before=None if older_than is None else _days_ago(older_than),
        model=model,
        prompt_version=prompt_version,
        request_id=request_id,
    )
    with _ledger(context) as ledger:
        count = forget(ledger, selection)
        known = {one.model for one in holdings(ledger)} if not count and model else set()
    _tell(context, "forgotten", count)
    if known and model not in known:
        names = ", ".join(sorted(known))
        context.console.print(plain(f"There are labels of {names}."), markup=False, soft_wrap=True)


@contextmanager
def _ledger(context: Context) -> "Iterator[LedgerArchive]":
    from reviewstream.app import open_archive

    ledger = open_archive(context.settings.ledger)
    try:
        yield ledger
    finally:
        ledger.close()


def _days_ago(days: float) -> datetime:
    try:
        return datetime.now(UTC) - timedelta(days=days)
    except OverflowError:  # before the first representable date
        return datetime.min.replace(tzinfo=UTC)


def _tell(context: Context, what: str, count: int) -> None:
    if context.json:
        context.emit({what: count})
    else:
        context.console.print(f"{count} labels {what}.")


def _plain(found: "tuple[Holding, ...]") -> list[object]:
    return [msgspec.to_builtins(one) for one in found]


def _table(found: "tuple[Holding, ...]") -> Table:
    table = Table(title=f"{sum(one.labels for one in found)} labels", title_justify="left")
    table.add_column("model", overflow="fold")  # `prune` needs the whole name
    for name in ("prompt version", "labels", "tokens in", "tokens out", "US dollars"):
        table.add_column(name, justify="right")
    table.add_column("bought", overflow="fold")
    for one in found:
        counts = (one.prompt_version, one.labels, one.prompt_tokens, one.completion_tokens)
        dollars = f"{one.cost_micro_usd / MILLION:.6f}"
        bought = f"{one.oldest:%Y-%m-%d} to {one.newest:%Y-%m-%d}"
        table.add_row(Text(plain(one.model)), *map(str, counts), dollars, bought)
    return table
