"""`reviewstream evaluate`: compares the labels with the stars, or with a person's labels."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reviewstream.cli.context import Context, verb
from reviewstream.cli.report import MONTH, by_period
from reviewstream.core.labelling.agreement import Cells, Scores, Tally
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import PermanentError

if TYPE_CHECKING:
    from reviewstream.core.evaluation.expected import Evaluation


Periods: TypeAlias = tuple[tuple[str, int, Scores], ...]
"""Documents and scores of each month or year."""


class EvaluateResult(msgspec.Struct, frozen=True, kw_only=True):
    """An evaluation with its scores, for all documents and for each month."""

    documents: int
    against: str
    missing: int
    cells: Cells
    scores: Scores
    months: Periods


@click.command("evaluate")
@click.option(
    "--file",
    metavar="FILE",
    help="Labelled reviews as JSON lines; or review_id and sentiment, the labels that reviews of"
    " the index should have.",
)
@click.option("--prompt-version", type=int, help="Only labels of this version (of the index).")
@click.option(
    "--plot", type=click.Path(dir_okay=False, path_type=Path), help="Draw it to this PNG file."
)
@by_period
@verb
def command(
    context: Context, *, file: str | None, prompt_version: int | None, plot: Path | None, by: str
) -> None:
    """Compare the labels of the index with the stars of their reviews.

    Up to 2 stars are taken for NEGATIVE, from 4 for POSITIVE, others for NEUTRAL.
    """
    from reviewstream.app import score

    if file is not None and prompt_version is not None:
        raise click.UsageError("--prompt-version is of the labels in the index: leave out --file")
    found = _evaluated(context, file, prompt_version)
    tally = found.tally
    if not tally.documents:
        raise PermanentError(_nothing(file, found.missing))
    result = EvaluateResult(
        documents=tally.documents,
        against=found.against,
        missing=found.missing,
        cells=tally.cells(),
        scores=score(tally.cells()),
        months=_scored(tally, tally.months()),
    )
    if plot is not None:
        _draw(plot, result)
    if context.json:
        context.emit(as_json(result))
    else:
        periods = result.months if by == MONTH else _scored(tally, tally.years())
        Console(highlight=False).print(evaluation_tables(result, by, periods))


def _scored(tally: Tally, periods: Sequence[str]) -> Periods:
    from reviewstream.app import score

    cells = [(period, tally.cells(period)) for period in periods]
    return tuple((period, sum(found.values()), score(found)) for period, found in cells)


def evaluation_tables(result: EvaluateResult, by: str, periods: Periods) -> RenderableType:
    """Render an evaluation for a terminal, longest part first, because it scrolls away."""
    what = {"stars": "the stars", "gold": "the labels given"}[result.against]
    lines = [f"{result.documents} labels against {what}: {_said(result.scores)}"]
    if result.scores.kappa is None:
        lines.append(
            "All are expected to be alike, and are labelled so: that says nothing of the others."
        )
    if result.missing:
        lines.append(f"{result.missing} reviews of the file are not in the index.")
    return Group(_periods(by, periods), _matrix(result.cells), *map(Text, lines))


def as_json(result: EvaluateResult) -> dict[str, Any]:
    """Return an evaluation as built-in types."""
    return {
        "documents": result.documents,
        "against": result.against,
        "missing": result.missing,
        **msgspec.to_builtins(result.scores),
        "matrix": {
            expected.value: {
                label.value: result.cells.get((expected, label), 0) for label in Sentiment
            }
            for expected in Sentiment
        },
        "by_month": [
            {"month": month, "documents": documents, **msgspec.to_builtins(scores)}
            for month, documents, scores in result.months
        ],
    }


def _evaluated(context: Context, file: str | None, prompt_version: int | None) -> "Evaluation":
    from reviewstream.app import open_index
    from reviewstream.cli.sources import lines_of
    from reviewstream.core.evaluation.expected import evaluate_file, evaluate_index

    if file is None:
        return evaluate_index(open_index(context.settings), prompt_version=prompt_version)
    with lines_of(context, file) as lines:
        return evaluate_file(lines, lambda: open_index(context.settings), file)


def _nothing(file: str | None, missing: int) -> str:
    if missing:
        return f"none of the {missing} reviews in {file} is in the index: is it the right one?"
    if file is not None:
        return f"{file} has no labels: give JSON lines with review_id, sentiment and stars"
    return "the index has no such labels to evaluate: label some reviews first"


def _draw(path: Path, result: EvaluateResult) -> None:
    from reviewstream.app import plot_evaluation

    plot_evaluation(
        path,
        title=f"{result.documents} labels against {result.against}: {_said(result.scores)}",
        cells=result.cells,
        months=[(month, scores) for month, _, scores in result.months],
    )


def _said(scores: Scores) -> str:
    kappa = "" if scores.kappa is None else f", Cohen's kappa {scores.kappa:.3f}"
    return f"accuracy {scores.accuracy:.1%}, macro F1 {scores.macro_f1:.3f}{kappa}"


def _matrix(cells: Cells) -> Table:
    table = Table("expected", title="labelled as", title_justify="right")
    for label in Sentiment:
        table.add_column(label.value.lower(), justify="right")
    for expected in Sentiment:
        counts = [str(cells.get((expected, label), 0)) for label in Sentiment]
        table.add_row(expected.value.lower(), *counts)
    return table


def _periods(by: str, periods: Periods) -> Table:
    table = Table(by)
    for name in ("labels", "accuracy", "macro F1", "kappa"):
        table.add_column(name, justify="right")
    for period, documents, one in periods:
        kappa = "" if one.kappa is None else f"{one.kappa:.3f}"
        table.add_row(period, str(documents), f"{one.accuracy:.1%}", f"{one.macro_f1:.3f}", kappa)
    return table
