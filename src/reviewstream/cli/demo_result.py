"""The demo's result: counts, an excerpt of the index, and the next steps."""

import json
import shlex
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING, Final

from rich.table import Table

from reviewstream.cli.context import Context
from reviewstream.cli.local import MOCK_KEY
from reviewstream.cli.reconcile import findings
from reviewstream.cli.terminal import plain
from reviewstream.core.reconcile.rules import Fault
from reviewstream.settings import Settings

if TYPE_CHECKING:
    from reviewstream.core.reconcile.reconciliation import Reconciliation

COUNTS: Final = ("read", "blank", "labelled", "rejected", "published", "indexed")
QUERY: Final = "delicious | friendly | terrible"
HITS: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoResult:
    """The outcome of a demo.

    Attributes:
        labelled: Number of labelled reviews that the query counted.
        seconds: From the first line to the last document.
        bad_lines: The most frequent reasons for lines that are not reviews; empty without such.
    """

    sums: "Reconciliation"
    labelled: int
    seconds: float
    bad_lines: str

    @property
    def adds_up(self) -> bool:
        """Say whether no review is missing and none is doubled."""
        return self.sums.adds_up and self.labelled == self.sums.labelled.records


def say_next(context: Context, *, real_model: bool) -> None:
    """Print the origin of the labels, and suggest next commands."""
    if not real_model:
        context.console.print(
            "The labels come from a word list (VADER), not from a language model. Next:\n"
            "  reviewstream demo --real-model     # the model of your OPENAI_API_KEY"
        )
    context.console.print("  reviewstream demo --reviews FILE   # reviews of your own")
    context.console.print("  reviewstream plan FILE             # what labelling them would cost")


def present(context: Context, settings: Settings, result: DemoResult) -> None:
    """Print the counts, an excerpt of the index, and the differences."""
    console = context.console
    counts = {name: value for name, value in as_json(result).items() if name in COUNTS}
    table = Table(title=f"{counts['read']} lines in {result.seconds:g} s", title_justify="left")
    for name in counts:
        table.add_column(name, justify="right")
    table.add_row(*map(str, counts.values()))
    console.print(table)
    _present_index(context, settings)
    if result.bad_lines:
        console.print(plain(f"No reviews: {result.bad_lines}"), markup=False, soft_wrap=True)
    console.print(*findings(result.sums), sep="\n", end="")
    console.print(
        "[green]Everything adds up.[/]" if result.adds_up else "[red]It does not add up.[/]"
    )


def _present_index(context: Context, settings: Settings) -> None:
    """Print results of the index: sentiment by stars, and a search with highlighted matches."""
    from reviewstream.app import open_index
    from reviewstream.cli.report import sentiment_table
    from reviewstream.cli.search import hits_table
    from reviewstream.core.index.searching import Query, report, search

    index = open_index(settings)
    context.console.print(sentiment_table("stars", report(index).by_stars))
    context.console.print(f"search {QUERY!r}: ", end="", markup=False)
    context.console.print(hits_table(search(index, Query(text=QUERY, limit=HITS))))


def leave_running(context: Context, settings: Settings, *, real_model: bool) -> None:
    """Print the servers' addresses, and keep them running until Ctrl-C."""
    addresses: dict[str, object] = {
        "REVIEWSTREAM_SOURCE__PORT": settings.source.port,
        "REVIEWSTREAM_KAFKA__BOOTSTRAP_SERVERS": settings.kafka.bootstrap_servers,
        "REVIEWSTREAM_REGISTRY__URL": settings.registry.url,
        "REVIEWSTREAM_REGISTRY__AUTO_REGISTER": "true",
        "REVIEWSTREAM_CONNECT__URL": settings.connect.url,
        "REVIEWSTREAM_CONNECT__CONNECTOR_CLASS": settings.connect.connector_class,
        "REVIEWSTREAM_CONNECT__VALUE_CONVERTER": settings.connect.value_converter,
        "REVIEWSTREAM_CONNECT__VALUE_CONVERTER_CONFIG": json.dumps(
            settings.connect.value_converter_config
        ),
        "REVIEWSTREAM_ELASTICSEARCH__URL": settings.elasticsearch.url,
        "OPENAI_BASE_URL": settings.openai.base_url,
    }
    if not real_model:
        addresses["OPENAI_API_KEY"] = MOCK_KEY
    if settings.spark.master:
        addresses["REVIEWSTREAM_SPARK__MASTER"] = settings.spark.master
    context.console.print("\nThe servers run until Ctrl-C. In another terminal:\n")
    for name, value in addresses.items():
        line = f"  export {name}={shlex.quote(str(value))}"
        context.console.print(line, markup=False, soft_wrap=True)
    context.console.print("  reviewstream search 'good food'\n  reviewstream report")
    Event().wait()


def as_json(result: DemoResult) -> dict[str, object]:
    """Return the counts, and the ids of missing and doubled reviews."""
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
        "seconds": result.seconds,
    }
