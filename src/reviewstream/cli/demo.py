"""`reviewstream demo`: the whole pipeline, on real servers, on this machine, checked."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

import click
from rich.table import Table

from reviewstream.cli.context import DONE, FINDINGS, Context, verb
from reviewstream.cli.limits import limited
from reviewstream.cli.local import local_stack, scratch, use_java
from reviewstream.cli.progress import Stages, stages
from reviewstream.cli.reconcile import comparison, findings
from reviewstream.cli.streaming import Counts, watch
from reviewstream.core.audit import Fault
from reviewstream.errors import ConfigError
from reviewstream.settings import Settings, SparkSettings

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from reviewstream.pipeline.reconcile import Reconciliation

COUNTS: Final = ("read", "blank", "labelled", "rejected", "published", "indexed")
LOCAL: Final = "local"
CLUSTER: Final = "cluster"
COUNT: Final = 500  # reviews, unless told otherwise
SEED: Final = 7
QUERY: Final = "delicious | friendly | terrible"
HITS: Final = 3
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
    started = time.monotonic()
    use_java()
    context.console.print("Starting Kafka, Schema Registry, Connect, Elasticsearch and Spark ...")
    with (
        scratch() as folder,
        local_stack(
            context.settings,
            reviews or _sample(folder / "review.json", count or COUNT),
            folder,
            real_model=real_model,
            cluster=where == CLUSTER,
        ) as servers,
        _spark(servers.spark()) as spark,
    ):
        context.console.print(f"Spark runs on {spark.sparkContext.master}.")
        settings = servers.settings()
        with stages(context.progress, context.console) as shown:
            result = _Flow(settings, shown).run(spark)
        seconds = round(time.monotonic() - started, 1)
        _present(context, settings, result, seconds)
        if context.json:
            context.emit(_as_json(result, seconds))
        if keep:
            _keep(context, settings)
    sys.exit(DONE if result.adds_up else FINDINGS)


def _sample(file: Path, count: int) -> Path:
    from reviewstream.samples import write_sample

    write_sample(file, count, seed=SEED)
    return file


@contextmanager
def _spark(settings: SparkSettings) -> "Iterator[SparkSession]":
    from reviewstream.spark.session import spark_session

    # It lives for a minute: its JVM would spend half of its time on making itself fast.
    os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")
    spark = spark_session(settings)
    try:
        yield spark
    finally:
        spark.stop()


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of the reviews.

    Attributes:
        labelled: As the query counted them.
    """

    sums: "Reconciliation"
    labelled: int

    @property
    def adds_up(self) -> bool:
        """Say whether nothing is lost and nothing is there twice."""
        return self.sums.adds_up and self.labelled == self.sums.labelled.records


class _Flow:
    """One run from the file to the index."""

    def __init__(self, settings: Settings, shown: Stages) -> None:
        from reviewstream import app

        self._settings = settings
        self._shown = shown
        self._log = app.open_log(settings.kafka)
        self._index = app.open_index(settings)

    def run(self, spark: "SparkSession") -> Result:
        """Stream everything, wait for the index, and compare the stages."""
        from reviewstream.app import prepare
        from reviewstream.cli.reading import served_source
        from reviewstream.spark.query import start_query

        prepare(self._settings)
        total = self._lines()
        running = start_query(spark, self._settings, available_now=True)
        counts = watch(running, lambda so_far: self._tell(so_far, total))
        wanted = comparison(self._settings, self._tell_index, seconds=QUIET)
        with served_source(self._settings.source) as (name, lines):
            return Result(sums=wanted.run(name, lines), labelled=counts.labelled)

    def _lines(self) -> int:
        """Return how many lines there are that are not blank."""
        from reviewstream.cli.reading import served_source
        from reviewstream.core.parsing import is_blank
        from reviewstream.wire.framing import Oversized

        with served_source(self._settings.source) as (_, lines):
            return sum(isinstance(line, Oversized) or not is_blank(line.data) for line in lines)

    def _tell(self, counts: Counts, total: int) -> None:
        good = total - counts.rejected
        offsets = self._log.end_offsets(self._settings.kafka.labelled_topic).values()
        published = min(sum(offsets), good)  # the end of a transaction takes an offset too
        self._shown.update("read", counts.labelled + counts.rejected, total)
        self._shown.update("labelled", counts.labelled, good)
        self._shown.update("published", published, good)
        self._shown.update("indexed", self._index.count(), good)

    def _tell_index(self, stage: str, done: int, total: int) -> None:
        if stage == "index":
            self._shown.update("indexed", done, total)


def _present(context: Context, settings: Settings, result: Result, seconds: float) -> None:
    console = context.console
    counts = {name: value for name, value in _as_json(result, seconds).items() if name in COUNTS}
    table = Table(title=f"{counts['read']} reviews in {seconds:g} s", title_justify="left")
    for name in counts:
        table.add_column(name, justify="right")
    table.add_row(*map(str, counts.values()))
    console.print(table)
    _present_index(context, settings)
    console.print(*findings(result.sums), sep="\n", end="")
    console.print(
        "[green]Everything adds up.[/]" if result.adds_up else "[red]It does not add up.[/]"
    )


def _present_index(context: Context, settings: Settings) -> None:
    """Show what the index answers: sentiment by stars, and a search with its matches marked."""
    from reviewstream.app import open_index
    from reviewstream.cli.report import sentiment_table
    from reviewstream.cli.search import hits_table
    from reviewstream.pipeline.search import Query, report, search

    index = open_index(settings)
    context.console.print(sentiment_table("stars", report(index).by_stars))
    context.console.print(f"search {QUERY!r}: ", end="", markup=False)
    context.console.print(hits_table(search(index, Query(text=QUERY, limit=HITS))))


def _keep(context: Context, settings: Settings) -> None:
    """Leave the servers to the user until Ctrl-C, and say where they are."""
    addresses = {
        "REVIEWSTREAM_SOURCE__PORT": settings.source.port,
        "REVIEWSTREAM_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "REVIEWSTREAM_REGISTRY__URL": settings.registry.url,
        "REVIEWSTREAM_CONNECT__URL": settings.connect.url,
        "REVIEWSTREAM_ELASTICSEARCH__URL": settings.elasticsearch.url,
        "OPENAI_BASE_URL": settings.openai.base_url,
    }
    if settings.spark.master:
        addresses["REVIEWSTREAM_SPARK__MASTER"] = settings.spark.master
    context.console.print("\nThe servers run until Ctrl-C. In another terminal:\n")
    for name, value in addresses.items():
        context.console.print(f"  export {name}={value}", markup=False, soft_wrap=True)
    context.console.print("  reviewstream search 'good food'\n  reviewstream report")
    with suppress(KeyboardInterrupt):
        Event().wait()


def _as_json(result: Result, seconds: float) -> dict[str, object]:
    sums = result.sums
    return {
        "read": sums.source.lines,
        "blank": sums.source.blank,
        "labelled": result.labelled,
        "rejected": sums.rejected.records,
        "published": sums.labelled.records,
        "indexed": sums.documents,
        "missing": sums.ids(Fault.MISSING),
        "doubled": sums.ids(Fault.DOUBLED),
        "seconds": seconds,
    }
