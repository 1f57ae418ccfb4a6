"""Lists of bounded size: nothing lost, nothing out of order."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.batches import bounded


@given(weights=st.lists(st.integers(1, 30)), size=st.integers(1, 9), room=st.integers(1, 60))
def test_every_item_is_in_one_pack_and_in_its_place(
    weights: list[int], size: int, room: int
) -> None:
    items = list(enumerate(weights))
    packs = list(bounded(items, lambda one: one[1], size=size, room=room))
    assert [one for pack in packs for one in pack] == items
    assert all(1 <= len(pack) <= size for pack in packs)
    assert all(len(pack) == 1 or sum(weight for _, weight in pack) <= room for pack in packs)


@given(weights=st.lists(st.integers(1, 30)), size=st.integers(1, 9), room=st.integers(1, 60))
def test_a_pack_ends_only_where_the_next_item_does_not_fit(
    weights: list[int], size: int, room: int
) -> None:
    packs = list(bounded(weights, int, size=size, room=room))
    for pack, following in pairwise(packs):
        assert len(pack) == size or sum(pack) + following[0] > room
