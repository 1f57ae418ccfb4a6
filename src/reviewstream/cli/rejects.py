"""`reviewstream rejects`: lists rejects and dead letters, and sends them again."""

import base64
import heapq
import sys
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import IO, TYPE_CHECKING, Any, Final

import click
import msgspec
from rich.console import Console
from rich.table import Table
from rich.text import Text

from reviewstream.asking import Call
from reviewstream.cli.context import Context, verb
from reviewstream.cli.limits import limited
from reviewstream.cli.terminal import plain
from reviewstream.core.delivery.avro import to_avro
from reviewstream.core.labelling.costs import MILLION
from reviewstream.core.records.reviews import Reason
from reviewstream.errors import PermanentError

if TYPE_CHECKING:
    from reviewstream.core.rejects.listing import Reject, Rejects, Wanted

EXCERPT: Final = 80  # characters
READING: Final = "reading the topics"
PAID: Final = ("prompt_tokens", "completion_tokens", "cost_micro_usd")
NEVER: Final = datetime.min.replace(tzinfo=UTC)

dlq = click.option(
    "--dlq", is_flag=True, is_eager=True, help="Records that the connector could not index."
)


def _known(
    context: click.Context, _option: click.Parameter, given: tuple[str, ...]
) -> tuple[str, ...]:
    """Refuse an unknown reason; classes of exceptions are not checked."""
    for reason in () if context.params["dlq"] else given:
        if reason.upper() not in Reason.__members__:
            close = get_close_matches(reason.upper(), Reason.__members__)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(Reason)}."
            raise click.BadParameter(f"{reason!r} is not a reason. {hint}")
    return given


reasons = click.option(
    "--reason",
    "reasons",
    multiple=True,
    callback=_known,
    metavar="REASON",
    help="Only these: NOT_JSON, MODEL_REFUSED; with --dlq an exception's class.",
)


@click.group("rejects")
def command() -> None:
    """Look at what did not get through, and send it again."""


@command.command("list")
@dlq
@reasons
@click.option("--open", "is_open", is_flag=True, help="Only what has not got through since.")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--out",
    type=click.File("w", encoding="utf-8", lazy=False),
    metavar="FILE",
    help="Write all of them here, a line of JSON each, to be repaired.",
)
@verb
def list_(  # noqa: PLR0913 - an argument for each option
    context: Context,
    *,
    dlq: bool,
    reasons: tuple[str, ...],
    is_open: bool,
    limit: int,
    out: IO[str] | None,
) -> None:
    """List the newest, with the beginning of what they hold."""
    from reviewstream.core.rejects.listing import Wanted

    rejects, wanted = opened(context, letters=dlq), Wanted(reasons=frozenset(reasons))
    tally = _Tally(out)
    with Call(READING):
        found = rejects.open(wanted) if is_open else rejects.all(wanted)
        newest = heapq.nlargest(
            limit, tally.counted(found), key=lambda one: one.rejected_at or NEVER
        )
    if context.json:
        shown = [as_json(one) for one in newest]
        sums = {"total": tally.total, "cost_micro_usd": tally.cost_micro_usd}
        context.emit({**sums, "rejects": shown})
    else:
        Console(highlight=False).print(_table(newest, tally))


@command.command("show")
@click.argument("name", metavar="ID")
@dlq
@click.option("--raw", is_flag=True, help="Print the bytes alone.")
@verb
def show(context: Context, *, name: str, dlq: bool, raw: bool) -> None:
    """Print all there is about one, called by its ID in the list."""
    from reviewstream.core.rejects.listing import Wanted

    rejects = opened(context, letters=dlq)
    reject = _newest(rejects, Wanted(ids=frozenset({name})), name)
    if raw:
        click.echo(reject.raw, nl=False)
    elif context.json:
        context.emit(as_json(reject) | _more(rejects, reject))
    else:
        fields = as_json(reject) | _more(rejects, reject)
        paid = {name: value for name, value in fields.items() if value or name not in PAID}
        _print_fields(paid)


@command.command("replay")
@click.argument("ids", nargs=-1, metavar="[ID]...")
@dlq
@reasons
@click.option(
    "--file",
    type=click.File("rb"),
    metavar="FILE",
    help="Repaired lines, as `list --out` writes them; only these are sent.",
)
@click.option("--dry-run", is_flag=True, help="Say how many there are.")
@verb
@limited
def replay(  # noqa: PLR0913 - an argument for each option
    context: Context,
    *,
    ids: tuple[str, ...],
    dlq: bool,
    reasons: tuple[str, ...],
    file: IO[bytes] | None,
    dry_run: bool,
) -> None:
    """Send again what has not got through since: all, or those with these IDs.

    Lines are parsed, labelled and published with the offset that they had; with --dlq records are
    published once more for the connector. A second start sends only what is left, and ends one that
    still runs. The exit code is 1 if something did not get through.
    """
    from reviewstream.cli.replay import Replay
    from reviewstream.core.rejects.listing import Wanted
    from reviewstream.core.rejects.patches import repairs

    if dlq and file:
        raise click.UsageError("--file repairs lines: records of --dlq are sent as they are")
    if ids and file:
        raise click.UsageError("give IDs, or a --file that has them")
    repaired = {} if file is None else repairs(file, file.name)
    if file is not None and not repaired:
        raise click.UsageError(f"{file.name} has no repaired line")
    wanted = Wanted(ids=frozenset(ids or repaired), reasons=frozenset(reasons))
    run = Replay(context, opened(context, letters=dlq), letters=dlq, repaired=repaired)
    sys.exit(run.run(wanted, dry=dry_run))


