"""`reviewstream run`: runs the pipeline on the servers that the settings name."""

import sys
from contextlib import ExitStack, suppress
from dataclasses import asdict
from typing import Final

import click

from reviewstream.cli.context import FINDINGS, Context, verb
from reviewstream.cli.limits import limited
from reviewstream.cli.local import use_java
from reviewstream.cli.progress import Stages, stages
from reviewstream.cli.signals import ending, finishing
from reviewstream.cli.steps import steps
from reviewstream.cli.streaming import Counts, spending, watch
from reviewstream.cli.terminal import plain
from reviewstream.errors import TransientError
from reviewstream.settings import SourceSettings

ENDING: Final = 15.0  # seconds until Spark has ended
LAST: Final = (
    "the micro-batch that runs is finished first, for {:g} s at most; a second signal ends at once"
)


@click.command("run")
@click.option("--once", is_flag=True, help="End when everything that is there now is written.")
@click.option(
    "--from-start",
    is_flag=True,
    help="Read everything again: forget how far the checkpoint came. Records are written to Kafka "
    "a second time; labels come from the ledger; the index has each review once.",
)
@click.option(
    "--setup/--no-setup",
    default=True,
    help="First create what is missing: topics, index, connector.",
)
@verb
@limited
def command(context: Context, *, once: bool, from_start: bool, setup: bool) -> None:
    """Stream reviews from the review server to Kafka, labelled; Connect indexes them.

    Ends cleanly on SIGTERM and Ctrl-C, with exit code 143 or 130: the micro-batch that runs is
    finished first. The next run with the same checkpoint goes on where this one ended. Exit code 1:
    all it read was rejected.
    """
    from reviewstream.app import prepare
    from reviewstream.spark.jvm import spark_running
    from reviewstream.spark.query import DRAIN_PATIENCE, start_query

    use_java()
    settings = context.settings
    context.warn_of_prices()
    context.warn_of_eviction()
    with steps(context.progress, context.console) as starting, ExitStack() as stack:
        if setup:
            with starting.step("Topics, schemas, index and connector"):
                prepare(settings)
        stack.enter_context(ending("ending Spark", ENDING))
        with starting.step("Spark"):
            spark = stack.enter_context(spark_running(settings.spark))
        with starting.step("Spark's query"):
            running = start_query(spark, settings, available_now=once, from_start=from_start)
        shown = stack.enter_context(stages(context.progress, context.console))
        context.console.print("Ready.")
        with finishing(LAST.format(DRAIN_PATIENCE)) as stop:
            counts = watch(running, lambda so_far: _tell(shown, so_far), stop)
    _report(context, counts)
    if complaint := why_nothing(counts, settings.source):
        click.echo(plain(f"reviewstream: {complaint}"), err=True)
        sys.exit(FINDINGS)


def why_nothing(counts: Counts, source: SourceSettings) -> str:
    """Explain a run that rejected all lines that it read: no line is a review, or see the topic.

    Returns:
        An empty text if a review was labelled, or nothing was read.
    """
    from reviewstream.cli.sources import served_source
    from reviewstream.core.transport.inspection import Inspection

    if counts.labelled or not counts.rejected:
        return ""
    seen = Inspection()
    with suppress(TransientError), served_source(source) as (name, lines):
        if not seen.has_review(lines):
            return seen.verdict(name)
    return f"all {counts.rejected:,} lines were rejected: see `reviewstream rejects list`"


def _tell(shown: Stages, counts: Counts) -> None:
    if counts.offset is None:
        shown.update("bytes", 0, 0, "no micro-batch has ended yet")
        return
    rejected = f", {counts.rejected:,} rejected" if counts.rejected else ""
    note = spending(counts.tokens, counts.cost_micro_usd, rate=counts.rate)
    total = max(counts.offset, counts.head or 0)
    shown.update("bytes", counts.offset, total, f"{counts.labelled:,} labelled{rejected}, {note}")


def _report(context: Context, counts: Counts) -> None:
    if context.json:
        context.emit(asdict(counts))
        return
    if counts.offset is None:
        context.console.print("Nothing new since the last run: 0 micro-batches.")
        return
    context.console.print(
        f"Stopped at byte {counts.offset:,}: {counts.labelled} labelled, of them "
        f"{counts.from_ledger} from the ledger, and {counts.rejected} rejected, "
        f"in {counts.batches} micro-batches: {spending(counts.tokens, counts.cost_micro_usd)}."
    )
