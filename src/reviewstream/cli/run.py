"""`reviewstream run`: the pipeline against the servers that the settings name."""

from dataclasses import asdict

import click

from reviewstream.cli.context import Context, verb
from reviewstream.cli.limits import limited
from reviewstream.cli.local import use_java
from reviewstream.cli.progress import stages
from reviewstream.cli.signals import on_signals
from reviewstream.cli.streaming import Counts, watch


@click.command("run")
@click.option("--once", is_flag=True, help="End when everything that is there now is written.")
@click.option(
    "--setup/--no-setup",
    default=True,
    help="First create what is missing: topics, index, connector.",
)
@verb
@limited
def command(context: Context, *, once: bool, setup: bool) -> None:
    """Stream reviews from the review server to Kafka, labelled; Connect indexes them.

    Ends cleanly on SIGTERM and Ctrl-C: the micro-batch that runs is finished first. The next run
    with the same checkpoint goes on where this one ended.
    """
    from reviewstream.app import prepare
    from reviewstream.spark.query import start_query
    from reviewstream.spark.session import spark_session

    use_java()
    settings = context.settings
    context.warn_of_prices()
    if setup:
        prepare(settings)
    spark = spark_session(settings.spark)
    stop = on_signals()  # after Spark, which has a handler of its own
    try:
        with stages(context.progress, context.console) as shown:
            running = start_query(spark, settings, available_now=once)
            context.console.print("Ready.")
            counts = watch(running, lambda so_far: shown.update("bytes", *_position(so_far)), stop)
    finally:
        spark.stop()
    _report(context, counts)


def _position(counts: Counts) -> tuple[int, int]:
    offset = counts.offset or 0
    return offset, max(offset, counts.head or 0)


def _report(context: Context, counts: Counts) -> None:
    if context.json:
        context.emit(asdict(counts))
        return
    context.console.print(
        f"Stopped at byte {counts.offset}: {counts.labelled} labelled, of them "
        f"{counts.from_ledger} from the ledger, and {counts.rejected} rejected, "
        f"in {counts.batches} micro-batches."
    )
