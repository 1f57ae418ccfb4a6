"""Packs: texts that share one request, and the division of its cost."""

from functools import cache
from typing import TypeVar

from reviewstream.core.labelling.prompts import (
    PROMPT_VERSION,
    TOKENS_PER_LABEL,
    build_prompt,
    text_tokens,
)

T = TypeVar("T")


def tokens_of(
    text: str, *, version: int = PROMPT_VERSION, tokens_per_label: int = TOKENS_PER_LABEL
) -> int:
    """Return the maximum number of tokens of a text in a request and in its answer."""
    return text_tokens(text, version=version) + tokens_per_label


@cache
def overhead(version: int) -> int:
    """Return the tokens of a request without texts."""
    return build_prompt([], version=version).tokens


def shares(total: int, parts: int) -> list[int]:
    """Split an integer into parts that differ by at most one and sum to it."""
    each, rest = divmod(total, parts)
    return [each + 1] * rest + [each] * (parts - rest)


def halves(items: list[T]) -> tuple[list[T], list[T]]:
    """Split a pack in two; the first half is never the smaller one."""
    middle = (len(items) + 1) // 2
    return items[:middle], items[middle:]
