# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""The documents: the connector that writes them, their index, and their evaluation."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from reviewstream.core.index.ports import ConnectCluster, SearchIndex
from reviewstream.core.labelling.agreement import Cells, Scores
from reviewstream.settings import ConnectSettings, Settings


def open_connect(settings: ConnectSettings) -> ConnectCluster:
    """Return a client of Kafka Connect."""
    from reviewstream.adapters.connect.connect_cluster import KafkaConnectCluster

    return KafkaConnectCluster(settings)


def connector_config(settings: Settings) -> dict[str, str]:
    """Return the connector's configuration; see `adapters.connect.connector_config`."""
    from reviewstream.adapters.connect.connector_config import connector_config

    return connector_config(settings)


def without_secrets(config: Mapping[str, str]) -> dict[str, str]:
    """Return a connector's configuration with its secrets masked."""
    from reviewstream.adapters.connect.connector_config import without_secrets

    return without_secrets(config)


def failure_advice(failure: str) -> str:
    """Return advice about a connector's failure, or an empty string."""
    from reviewstream.adapters.connect.connector_config import failure_advice

    return failure_advice(failure)


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
