"""Lists of bounded size: nothing lost, nothing out of order."""

from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.records.batches import batches, bounded


@given(weights=st.lists(st.integers(1, 30)), size=st.integers(1, 9), room=st.integers(1, 60))
def test_every_item_is_in_one_pack_and_in_its_place(
    weights: list[int], size: int, room: int
) -> None:
    items = list(enumerate(weights))
    packs = list(bounded(items, lambda one: one[1], size=size, room=room))
    assert [one for pack in packs for one in pack] == items
    assert all(1 <= len(pack) <= size for pack in packs)
    assert all(len(pack) == 1 or sum(weight for _, weight in pack) <= room for pack in packs)


@pytest.mark.parametrize(
    ("weights", "room", "packs"),
    [
        ([3, 3, 1], 6, [[3, 3], [1]]),
        ([6, 6], 6, [[6], [6]]),
        ([7, 1, 5, 1], 6, [[7], [1, 5], [1]]),
    ],
)
def test_what_just_fits_fits(weights: list[int], room: int, packs: list[list[int]]) -> None:
    assert list(bounded(weights, int, size=9, room=room)) == packs


@given(count=st.integers(0, 30), size=st.integers(1, 9))
@example(count=9, size=4)
def test_batches_are_full_but_for_the_last_one(count: int, size: int) -> None:
    found = list(batches(iter(range(count)), size))
    assert [one for batch in found for one in batch] == list(range(count))
    assert all(len(batch) == size for batch in found[:-1])
    assert all(1 <= len(batch) <= size for batch in found)


@given(weights=st.lists(st.integers(1, 30)), size=st.integers(1, 9), room=st.integers(1, 60))
def test_a_pack_ends_only_where_the_next_item_does_not_fit(
    weights: list[int], size: int, room: int
) -> None:
    packs = list(bounded(weights, int, size=size, room=room))
    for pack, following in pairwise(packs):
        assert len(pack) == size or sum(pack) + following[0] > room
