"""`reviewstream demo`: runs the whole pipeline on real servers of this machine, and checks it."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from reviewstream.cli.context import DONE, FINDINGS, Context, verb
from reviewstream.cli.demo_result import DemoResult, as_json, leave_running, present, say_next
from reviewstream.cli.limits import limited
from reviewstream.cli.local import local_stack, scratch, use_java
from reviewstream.cli.progress import Stages, stages
from reviewstream.cli.reconcile import comparison
from reviewstream.cli.signals import ending
from reviewstream.cli.steps import Steps, steps
from reviewstream.cli.streaming import Counts, spending, watch
from reviewstream.cli.terminal import plain
from reviewstream.errors import ConfigError
from reviewstream.settings import Settings, SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOCAL: Final = "local"
CLUSTER: Final = "cluster"
COUNT: Final = 500  # reviews by default
SMALL: Final = 2_000  # lines; a ledger of that many labels is read quickly
SEED: Final = 7
ENDING: Final = 60.0  # seconds until Spark and the servers have ended after a signal
QUIET: Final = 60.0  # seconds without a new document until the index counts as complete


@click.command("demo")
@click.option(
    "--reviews",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of reviews of your own.",
)
@click.option("--count", type=click.IntRange(1), help=f"How many sample reviews (default {COUNT}).")
@click.option("--keep", is_flag=True, help="Leave the servers running until Ctrl-C.")
@click.option("--real-model", is_flag=True, help="Ask the real model (needs OPENAI_API_KEY).")
@click.option(
    "--spark",
    "where",
    type=click.Choice([LOCAL, CLUSTER]),
    default=LOCAL,
    show_default=True,
    help="Spark in one process, or a cluster of a master and two workers.",
)
@verb
@limited
def command(  # noqa: PLR0913 - an argument for each option
    context: Context,
    *,
    reviews: Path | None,
    count: int | None,
    keep: bool,
    real_model: bool,
    where: str,
) -> None:
    """Run the whole pipeline here: file, TCP, Spark, model, Kafka, Connect, Elasticsearch.

    The servers are real and end with the demo; the model is a mock endpoint that answers by a
    lexicon. The exit code is 0 only if everything adds up.
    """
    if reviews and count:
        raise click.UsageError("--count is for the sample; with --reviews the whole file is read")
    if real_model and context.settings.openai.api_key is None:
        raise ConfigError("--real-model: set OPENAI_API_KEY")
    if reviews is not None:
        _refuse_no_review(context, reviews)
    use_java()
    with _running(
        context, reviews, count or COUNT, real_model=real_model, cluster=where == CLUSTER
    ) as (settings, shown, spark):
        result = _Flow(context, settings, shown, is_mock=not real_model).run(spark)
        present(context, settings, result)
        if context.json:
            context.emit(as_json(result))
        if keep:
            leave_running(context, settings, real_model=real_model)
        elif result.adds_up:
            say_next(context, real_model=real_model)
    sys.exit(DONE if result.adds_up else FINDINGS)


@contextmanager
def _running(
    context: Context, reviews: Path | None, count: int, *, real_model: bool, cluster: bool
) -> "Iterator[tuple[Settings, Steps, SparkSession]]":
    """Run the servers and Spark; yield their settings, the display of steps, and the session."""
    began = time.monotonic()
    with (
        ending("ending Spark and the servers", ENDING),
        steps(context.progress, context.console) as shown,
        scratch() as folder,
        local_stack(
            context.settings,
            reviews or _sample(folder / "review.json", count),
            folder,
            shown,
            real_model=real_model,
            cluster=cluster,
        ) as servers,
        _spark(servers.spark, shown) as spark,
        shown.after("Stopping Spark and the servers"),
    ):
        settings = servers.settings()
        context.console.print(
            f"Spark runs on {spark.sparkContext.master}; all servers are up after"
            f" {time.monotonic() - began:.1f} s."
        )
        yield settings, shown, spark


def _refuse_no_review(context: Context, file: Path) -> None:
    """Exit with findings, before anything is started, if no line of a file is a review."""
    from reviewstream.cli.sources import lines_of
    from reviewstream.core.transport.inspection import Inspection

    seen = Inspection()
    with lines_of(context, str(file)) as lines:
        if not seen.has_review(lines):
            click.echo(plain(f"reviewstream: {seen.verdict(str(file))}"), err=True)
            sys.exit(FINDINGS)


def _sample(file: Path, count: int) -> Path:
    from reviewstream.samples import write_sample

    write_sample(file, count, seed=SEED)
    return file


@contextmanager
def _spark(settings: Callable[[], SparkSettings], shown: Steps) -> "Iterator[SparkSession]":
    from reviewstream.spark.jvm import spark_running
    from reviewstream_testbed.installation.spark_class_data import OPTIONS, short_run_options

    os.environ.setdefault(OPTIONS, short_run_options())
    with ExitStack() as stack:
        with shown.step("Spark", "Spark is up"):
            spark = stack.enter_context(spark_running(settings()))
        yield spark


class _Flow:
    """One run from the file to the index."""

    def __init__(
        self, context: Context, settings: Settings, shown: Steps, *, is_mock: bool
    ) -> None:
        from reviewstream import app

        self._context = context
        self._settings = settings
        self._steps = shown
        self._log = app.open_log(settings.kafka)
        self._index = app.open_index(settings)
        # The micro-batch is long, so a small ledger of this run counts the labels before it ends.
        self._ledger = app.open_archive(settings.ledger) if is_mock else None

    def run(self, spark: "SparkSession") -> DemoResult:
        """Stream all reviews, wait for the index, and compare the stages."""
        from reviewstream.app import prepare
        from reviewstream.cli.sources import served_source
        from reviewstream.core.transport.inspection import Inspection
        from reviewstream.spark.query import start_query

        seen = Inspection()
        with self._steps.step("Topics, schemas, index and connector"):
            prepare(self._settings)
            total = self._lines()
        with self._steps.step("Spark's query"):
            running = start_query(spark, self._settings, available_now=True)
        began = time.monotonic()
        with stages(self._context.progress, self._context.console) as bars:
            counts = watch(running, lambda so_far: self._tell(bars, so_far, total))

            def tell(stage: str, done: int, total: int) -> None:
                if stage == "index":
                    bars.update("indexed", done, total)

            wanted = comparison(self._settings, tell, seconds=QUIET)
            with served_source(self._settings.source) as (name, lines):
                sums = wanted.run(name, seen.watched(lines))
        return DemoResult(
            sums=sums,
            labelled=counts.labelled,
            seconds=round(time.monotonic() - began, 1),
            bad_lines=seen.reasons(),
        )

    def _lines(self) -> int:
        """Return the number of lines that are not blank."""
        from reviewstream.cli.sources import served_source
        from reviewstream.core.records.parsing import is_blank
        from reviewstream.core.transport.framing import Oversized

        with served_source(self._settings.source) as (_, lines):
            return sum(isinstance(line, Oversized) or not is_blank(line.data) for line in lines)

    def _tell(self, bars: Stages, counts: Counts, total: int) -> None:
        """Update the stages, last one first, so that no stage is ahead of an earlier one."""
        good = total - counts.rejected
        indexed = min(self._index.count(), good)
        offsets = self._log.end_offsets(self._settings.kafka.labelled_topic).values()
        published = max(indexed, min(sum(offsets), good))  # the end of a transaction has one too
        bought = self._bought() if total <= SMALL else counts
        labelled = max(published, counts.labelled, min(bought.labelled, good))
        note = spending(bought.tokens, bought.cost_micro_usd, rate=counts.rate)
        bars.update("read", labelled + counts.rejected, total)
        bars.update("labelled", labelled, good, note)
        bars.update("published", published, good)
        bars.update("indexed", indexed, good)

    def _bought(self) -> Counts:
        from reviewstream.core.labelling.ledger.maintenance import holdings

        if self._ledger is None:
            return Counts()
        held = holdings(self._ledger)
        return Counts(
            labelled=sum(one.labels for one in held),
            tokens=sum(one.prompt_tokens + one.completion_tokens for one in held),
            cost_micro_usd=sum(one.cost_micro_usd for one in held),
        )
