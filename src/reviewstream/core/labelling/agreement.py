"""Agreement between labels and expected sentiments: counts, and the scores computed from them."""

from collections import Counter
from collections.abc import Mapping
from typing import Final, TypeAlias

from msgspec import Struct

from reviewstream.core.records.reviews import Sentiment

NEGATIVE_UP_TO: Final = 2.0  # stars
POSITIVE_FROM: Final = 4.0  # stars

Cells: TypeAlias = Mapping[tuple[Sentiment, Sentiment], int]
"""Number of documents by (expected sentiment, label); pairs that do not occur are absent."""


class Scores(Struct, frozen=True, kw_only=True):
    """Scores for the agreement of labels with expected sentiments.

    Attributes:
        accuracy: Share of documents with the expected label, 0 to 1.
        macro_f1: Mean of the F1 of each sentiment that occurs, 0 to 1.
        kappa: Cohen's kappa, -1 to 1: agreement beyond chance. None if every document has the same
            expected sentiment and gets that label, because kappa is then undefined.
    """

    accuracy: float
    macro_f1: float
    kappa: float | None


class Tally:
    """A counter of documents by month, expected sentiment and label."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Sentiment, Sentiment]] = Counter()

    def add(
        self, expected: Sentiment, label: Sentiment, *, month: str = "", documents: int = 1
    ) -> None:
        """Count documents; `month` is `2026-11`, or empty if it is unknown."""
        if documents:
            self._counts[month, expected, label] += documents

    @property
    def documents(self) -> int:
        """Total number of documents counted."""
        return self._counts.total()

    def months(self) -> list[str]:
        """Return the known months in ascending order."""
        return sorted({month for month, *_ in self._counts if month})

    def years(self) -> list[str]:
        """Return the known years in ascending order."""
        return sorted({month.rpartition("-")[0] for month in self.months()})

    def cells(self, period: str = "") -> Cells:
        """Return the counts of a month or year, or of all documents by default."""
        found: Counter[tuple[Sentiment, Sentiment]] = Counter()
        for (month, expected, label), documents in self._counts.items():
            if f"{month}-".startswith(f"{period}-" if period else ""):
                found[expected, label] += documents
        return dict(found)


def suggested(stars: float) -> Sentiment:
    """Return the sentiment that a star rating suggests."""
    if stars <= NEGATIVE_UP_TO:
        return Sentiment.NEGATIVE
    return Sentiment.POSITIVE if stars >= POSITIVE_FROM else Sentiment.NEUTRAL
