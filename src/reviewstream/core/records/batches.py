"""Batching of iterables (`itertools.batched` requires Python 3.12)."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of `size`; the last list may be shorter."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def bounded(
    items: Iterable[T], weigh: Callable[[T], int], *, size: int, room: int
) -> Iterator[list[T]]:
    """Yield the items in lists that are as long as two bounds allow, in order.

    Args:
        items: Items; may be unbounded: only one list is held at a time.
        weigh: Returns the weight of an item: tokens, bytes.
        size: Maximum number of items in a list; at least 1.
        room: Maximum total weight of a list. A heavier item gets a list for itself.
    """
    batch: list[T] = []
    taken = 0
    for item in items:
        weight = weigh(item)
        if batch and (len(batch) == size or taken + weight > room):
            yield batch
            batch, taken = [], 0
        batch.append(item)
        taken += weight
    if batch:
        yield batch
