"""A plot of an evaluation, with matplotlib."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from reviewstream.core.labelling.agreement import Cells, Scores
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import ConfigError

DPI: Final = 120
MAX_TICKS: Final = 12  # month labels below the curve


def plot_evaluation(
    path: Path, *, title: str, cells: Cells, months: Sequence[tuple[str, Scores]]
) -> None:
    """Write the confusion matrix, and the scores by month, to a file.

    Args:
        path: `.png`, or another format that matplotlib writes.
        title: Title of the plot.
        cells: Confusion matrix of all months.
        months: Scores of each month, in order.

    Raises:
        ConfigError: The file cannot be written.
    """
    figure = Figure(figsize=(11, 4.5), dpi=DPI, layout="constrained")
    matrix, curve = figure.subplots(1, 2)
    figure.suptitle(title)
    _draw_matrix(matrix, cells)
    _draw_months(curve, months)
    try:
        figure.savefig(path)
    except (OSError, ValueError) as err:  # ValueError: an unknown format
        raise ConfigError(f"cannot write the plot to {path}: {err}") from err


def _draw_matrix(axes: Axes, cells: Cells) -> None:
    names = list(Sentiment)
    rows = [[cells.get((expected, label), 0) for label in names] for expected in names]
    shares = [[count / max(sum(row), 1) for count in row] for row in rows]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for y, row in enumerate(rows):
        for x, count in enumerate(row):
            share = shares[y][x]
            colour = "white" if share > 0.5 else "black"
            axes.text(x, y, f"{count}\n{share:.0%}", ha="center", va="center", color=colour)
    ticks = range(len(names))
    axes.set_xticks(ticks, [name.value.lower() for name in names])
    axes.set_yticks(ticks, [name.value.lower() for name in names])
    axes.set(xlabel="label", ylabel="expected")


def _draw_months(axes: Axes, months: Sequence[tuple[str, Scores]]) -> None:
    names = [name for name, _ in months]
    kappas = [float("nan") if one.kappa is None else one.kappa for _, one in months]
    axes.plot(names, [one.accuracy for _, one in months], marker="o", label="accuracy")
    axes.plot(names, [one.macro_f1 for _, one in months], marker="o", label="macro F1")
    axes.plot(names, kappas, marker="o", label="Cohen's kappa")
    step = -(-len(names) // MAX_TICKS) or 1
    axes.set_xticks(range(0, len(names), step), names[::step], rotation=45, ha="right")
    lowest = min([one.kappa or 0.0 for _, one in months], default=0.0)
    axes.set(ylim=(lowest - 0.05, 1.05), ylabel="score")
    axes.legend(loc="lower left")
