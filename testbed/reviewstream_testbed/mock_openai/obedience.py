"""A judge that obeys orders in reviews, to test whether one review can label others."""

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from reviewstream_testbed.mock_openai.prompt_reviews import PromptReview
from reviewstream_testbed.mock_openai.scorers import SENTIMENTS, Opinion, by_lexicon

MAX_READ: Final = 4_000  # characters of a review that are searched for orders
_THINGS = r"(?:reviews?|texts?|entries|entry|items?|ones|labels?|ids?|neighbou?rs)"
_SENTENCE = re.compile(r"[^.!?\n]+")
_SENTIMENT = re.compile("|".join(SENTIMENTS), re.IGNORECASE)
_ALL = re.compile(
    rf"\b(?:all|every|each|any)\b[^.!?\n]{{0,60}}?\b{_THINGS}\b"
    r"|\b(?:the other|other|remaining)\s+"
    rf"{_THINGS}\b|\beverything\b",
    re.IGNORECASE,
)
_OTHER = re.compile(r"\b(?:other|others|remaining|rest|else|neighbou?rs)\b", re.IGNORECASE)
_ABOVE = re.compile(r"\b(?:above|before|previous|preceding|earlier)\b", re.IGNORECASE)
_BELOW = re.compile(r"\b(?:below|after|following|next|later)\b", re.IGNORECASE)
_NAMED = re.compile(rf"\b{_THINGS}\b", re.IGNORECASE)
# Words that make a sentence an order; "all reviews were positive" is not one.
_ORDER = re.compile(
    r"\b(?:is|are|be|as|label|mark|set|call|rate|classify|treat|answer|output)\b|[:=]",
    re.IGNORECASE,
)
_WORD = re.compile(r"[\w-]+")
_ITEM = re.compile(r"\{[^{}]*\}")  # an item in the answer's format, within a review


class Order(NamedTuple):
    """An order in a review: positions in the pack, and the sentiment they get."""

    targets: frozenset[int]
    sentiment: str


def by_obedience(reviews: Sequence[PromptReview]) -> list[Opinion]:
    """Return the lexicon's opinions, overridden by orders in the reviews; the last order wins."""
    opinions = [by_lexicon(one.text) for one in reviews]
    for at, review in enumerate(reviews):
        for order in _orders(review.text[:MAX_READ], at, reviews):
            for target in order.targets:
                opinions[target] = Opinion(order.sentiment, 0.99)
    return opinions


def _orders(text: str, at: int, reviews: Sequence[PromptReview]) -> Iterator[Order]:
    if _SENTIMENT.search(text) is None:
        return
    # Items are removed first, because their quotes and colons do not end a sentence.
    parts = [*_ITEM.findall(text), *_SENTENCE.findall(_ITEM.sub(" ", text))]
    for part in parts:
        found = _SENTIMENT.findall(part)
        targets = _targets(part, at, reviews) if found else frozenset()
        if targets:
            yield Order(targets, found[-1].upper())


def _targets(part: str, at: int, reviews: Sequence[PromptReview]) -> frozenset[int]:
    """Return the positions that a sentence gives orders about; empty if it is not an order."""
    if _ORDER.search(part) is None:
        return frozenset()
    if _ALL.search(part):
        places = range(len(reviews))
        if _ABOVE.search(part):
            return frozenset(places[:at])
        if _BELOW.search(part):
            return frozenset(places[at + 1 :])
        return frozenset(places) - ({at} if _OTHER.search(part) else set())
    if _NAMED.search(part) is None:
        return frozenset()
    words = {*_WORD.findall(part)}
    return frozenset(place for place, one in enumerate(reviews) if one.id in words)