def opened(context: Context, *, letters: bool) -> "Rejects":
    """Open the rejects that the settings name."""
    from reviewstream import app
    from reviewstream.core.rejects.listing import Rejects

    settings = context.settings
    return Rejects(
        app.open_log(settings.kafka),
        app.open_registry(settings.registry),
        app.topic_names(settings.kafka),
        letters=letters,
    )


def as_json(reject: "Reject") -> dict[str, Any]:
    """Return a reject as built-in types; `line` if it is text, otherwise `line_base64`."""
    try:
        line = {"line": reject.raw.decode()}
    except UnicodeDecodeError:
        line = {"line_base64": base64.b64encode(reject.raw).decode()}
    return {
        "id": reject.id,
        "stage": reject.stage,
        "reason": reject.reason,
        "detail": reject.detail,
        "rejected_at": reject.rejected_at and reject.rejected_at.isoformat(),
        "attempts": reject.attempts,
        **{name: getattr(reject, name) for name in PAID},
        "is_cut": reject.is_cut,
        **line,
    }


class _Tally:
    """Counts rejects and their costs while they are iterated, and writes them to a file."""

    def __init__(self, out: IO[str] | None) -> None:
        self.total = 0
        self.cost_micro_usd = 0
        self._out = out

    def counted(self, rejects: "Iterable[Reject]") -> "Iterator[Reject]":
        for reject in rejects:
            self.total += 1
            self.cost_micro_usd += reject.cost_micro_usd
            if self._out is not None:
                self._out.write(msgspec.json.encode(as_json(reject)).decode() + "\n")
            yield reject


def _newest(rejects: "Rejects", wanted: "Wanted", name: str) -> "Reject":
    with Call(READING):
        found = max(rejects.all(wanted), key=lambda one: one.rejected_at or NEVER, default=None)
    if found is None:
        raise PermanentError(f"there is no reject {name!r}: see `reviewstream rejects list`")
    return found


def _more(rejects: "Rejects", reject: "Reject") -> dict[str, Any]:
    """Return the fields of the record itself."""
    record = reject.record
    labelled = rejects.labelled(reject)
    return {
        "place": reject.place,
        "key": (record.key or b"").decode(errors="replace"),
        "headers": {name: value.decode(errors="replace") for name, value in record.headers},
        **({} if labelled is None else {"review": msgspec.to_builtins(to_avro(labelled))}),
    }


def _table(rejects: "list[Reject]", tally: _Tally) -> Table:
    shown = f", the newest {len(rejects)}" if len(rejects) < tally.total else ""
    cost = f"; all cost {_dollars(tally.cost_micro_usd)}" if tally.cost_micro_usd else ""
    table = Table(title=f"{tally.total} rejects{shown}{cost}", title_justify="left")
    names = ["id", "reason", "when", "what is wrong", "begins with"]
    if is_paid := any(one.is_paid for one in rejects):
        names.append("paid for")
    for name in names:
        table.add_column(name, overflow="fold")
    for one in rejects:
        when = f"{one.rejected_at:%Y-%m-%d %H:%M:%S}" if one.rejected_at else "?"
        start = one.raw[: 4 * EXCERPT].decode(errors="replace")
        cells = [one.id, one.reason, when, one.detail[:EXCERPT], start[:EXCERPT]]
        cells += [_paid_for(one)] if is_paid else []
        table.add_row(*(Text(plain(cell)) for cell in cells))
    return table


def _paid_for(reject: "Reject") -> str:
    if not reject.is_paid:
        return ""
    tokens = f"{reject.prompt_tokens:,} + {reject.completion_tokens:,} tokens"
    return f"{reject.attempts} requests, {tokens}, {_dollars(reject.cost_micro_usd)}"


def _dollars(micro_usd: int) -> str:
    return f"${micro_usd / MILLION:.6f}"


def _print_fields(fields: dict[str, Any]) -> None:
    """Print one field per line; their content cannot control the terminal."""
    console = Console(highlight=False)
    for name, value in fields.items():
        text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
        console.print(Text.assemble((f"{name}: ", "bold"), plain(text)), soft_wrap=True)
