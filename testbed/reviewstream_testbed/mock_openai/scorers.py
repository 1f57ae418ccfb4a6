"""Judges of one text: a lexicon, or a checksum for benchmarks that ignore the labels."""

import zlib
from functools import cache, lru_cache
from statistics import fmean
from typing import Final, NamedTuple

from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

PIECE: Final = 1_000  # characters that are judged together
MAX_READ: Final = 16_000  # characters; the rest of a text is ignored
NEUTRAL_BELOW: Final = 0.05  # the lexicon's own threshold for its compound score
SENTIMENTS: Final = ("POSITIVE", "NEUTRAL", "NEGATIVE")


class Opinion(NamedTuple):
    """A sentiment and the judge's confidence in it, from 0 to 1."""

    sentiment: str
    confidence: float


@lru_cache(maxsize=4096)
def by_lexicon(text: str) -> Opinion:
    """Return the lexicon's opinion of a text: the mean over its pieces.

    The text is split because the lexicon's time grows with the square of the length.
    """
    pieces = [text[at : at + PIECE] for at in range(0, min(len(text), MAX_READ), PIECE)] or [""]
    compound = fmean(_analyzer().polarity_scores(piece)["compound"] for piece in pieces)
    if abs(compound) < NEUTRAL_BELOW:
        return Opinion("NEUTRAL", round(1 - abs(compound), 2))
    return Opinion("POSITIVE" if compound > 0 else "NEGATIVE", round(0.5 + abs(compound) / 2, 2))


def by_hash(text: str) -> Opinion:
    """Return an arbitrary opinion, derived from a checksum of the text; takes a microsecond."""
    number = zlib.crc32(text.encode(errors="replace"))
    return _DRAWN[number % len(_DRAWN)]


# All opinions that `by_hash` can return, created once.
_DRAWN: Final = tuple(
    Opinion(sentiment, hundredths / 100)
    for hundredths in range(50, 100)
    for sentiment in SENTIMENTS
)


@cache
def _analyzer() -> SentimentIntensityAnalyzer:
    return SentimentIntensityAnalyzer()
