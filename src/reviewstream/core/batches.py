"""Any number of items, a few at a time (`itertools.batched` is of Python 3.12)."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")


def batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Return the items in lists of `size`, the last one of what is left."""
    rest = iter(items)
    while batch := list(islice(rest, size)):
        yield batch
