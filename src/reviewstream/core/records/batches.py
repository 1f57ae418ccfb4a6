"""Any number of items, a few at a time (`itertools.batched` is of Python 3.12)."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Return the items in lists of `size`, the last one of what is left."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch


def bounded(
    items: Iterable[T], weigh: Callable[[T], int], *, size: int, room: int
) -> Iterator[list[T]]:
    """Return the items in lists that are as long as two bounds allow, in their order.

    Args:
        items: As many as there are; no more than one list of them is held at once.
        weigh: Returns what an item takes of the room: tokens, bytes.
        size: Items in a list, at most; at least 1.
        room: For a list's items together. An item that is larger goes alone.
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
