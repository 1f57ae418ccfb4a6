import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.adapters.files.review_log import BLANK, FINGERPRINTED, ReviewLog
from reviewstream.core.transport.framing import Line
from reviewstream.errors import SourceReplacedError

files = st.lists(st.sampled_from([b"\n", b"a", b"bc\n", b"review", b"\r\n"])).map(b"".join)


class SmallBlocks(ReviewLog):
    """Meets the borders of its blocks often."""

    BLOCK: ClassVar = 3


@contextmanager
def log_of(content: bytes, *, follow: bool = False) -> Iterator[ReviewLog]:
    with tempfile.TemporaryFile() as file:
        file.write(b"before" + content + b"after\n")
        file.flush()
        size = None if follow else len(content)
        yield SmallBlocks(file, source="reviews", base=6, size=size, follow=follow)


def starts(content: bytes) -> list[int]:
    """Where the lines start, by the book."""
    offset, found = 0, []
    for line in io.BytesIO(content):
        found.append(offset)
        offset += len(line)
    return found


@given(files, st.lists(st.integers(0, 60), max_size=5))
@example(b"a\n\nb", [1, 2])
def test_ranges_by_arithmetic_cover_every_line_exactly_once(
    content: bytes, cuts: list[int]
) -> None:
    borders = sorted({0, len(content), *(cut for cut in cuts if cut < len(content))})
    with log_of(content) as log:
        ranges = [log.lines_in(*pair) for pair in pairwise(borders)]
        assert b"".join(log.read(begin, end - begin) for begin, end in ranges) == content
    for begin, end in ranges:
        assert begin == end or begin in starts(content)


@given(files, st.integers(0, 60), st.integers(0, 60))
def test_a_range_holds_the_lines_whose_first_byte_is_in_it(
    content: bytes, one: int, other: int
) -> None:
    start, end = sorted((min(one, len(content)), min(other, len(content))))
    with log_of(content) as log:
        begin, stop = log.lines_in(start, end)
    expected = [offset for offset in starts(content) if start <= offset < end]
    assert [offset for offset in starts(content) if begin <= offset < stop] == expected


@given(files, st.integers(0, 60), st.integers(1, 10), st.integers(1, 30))
def test_the_admitted_lines_are_whole_within_the_limits_and_at_least_one(
    content: bytes, start: int, max_rows: int, max_bytes: int
) -> None:
    start = min(start, len(content))
    with log_of(content) as log:
        end = log.latest(start, len(content), max_rows=max_rows, max_bytes=max_bytes)
    inside = [offset for offset in starts(content) if start <= offset < end]
    assert end in (start, len(content), *starts(content))
    assert len(inside) <= max_rows
    assert len(inside) <= 1 or end - inside[0] <= max_bytes
    assert inside[:1] == [offset for offset in starts(content) if start <= offset][:1]


@given(files, st.integers(0, 60), st.sampled_from([b"", b" ", b"\r", b"x", b"\nx"]))
def test_who_read_to_the_end_goes_on_with_the_last_line_if_that_has_grown(
    content: bytes, cut: int, rest: bytes
) -> None:
    with log_of(content[:cut]) as log:
        reader, known = log.size(), log.fingerprint(upto=log.size())
    grown = content[:cut] + rest + content[cut:]
    with log_of(grown) as log:
        begin = log.next_line(reader, len(grown), known)
        assert log.next_line(reader, len(grown), "0-00") == next_start(grown, reader)
    last = content[:cut].rpartition(b"\n")[2]
    now = grown[reader - len(last) :].partition(b"\n")[0]
    has_grown = bool(last) and last.rstrip(BLANK) != now.rstrip(BLANK)
    assert begin == (reader - len(last) if has_grown else next_start(grown, reader))


def next_start(content: bytes, offset: int) -> int:
    return next((start for start in starts(content) if start >= offset), len(content))


@given(files, st.integers(1, 10))
def test_as_many_lines_are_admitted_as_the_limit_allows(content: bytes, rows: int) -> None:
    with log_of(content) as log:
        assert (
            log.latest(0, len(content), max_rows=rows)
            == [*starts(content), len(content)][min(rows, len(starts(content)))]
        )
        assert log.latest(0, len(content)) == len(content)


