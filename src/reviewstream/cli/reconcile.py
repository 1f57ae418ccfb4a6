"""`reviewstream reconcile`: checks that every line arrived, and once."""

import sys
import time
from collections.abc import Callable, Iterator
from typing import IO, TYPE_CHECKING, Any, Final

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reviewstream.asking import Call
from reviewstream.cli.context import DONE, FINDINGS, Context, verb
from reviewstream.cli.progress import stages
from reviewstream.cli.terminal import plain
from reviewstream.core.reconcile.rules import Fault, Mismatch, ReconcileStage

if TYPE_CHECKING:
    from reviewstream.core.reconcile.reconciliation import Reconciliation
    from reviewstream.core.reconcile.services import ReconcileRun, Tell
    from reviewstream.settings import Settings

POLL: Final = 0.5  # seconds
SENTENCES: Final = {
    (ReconcileStage.TOPICS, Fault.MISSING): "lines are on no topic",
    (ReconcileStage.TOPICS, Fault.DOUBLED): "lines are on the topics more than once",
    (ReconcileStage.TOPICS, Fault.UNKNOWN): "records are of no such line of the source",
    (ReconcileStage.TOPICS, Fault.UNREADABLE): "records are none of ours",
    (ReconcileStage.INDEX, Fault.MISSING): "reviews are not in the index",
    (ReconcileStage.INDEX, Fault.DOUBLED): "reviews are in the index more than once",
    (ReconcileStage.INDEX, Fault.UNKNOWN): "documents are of no review on the topic",
    (ReconcileStage.INDEX, Fault.OUTDATED): "documents are older than the review on the topic",
}


@click.command("reconcile")
@click.argument("file", required=False)
@click.option("--member", metavar="NAME", help="Which file of a tar archive (or FILE.tar:NAME).")
@click.option("--name", help="The source's name in every origin, as of `serve --name`.")
@click.option(
    "--wait",
    "seconds",
    type=click.FloatRange(0),
    default=0.0,
    metavar="SECONDS",
    help="While the index lags behind, wait until it has not grown for so long.",
)
@click.option(
    "--out",
    type=click.File("w", encoding="utf-8", lazy=False),
    metavar="FILE",
    help="Write all that does not add up here, a line of JSON each.",
)
@verb
def command(  # noqa: PLR0913 - an argument for each option
    context: Context,
    *,
    file: str | None,
    member: str | None,
    name: str | None,
    seconds: float,
    out: IO[str] | None,
) -> None:
    """Compare the source with the topics and these with the index: is all there, and once?

    FILE is what `serve` takes; without it the review server is asked. The first 100 of each kind
    that do not add up are named, and then the exit code is 1. Nothing may be streaming meanwhile.
    """
    from reviewstream.cli.sources import served_source, source_file

    if file is None and (member or name):
        raise click.UsageError("--member and --name go with a FILE")
    settings = context.settings
    with stages(context.progress, context.console) as shown:
        opened = (
            served_source(settings.source)
            if file is None
            else source_file(shown, file, member=member, name=name)
        )
        with opened as (source, lines):
            wanted = comparison(settings, shown.update, seconds=seconds, found=_writer(out))
            sums = wanted.run(source, lines)
    if context.json:
        context.emit(as_json(sums))
    else:
        Console(highlight=False).print(sums_table(sums))
    sys.exit(DONE if sums.adds_up else FINDINGS)


def comparison(
    settings: "Settings",
    tell: "Tell",
    *,
    seconds: float = 0.0,
    found: Callable[[Mismatch], None] = lambda _: None,
) -> "ReconcileRun":
    """Return a comparison of the stages that the settings name.

    Args:
        settings: Kafka, the registry and Elasticsearch are used.
        tell: Called with the progress of each stage.
        seconds: Time without a change of the index, after which missing documents are reported.
        found: Called with each mismatch.
    """
    from reviewstream import app
    from reviewstream.core.reconcile.services import ReconcileRun, ReconcileServices

    stages = ReconcileServices(
        log=app.open_log(settings.kafka),
        registry=app.open_registry(settings.registry),
        index=app.open_index(settings),
        topics=app.topic_names(settings.kafka),
    )
    wait = IndexSettling(stages.index.count, seconds)
    return ReconcileRun(stages, app.open_sorter, found=found, tell=tell, wait=wait)


def sums_table(sums: "Reconciliation") -> RenderableType:
    """Render a reconciliation for a terminal."""
    verdict = (
        Text("Everything adds up.", "green")
        if sums.adds_up
        else Text("It does not add up.", "bold red")
    )
    return Group(_counts_table(sums), *findings(sums), verdict)


def as_json(sums: "Reconciliation") -> dict[str, Any]:
    """Return a reconciliation as built-in types."""
    return {"adds_up": sums.adds_up, **msgspec.to_builtins(sums)}


def _counts_table(sums: "Reconciliation") -> Table:
    source, labelled, rejected = sums.source, sums.labelled, sums.rejected
    table = Table("stage", title=Text(plain(source.name)), title_justify="left")
    for name in ("lines", "records", "reviews"):
        table.add_column(name, justify="right")
    table.add_row("source", f"{source.lines:,}", "", f"{source.reviews:,}")
    counts = (labelled.lines, labelled.records, labelled.reviews)
    table.add_row("labelled", *(f"{count:,}" for count in counts))
    table.add_row("rejected", f"{rejected.lines:,}", f"{rejected.records:,}")
    table.add_row("index", "", "", f"{sums.documents:,}")
    return table


def findings(sums: "Reconciliation") -> Iterator[Text]:
    """Yield one text for each kind of mismatch."""
    for (stage, fault), sentence in SENTENCES.items():
        if count := sums.faults[stage][fault]:
            names = [
                plain(one.id) for one in sums.named if (one.stage, one.fault) == (stage, fault)
            ]
            more = f" and {count - len(names):,} more" if count > len(names) else ""
            yield Text.assemble((f"{count:,} {sentence}: ", "bold"), f"{', '.join(names)}{more}")


def _writer(out: IO[str] | None) -> Callable[[Mismatch], None]:
    def write(finding: Mismatch) -> None:
        if out is not None:
            out.write(msgspec.json.encode(finding).decode() + "\n")

    return write


class IndexSettling:
    """Decides whether to compare again; ends when the count is unchanged for a time.

    Args:
        count: Returns the number of documents.
        seconds: Time without a change; 0: do not wait.
    """

    def __init__(self, count: Callable[[], int], seconds: float) -> None:
        self._count = count
        self._seconds = seconds
        self._found: int | None = None
        self._changed = 0.0

    def __call__(self) -> bool:
        """Wait a moment, but not on the first call, and return whether to compare again."""
        if not self._seconds:
            return False
        if self._found is not None:
            with Call("waiting for the index, which lags behind"):
                time.sleep(POLL)
        now = self._count()
        if now != self._found:
            self._found, self._changed = now, time.monotonic()
        return time.monotonic() - self._changed < self._seconds
