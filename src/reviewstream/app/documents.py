# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""The documents: the connector that writes them, their index, and their evaluation."""

from collections.abc import Sequence
from pathlib import Path

from reviewstream.core.index.ports import ConnectCluster, SearchIndex
from reviewstream.core.labelling.agreement import Cells, Scores
from reviewstream.settings import ConnectSettings, Settings


def open_connect(settings: ConnectSettings) -> ConnectCluster:
    """Return a client of Kafka Connect."""
    from reviewstream.adapters.connect import KafkaConnectCluster

    return KafkaConnectCluster(settings)


def open_index(settings: Settings) -> SearchIndex:
    """Return the index of the labelled reviews."""
    from reviewstream.adapters.elasticsearch_index import ElasticsearchIndex

    return ElasticsearchIndex(settings.elasticsearch)


def score(cells: Cells) -> Scores:
    """Return the scores of a confusion matrix with at least one document."""
    from reviewstream.adapters.scores import score

    return score(cells)


def plot_evaluation(
    path: Path, *, title: str, cells: Cells, months: Sequence[tuple[str, Scores]]
) -> None:
    """Draw an evaluation to a file; see `adapters.plots.plot_evaluation`."""
    from reviewstream.adapters.plots import plot_evaluation

    plot_evaluation(path, title=title, cells=cells, months=months)