@given(files, st.integers(1, 40))
def test_as_many_bytes_are_admitted_as_the_limit_allows(content: bytes, size: int) -> None:
    ends = [*starts(content)[1:], len(content)]
    with log_of(content) as log:
        found = log.latest(0, len(content), max_bytes=size)
    assert found == max([end for end in ends if end <= size], default=ends[0])


@given(files)
def test_the_head_of_a_growing_file_is_after_its_last_newline(content: bytes) -> None:
    with tempfile.TemporaryFile() as file, SmallBlocks(file, source="x", follow=True) as log:
        for size in range(len(content)):
            os.pwrite(file.fileno(), content[size : size + 1], size)
            assert log.head() == content[: size + 1].rfind(b"\n") + 1


class Counting(SmallBlocks):
    """Counts the bytes that it reads."""

    COUNTED: ClassVar = 30
    looked_through = 0

    def read(self, offset: int, size: int) -> bytes:
        self.looked_through += size
        return super().read(offset, size)


def test_a_long_unfinished_line_is_looked_through_once() -> None:
    with tempfile.TemporaryFile() as file, Counting(file, source="x", follow=True) as log:
        file.write(b"one\n" + b"x" * 10_000)
        file.flush()
        assert [log.head() for _ in range(10)] == [4] * 10
        assert log.looked_through <= 10_004


@given(files.map(lambda content: content * 5), st.integers(0, 60))
def test_lines_are_counted_in_so_many_bytes_for_one_answer(content: bytes, start: int) -> None:
    start = min(start, len(content))
    with tempfile.TemporaryFile() as file:
        file.write(content)
        file.flush()
        with Counting(file, source="x") as log:
            end = log.latest(start, len(content), max_rows=1_000)
            assert end == log.latest(start, len(content), max_rows=1_000, max_bytes=log.COUNTED)
    inside = [offset for offset in starts(content) if start <= offset < end]
    assert len(inside) <= 1 or end - inside[0] <= Counting.COUNTED


