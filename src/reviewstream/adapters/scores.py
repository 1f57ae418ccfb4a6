"""Scores of agreement, with scikit-learn."""

from collections.abc import Mapping
from typing import Any

from sklearn.metrics import accuracy_score, cohen_kappa_score, f1_score

from reviewstream.core.labelling.agreement import Cells, Scores


def score(cells: Cells) -> Scores:
    """Return the scores of a confusion matrix with at least one document.

    A sentiment that is neither expected nor assigned does not count.
    """
    expected = [pair[0].value for pair in cells]
    labels = [pair[1].value for pair in cells]
    weights: Mapping[str, Any] = {"sample_weight": list(cells.values())}
    is_one_class = len({*expected, *labels}) == 1
    return Scores(
        accuracy=float(accuracy_score(expected, labels, **weights)),
        macro_f1=float(f1_score(expected, labels, average="macro", zero_division=0, **weights)),
        kappa=None if is_one_class else float(cohen_kappa_score(expected, labels, **weights)),
    )
