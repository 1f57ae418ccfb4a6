"""Scores, against their definitions; and the picture of them."""

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.adapters.plots import plot_evaluation
from reviewstream.adapters.scores import score
from reviewstream.core.labelling.agreement import Cells, Scores
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import ConfigError

POSITIVE, NEUTRAL, NEGATIVE = Sentiment

pairs = st.tuples(st.sampled_from(Sentiment), st.sampled_from(Sentiment))
matrices = st.dictionaries(pairs, st.integers(1, 1_000), min_size=1)


def _kappa(cells: Cells) -> float:
    total = sum(cells.values())
    rows: Counter[Sentiment] = Counter()
    columns: Counter[Sentiment] = Counter()
    for (expected, label), documents in cells.items():
        rows[expected] += documents
        columns[label] += documents
    agreed = sum(cells.get((one, one), 0) for one in Sentiment) / total
    by_chance = sum(rows[one] * columns[one] for one in Sentiment) / total**2
    return (agreed - by_chance) / (1 - by_chance)


def _f1(cells: Cells, one: Sentiment) -> float:
    hits = cells.get((one, one), 0)
    expected = sum(documents for (row, _), documents in cells.items() if row == one)
    labelled = sum(documents for (_, column), documents in cells.items() if column == one)
    return 2 * hits / (expected + labelled)


@given(matrices)
def test_scores_are_what_their_definitions_say(
    cells: dict[tuple[Sentiment, Sentiment], int],
) -> None:
    scores = score(cells)
    there = {name for pair in cells for name in pair}
    agreed = sum(cells.get((one, one), 0) for one in Sentiment)
    assert scores.accuracy == pytest.approx(agreed / sum(cells.values()))
    assert scores.macro_f1 == pytest.approx(sum(_f1(cells, one) for one in there) / len(there))
    if len(there) == 1:
        assert scores.kappa is None
    else:
        assert scores.kappa == pytest.approx(_kappa(cells), abs=1e-9)


def test_one_sentiment_alone_has_no_kappa() -> None:
    assert score({(POSITIVE, POSITIVE): 7}) == Scores(accuracy=1.0, macro_f1=1.0, kappa=None)


def test_labels_that_are_always_wrong_are_worse_than_chance() -> None:
    scores = score({(POSITIVE, NEGATIVE): 5, (NEGATIVE, POSITIVE): 5})
    assert (scores.accuracy, scores.macro_f1, scores.kappa) == (0.0, 0.0, -1.0)


MONTHS = [
    ("2019-12", Scores(accuracy=0.5, macro_f1=0.4, kappa=-0.2)),
    ("2020-01", Scores(accuracy=1.0, macro_f1=1.0, kappa=None)),
]


@pytest.mark.parametrize("months", [[], MONTHS[:1], MONTHS, MONTHS * 30])
def test_a_picture_is_a_png(tmp_path: Path, months: list[tuple[str, Scores]]) -> None:
    path = tmp_path / "agreement.png"
    cells = {(POSITIVE, POSITIVE): 9, (NEUTRAL, NEGATIVE): 1}
    plot_evaluation(path, title="10 labels against stars", cells=cells, months=months)
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("name", ["missing/x.png", "x.docx"])
def test_a_picture_that_cannot_be_written_is_one_sentence(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot write the plot to .*: "):
        plot_evaluation(tmp_path / name, title="", cells={(POSITIVE, POSITIVE): 1}, months=[])
