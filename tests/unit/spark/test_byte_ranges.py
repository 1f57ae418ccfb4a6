from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.retry.waits import REVIEW_SERVER
from reviewstream.spark.byte_ranges import MIN_RANGE, PIECE, ByteRange, read_range, split
from reviewstream.spark.retrying_reader import RetryingReader, RetryPolicy
from tests.unit.spark.served import Served
from tests.unit.timer import FakeTimer


def reader(served: Served) -> RetryingReader:
    timer = FakeTimer()
    patience = RetryPolicy("the server", REVIEW_SERVER.within(1e9), timer, jitter=lambda: 0.0)
    return RetryingReader(served.connect, patience, timer)


def whole(served: Served) -> ByteRange:
    return ByteRange(0, len(served.data), "reviews.json", "")


@given(start=st.integers(0, 10**12), size=st.integers(0, 10**9), parts=st.integers(1, 64))
def test_the_parts_of_a_range_are_the_range(start: int, size: int, parts: int) -> None:
    given_range = ByteRange(start, start + size, "reviews.json", "7-ab")
    ranges = split(given_range, parts)
    assert len(ranges) <= parts
    assert [r.end for r in ranges[:-1]] == [r.start for r in ranges[1:]]
    assert all(r.start < r.end for r in ranges)
    assert {(r.source, r.fingerprint) for r in ranges} <= {("reviews.json", "7-ab")}
    assert [(r[0].start, r[-1].end) for r in [ranges] if r] == [(start, start + size)] * bool(size)


def test_a_small_range_is_not_cut() -> None:
    assert len(split(ByteRange(0, MIN_RANGE, "a", ""), 8)) == 1


def test_nothing_to_read_needs_no_task() -> None:
    assert split(ByteRange(7, 7, "a", ""), 8) == []


@given(
    lines=st.lists(st.integers(0, 2 * MIN_RANGE), max_size=40).map(
        lambda sizes: [b"%d" % n * (size // 2 + 1) for n, size in enumerate(sizes)]
    ),
    parts=st.integers(1, 9),
)
def test_tasks_read_every_line_once_wherever_they_are_cut(lines: list[bytes], parts: int) -> None:
    served = Served(b"\n".join(lines))
    ranges = split(whole(served), parts)
    read = [line for r in ranges for chunk in read_range(reader(served), r) for line in chunk]
    assert read == served.lines()


@given(breaks=st.lists(st.integers(0, 5), max_size=20), outages=st.lists(st.booleans(), max_size=9))
def test_broken_connections_lose_and_double_no_line(breaks: list[int], outages: list[bool]) -> None:
    data = b"".join(b"%d" % n * (PIECE // 16) + b"\n" for n in range(10, 50))
    served = Served(data, broken=list(breaks), outages=list(outages))
    lines = [line for chunk in read_range(reader(served), whole(served)) for line in chunk]
    assert lines == served.lines()
