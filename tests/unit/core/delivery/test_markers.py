import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.delivery.markers import Marker, checksum, is_written, writer_name
from reviewstream.errors import ConfigError

NAMES = st.text(max_size=20)


def marker(batch: int, *, query: str = "q", count: int = 3, origins: int = 9) -> Marker:
    return Marker(query=query, batch=batch, count=count, checksum=origins)


@given(st.lists(NAMES), st.randoms())
def test_the_order_of_origins_does_not_matter(
    origins: list[str],
    random: "random.Random",  # type: ignore[name-defined] # noqa: F821 - Hypothesis's
) -> None:
    shuffled = list(origins)
    random.shuffle(shuffled)
    assert checksum(shuffled) == checksum(origins)
    assert 0 <= checksum(origins) < 1 << 32


def test_the_checksum_is_the_sum_of_each_origins_crc() -> None:
    assert checksum(["a"]) == 0xE8B7BE43
    assert checksum(["a", "b"]) == (0xE8B7BE43 + 0x71BEEFF9) % (1 << 32)


@given(st.lists(NAMES, min_size=1))
def test_a_missing_origin_is_seen(origins: list[str]) -> None:
    assert checksum(origins) != checksum([*origins, "reviews.json@17"])


def test_a_name_shows_topic_and_task_and_hides_the_path() -> None:
    name = writer_name("reviews.labelled", "/home/me/checkpoint", 3)
    assert name == "reviewstream-reviews.labelled-a9a6127ceabe64b1-3"


@given(st.tuples(NAMES, st.integers(0, 9)), st.tuples(NAMES, st.integers(0, 9)))
def test_names_are_those_of_one_stream_and_one_task(
    one: tuple[str, int], other: tuple[str, int]
) -> None:
    assert (writer_name("t", *one) == writer_name("t", *other)) == (one == other)


def test_where_nothing_is_written_the_task_writes() -> None:
    assert not is_written(marker(4), None)


@given(st.integers(0, 100), st.integers(1, 100))
def test_after_an_earlier_micro_batch_the_task_writes(batch: int, later: int) -> None:
    earlier = marker(batch, count=1, origins=1)
    assert not is_written(marker(batch + later), earlier)


def test_a_task_that_finds_its_own_marker_writes_nothing() -> None:
    assert is_written(marker(4), marker(4))


def test_another_query_is_refused_whatever_it_wrote() -> None:
    for batch in (3, 4, 5):
        with pytest.raises(ConfigError) as caught:
            is_written(marker(4, query="mine"), marker(batch, query="other"))
        assert str(caught.value) == (
            f"another query (other, up to its micro-batch {batch}) has written to this topic under "
            "this stream's name, and this one (mine) does not know what: was its checkpoint lost? "
            "Start with the checkpoint of that query; or give this stream a name of its own "
            "(kafka.stream_name, option streamName), and all is written once more"
        )


def test_a_micro_batch_of_the_past_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        is_written(marker(4), marker(5))
    assert str(caught.value) == (
        "micro-batch 4 comes too late, as 5 is written already: start with the newest copy of the "
        "checkpoint; or give this stream a name of its own (kafka.stream_name, option streamName), "
        "and what follows the old copy is written once more"
    )


@pytest.mark.parametrize(
    "last", [marker(4, count=1_000), marker(4, count=2_000, origins=8)], ids=["count", "origins"]
)
def test_a_micro_batch_that_was_cut_otherwise_is_refused(last: Marker) -> None:
    with pytest.raises(ConfigError) as caught:
        is_written(marker(4, count=2_000), last)
    assert str(caught.value) == (
        f"micro-batch 4 was cut otherwise when its records were written ({last.count:,} in this "
        "task, 2,000 now): start with the number of partitions and the transformations that it "
        "had, and change them when it is done"
    )
