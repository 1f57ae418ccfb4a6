"""What every `NewestVersions` must do; provide `versions`."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.relabel.ports import NewestVersions, VersionSeen

OpenVersions = Callable[[], NewestVersions]


def seen(review_id: str, version: int | None, offset: int = 0, mark: str = "") -> VersionSeen:
    return VersionSeen(review_id=review_id, version=version, partition=1, offset=offset, mark=mark)


sightings = st.builds(
    VersionSeen,
    review_id=st.sampled_from(["a", "b", "ß\0", ""]),
    version=st.none() | st.integers(0, 3) | st.integers(2**58, 2**58 + 1),
    partition=st.integers(0, 2),
    offset=st.integers(0, 2**62),
    mark=st.sampled_from(["x", "y", ""]),
)


class NewestVersionsContract:
    def test_of_two_versions_the_higher_stays_whichever_came_first(
        self, versions: OpenVersions
    ) -> None:
        for order in ([seen("a", 2, 7), seen("a", 1, 8)], [seen("a", 1, 8), seen("a", 2, 7)]):
            book = versions()
            book.see(order)
            assert book.newest(["a"]) == {"a": seen("a", 2, 7)}
            book.close()

    def test_of_equal_versions_the_later_stays(self, versions: OpenVersions) -> None:
        book = versions()
        book.see([seen("a", 1, 7, "x")])
        book.see([seen("a", 1, 8, "y")])
        assert book.newest(["a"]) == {"a": seen("a", 1, 8, "y")}
        assert book.count() == {"y": 1}
        book.close()

    def test_what_was_deleted_is_not_there_until_it_comes_again(
        self, versions: OpenVersions
    ) -> None:
        book = versions()
        book.see([seen("a", 9), seen("a", None)])
        assert book.newest(["a"]) == {}
        assert book.count() == {}
        book.see([seen("a", 1)])
        assert book.newest(["a", "b"]) == {"a": seen("a", 1)}
        book.close()

    def test_nothing_is_left_for_the_next_one(self, versions: OpenVersions) -> None:
        book = versions()
        book.see([seen("a", 9)])
        book.close()
        again = versions()
        assert again.newest(["a"]) == {}
        again.close()

    def test_a_list_of_many_is_exact(self, versions: OpenVersions) -> None:
        book = versions()
        for start in range(0, 20_000, 1_000):
            book.see(seen(f"r{n % 7_000}", n, n, str(n % 3)) for n in range(start, start + 1_000))
        assert sum(book.count().values()) == 7_000
        assert book.newest(["r0", "r6999"]) == {
            "r0": seen("r0", 14_000, 14_000, str(14_000 % 3)),
            "r6999": seen("r6999", 13_999, 13_999, str(13_999 % 3)),
        }
        book.close()


def history(book: NewestVersions, batches: list[list[VersionSeen]]) -> object:
    for batch in batches:
        book.see(batch)
    everything = sorted(book.newest(["a", "b", "ß\0", ""]).items())
    return everything, sorted(book.count().items())


def same(one: OpenVersions, other: OpenVersions) -> None:
    """Two of them never differ, whatever they see."""

    @given(st.lists(st.lists(sightings, max_size=5), max_size=5))
    def agree(batches: list[list[VersionSeen]]) -> None:
        books = one(), other()
        assert history(books[0], batches) == history(books[1], batches)
        for book in books:
            book.close()

    agree()
