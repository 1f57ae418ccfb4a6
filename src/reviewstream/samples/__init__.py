"""Reviews written for this project, and a generator of any number of variations.

`reviews.jsonl` has the format of the Yelp Open Dataset's `review.json`, plus the field `language`.
The reviews are in many scripts, with emoji, irony and mixed feelings.
"""

import re
from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from itertools import islice
from pathlib import Path
from random import Random

from msgspec import Struct, json

__all__ = ["MAX_TEXT", "MIN_TEXT", "SampleReview", "expand", "shipped", "write_sample"]

MIN_TEXT = 10  # characters
MAX_TEXT = 4_000  # characters

_ID_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
_FIRST_DATE = datetime(2016, 1, 1)  # noqa: DTZ001 - `date` of review.json has no zone
_DAYS = 3_800  # until May 2026
# The end of a sentence and the white space after it, kept to preserve paragraphs.
_GAP = re.compile(r"((?<=[.!?…؟।])\s+|(?<=[。!?])\s*)")
_TAILS = {
    "good": ("👍", "😊", "🙏", "💯", "❤️", "✨", "🎉", "😋"),
    "mixed": ("🤷", "🤔", "😐", "😅", "🙂", "⚖️", "👀", "😶"),
    "bad": ("👎", "😠", "😞", "🙄", "💔", "😤", "🤦", "😒"),
}


class SampleReview(Struct, frozen=True, kw_only=True):
    """One review in the format of `review.json`, with that file's field names.

    Attributes:
        review_id: 22 characters, as are the other two ids.
        date: `YYYY-MM-DD HH:MM:SS`.
    """

    review_id: str
    user_id: str
    business_id: str
    stars: float
    useful: int
    funny: int
    cool: int
    text: str
    date: str


class _Written(SampleReview, frozen=True, kw_only=True):
    language: str

    @property
    def pool(self) -> tuple[str, str]:
        """Return the language and the feeling; reviews of one pool exchange sentences."""
        feeling = "bad" if self.stars < 3 else "mixed" if self.stars < 4 else "good"
        return self.language, feeling

    @property
    def pieces(self) -> list[str]:
        """Return the sentences at even indexes and the white space between them at odd ones."""
        return _GAP.split(self.text)


class _Dice:
    """Seeded random choices, made of `Random.random` only: its values are equal on every Python."""

    def __init__(self, seed: int) -> None:
        self._random = Random(seed).random  # noqa: S311 - variety, not secrecy

    def below(self, limit: int) -> int:
        return int(self._random() * limit)

    def happens(self, probability: float) -> bool:
        return self._random() < probability

    def pick(self, items: tuple[str, ...]) -> str:
        return items[self.below(len(items))]

    def identifier(self) -> str:
        return "".join(_ID_CHARACTERS[self.below(64)] for _ in range(22))

    def votes(self) -> int:
        return int(3 * self._random() ** 4 / (1.02 - self._random()))


class _Stock(Struct, frozen=True):
    """The material of the generator, read once."""

    reviews: tuple[_Written, ...]
    sentences: dict[tuple[str, str], tuple[str, ...]]
    users: tuple[str, ...]
    businesses: dict[str, tuple[str, ...]]


@cache
def _stock() -> _Stock:
    data = files(__package__).joinpath("reviews.jsonl").read_bytes()
    reviews = tuple(json.decode(line, type=_Written) for line in data.splitlines())
    sentences: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
    businesses: dict[str, dict[str, None]] = defaultdict(dict)
    for review in reviews:
        sentences[review.pool].update(dict.fromkeys(filter(None, review.pieces[::2])))
        businesses[review.language][review.business_id] = None
    return _Stock(
        reviews,
        {pool: tuple(found) for pool, found in sentences.items()},
        tuple(dict.fromkeys(review.user_id for review in reviews)),
        {language: tuple(found) for language, found in businesses.items()},
    )


def shipped() -> tuple[SampleReview, ...]:
    """Return the original reviews, without `language`."""
    fields = SampleReview.__struct_fields__
    return tuple(
        SampleReview(**{name: getattr(review, name) for name in fields})
        for review in _stock().reviews
    )


def expand(count: int, *, seed: int = 0) -> Iterator[bytes]:
    """Yield lines of JSON, each with its newline: the shipped reviews first, then variations.

    The same seed gives the same bytes on every machine; a smaller count gives a prefix of them.

    Args:
        count: Number of lines.
        seed: Seed of the variations.
    """
    reviews = islice(_endless(_Dice(seed)), count)
    return (json.encode(review) + b"\n" for review in reviews)


def write_sample(path: Path, count: int, *, seed: int = 0) -> None:
    """Write `expand(count, seed=seed)` to a file, replacing its content."""
    with path.open("wb") as file:
        file.writelines(expand(count, seed=seed))


def _endless(dice: _Dice) -> Iterator[SampleReview]:
    yield from shipped()
    reviews = _stock().reviews
    while True:
        yield _vary(reviews[dice.below(len(reviews))], dice)


def _vary(review: _Written, dice: _Dice) -> SampleReview:
    users = _stock().users
    return SampleReview(
        review_id=dice.identifier(),
        user_id=dice.pick(users) if dice.happens(0.2) else dice.identifier(),
        business_id=dice.pick(_stock().businesses[review.language]),
        stars=review.stars,
        useful=dice.votes(),
        funny=dice.votes(),
        cool=dice.votes(),
        text=_vary_text(review, dice),
        date=str(_FIRST_DATE + timedelta(seconds=dice.below(_DAYS * 86_400))),
    )


def _vary_text(review: _Written, dice: _Dice) -> str:
    """Replace about half of the sentences; where that changes little, add emoji."""
    pieces, pool = review.pieces, _stock().sentences[review.pool]
    for place in range(0, len(pieces), 2):
        other = dice.pick(pool)
        if pieces[place] and other not in pieces and dice.happens(0.5):
            pieces[place] = other
    if len(pool) * len(pieces) < 300 or dice.happens(0.1) or "".join(pieces) == review.text:
        tails = _TAILS[review.pool[1]]
        pieces += [" ", *(dice.pick(tails) for _ in range(1 + dice.below(3)))]
    text = "".join(pieces)
    return text if MIN_TEXT <= len(text) <= MAX_TEXT else review.text