@pytest.mark.parametrize("line", [b"line\n", b"x" * 3_000 + b"\n"])
def test_a_file_is_looked_through_once_however_many_ask(line: bytes) -> None:
    with tempfile.TemporaryFile() as file:
        file.write(line * (6_000 // len(line)))
        file.flush()
        with Counting(file, source="x") as log:
            size, before = log.size(), log.looked_through
            for start in range(0, size, 5):
                log.latest(start, size, max_rows=1_000, max_bytes=20)
                log.latest(start, size, max_rows=1_000)
                log.lines_in(start, start + 1)
            asked = 3 * size // 5
            assert log.looked_through - before <= size + asked * 4 * log.BLOCK


def test_who_sets_no_limits_is_admitted_everything_without_a_look() -> None:
    with tempfile.TemporaryFile() as file:
        file.write(b"x" * 6_000 + b"\n")
        file.flush()
        with Counting(file, source="x") as log:
            before = log.looked_through
            assert log.latest(5, 6_001) == 6_001
            assert log.looked_through == before


def test_a_file_that_does_not_grow_ends_where_it_ended_when_it_was_opened(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    path.write_bytes(b"one\ntwo")
    with ReviewLog(path.open("rb"), source="reviews.json", path=path) as log:
        with path.open("ab") as writer:
            writer.write(b" three\n")
        assert log.head() == log.size() == 7


def test_a_fingerprint_survives_growth_and_says_how_much_it_covers(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    path.write_bytes(b"one\n")
    with ReviewLog(path.open("rb"), source="reviews.json", path=path, follow=True) as log:
        small = log.fingerprint()
        with path.open("ab") as writer:
            writer.write(b"x" * FINGERPRINTED)
        assert small.startswith("4-")
        assert log.fingerprint().startswith(f"{FINGERPRINTED}-")
        assert log.fingerprint() != small
        assert log.matches(small)
        assert log.matches(log.fingerprint())


def test_a_shorter_or_different_file_does_not_match() -> None:
    with log_of(b"one\ntwo\n") as log:
        former = log.fingerprint()
    for content in (b"", b"one\n", b"one\ntwo", b"one\ntwO\n"):
        with log_of(content) as log:
            assert not log.matches(former)


def test_a_file_that_only_begins_alike_does_not_match() -> None:
    beginning = b"same\n" * FINGERPRINTED
    with log_of(beginning + b"one\n") as log:
        former = log.fingerprint(upto=log.size())
        assert log.matches(former)
    with log_of(beginning + b"one\ntwo\n") as log:
        assert log.matches(former)
        assert log.fingerprint() == former.split(",")[0]
    for content in (beginning + b"onE\n", beginning, beginning + b"\none"):
        with log_of(content) as log:
            assert not log.matches(former)


@pytest.mark.parametrize(
    "fingerprint",
    [
        *("", "x", "-", "-1-ab", f"{FINGERPRINTED + 1}-ab", "٤٤٤٤٤٤-"),
        *("0-,", "x+1-ab", "-1+1-ab", ",".join(["0-"] * 5)),
    ],
)
def test_what_is_no_fingerprint_is_refused(fingerprint: str) -> None:
    with log_of(b"one\n") as log, pytest.raises(ValueError, match=r"fingerprint|invalid literal"):
        log.matches(fingerprint)


def test_a_file_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    path.write_bytes(b"one\ntwo\n")
    with ReviewLog(path.open("rb"), source="reviews.json", path=path) as log:
        os.truncate(path, 5)
        with pytest.raises(SourceReplacedError, match=r"reviews.json was cut short.*restart"):
            log.size()
        with pytest.raises(SourceReplacedError, match="no byte 5 any more"):
            log.read(0, 8)


def test_another_file_in_its_place_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    path.write_bytes(b"one\ntwo\n")
    with ReviewLog(path.open("rb"), source="reviews.json", path=path) as log:
        other = tmp_path / "other"
        other.write_bytes(b"three\nfour\n")
        other.replace(path)
        with pytest.raises(SourceReplacedError, match=r"reviews.json was replaced.*restart"):
            log.head()


@pytest.mark.parametrize("follow", [True, False])
@pytest.mark.parametrize("edited", [0, 5 * FINGERPRINTED + 1])
def test_a_file_written_over_is_refused_though_inode_and_size_do_not_tell(
    tmp_path: Path, edited: int, *, follow: bool
) -> None:
    path = tmp_path / "reviews.json"
    content = b"same\n" * FINGERPRINTED + b"one\n"
    path.write_bytes(content)
    with ReviewLog(path.open("rb"), source="reviews.json", path=path, follow=follow) as log:
        path.write_bytes(content + b"two\n")
        log.check()
        path.write_bytes(content[:edited] + b"X" + content[edited + 1 :] + b"two\n")
        assert log.size() >= len(content)
        with pytest.raises(SourceReplacedError, match=r"written over.*restart.*--name"):
            log.check()


def test_a_deleted_file_is_served_on(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    path.write_bytes(b"one\n")
    with ReviewLog(path.open("rb"), source="reviews.json", path=path) as log:
        path.unlink()
        assert log.read(0, log.head()) == b"one\n"


class Watched(ReviewLog):
    """Remembers how far it was looked at."""

    looked_at = 0

    def read(self, offset: int, size: int) -> bytes:
        self.looked_at = max(self.looked_at, offset + size)
        return super().read(offset, size)


def test_the_middle_of_a_long_line_is_not_searched_beyond_the_range(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    path.write_bytes(b"x" * 1000 + b"\n{}\n")
    with Watched(path.open("rb"), source="reviews") as log:
        log.looked_at = 0  # it was opened
        assert log.lines_in(10, 20) == (20, 20)
        assert log.looked_at <= 20
        assert log.lines_in(990, 1002) == (1001, 1004)


@given(files)
def test_all_lines_are_read_in_order_whatever_the_blocks(content: bytes) -> None:
    told: list[tuple[int, int]] = []
    with log_of(content) as log:
        lines = list(log.lines(lambda done, size: told.append((done, size))))
    assert [line.offset for line in lines] == starts(content)
    assert [line.data for line in lines if isinstance(line, Line)] == [
        line.removesuffix(b"\n") for line in io.BytesIO(content)
    ]
    assert told == sorted(told)
    assert told[-1:] == ([(len(content), len(content))] if content else [])
