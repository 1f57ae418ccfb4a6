"""What every `Sorter` must do; provide `open_sorter`."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.records.ports import Row, Sorter

OpenSorter = Callable[[int], Sorter]

rows = st.lists(
    st.tuples(
        st.integers(-(2**63), 2**63 - 1) | st.integers(0, 2),
        st.text(max_size=5) | st.sampled_from(["a", "a\0", "ß", "\U0001f370", "\uffff"]),
    )
)


class SorterContract:
    def test_rows_come_in_order_each_as_often_as_it_was_added(
        self, open_sorter: OpenSorter
    ) -> None:
        sorter = open_sorter(2)
        sorter.add([(2, "b"), (1, "b")])
        sorter.add(iter([(1, "a"), (2, "b")]))
        sorter.add([])
        assert list(sorter.rows()) == [(1, "a"), (1, "b"), (2, "b"), (2, "b")]
        sorter.close()

    def test_rows_may_be_read_again_and_then_there_may_be_more(
        self, open_sorter: OpenSorter
    ) -> None:
        sorter = open_sorter(1)
        sorter.add([(2,)])
        assert list(sorter.rows()) == list(sorter.rows()) == [(2,)]
        sorter.add([(1,)])
        assert list(sorter.rows()) == [(1,), (2,)]
        sorter.close()

    def test_a_new_one_is_empty(self, open_sorter: OpenSorter) -> None:
        first = open_sorter(1)
        first.add([(1,)])
        second = open_sorter(1)
        assert list(second.rows()) == []
        first.close()
        second.close()

    def test_a_row_of_another_width_is_refused(self, open_sorter: OpenSorter) -> None:
        sorter = open_sorter(2)
        with pytest.raises(Exception, match=" 2"):
            sorter.add([(1,)])
        sorter.close()


def sorts_as_python_does(open_sorter: OpenSorter) -> None:
    @given(st.lists(rows, max_size=3))
    def sort(some: list[list[Row]]) -> None:
        sorter = open_sorter(2)
        for batch in some:
            sorter.add(batch)
        assert list(sorter.rows()) == sorted(row for batch in some for row in batch)
        sorter.close()

    sort()
