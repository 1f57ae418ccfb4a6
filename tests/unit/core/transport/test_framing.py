import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.records.outcomes import RAW_LIMIT
from reviewstream.core.records.parsing import BOM, MAX_LINE
from reviewstream.core.transport.framing import Line, LineFramer, Oversized

# Short alphabets: newlines, carriage returns and marks must meet often.
streams = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\n\n", b"a", b"review", BOM, BOM[:1], b" ", b"\x00\xff"])
).map(b"".join)


def cut(stream: bytes, size: int) -> list[bytes]:
    return [stream[i : i + size] for i in range(0, len(stream), size)]


def frame(
    chunks: list[bytes], *, base: int = 0, max_line: int = MAX_LINE
) -> list[Line | Oversized]:
    framer = LineFramer(base=base, max_line=max_line)
    lines = [line for chunk in chunks for line in framer.feed(chunk)]
    last = framer.close()
    return lines if last is None else [*lines, last]


@given(streams, st.integers(1, 40), st.integers(1, 40))
@example(BOM + b"abcdef\n", 1, 4)
@example(BOM + b"abcdef", 1, 2)
def test_lines_do_not_depend_on_how_the_stream_was_cut(
    stream: bytes, size: int, max_line: int
) -> None:
    whole = frame([stream], max_line=max_line)
    assert frame(cut(stream, size), max_line=max_line) == whole


@given(streams, st.integers(1, 40), st.integers(1, 1 << 40))
def test_a_line_is_what_the_file_has_at_its_offset(stream: bytes, size: int, base: int) -> None:
    lines = frame(cut(stream, size), base=base)
    for line in lines:
        assert isinstance(line, Line)
        begin = line.offset - base
        assert stream[begin : begin + len(line.data)] == line.data
        assert begin == 0 or stream[begin - 1 : begin] == b"\n"
        assert stream[begin + len(line.data) :][:1] in (b"\n", b"")


@given(streams, st.integers(1, 40))
def test_lines_joined_again_are_the_stream(stream: bytes, size: int) -> None:
    lines = frame(cut(stream, size), base=1)
    ending = b"" if not stream or not stream.endswith(b"\n") else b"\n"
    data = [line.data for line in lines if isinstance(line, Line)]
    assert b"\n".join(data) + ending == stream


@given(streams, st.integers(1, 40), st.integers(1, 40))
@example(b"a" * 100 + b"\nb\n", 7, 10)
def test_memory_is_bounded_by_the_longest_line_allowed(
    stream: bytes, size: int, max_line: int
) -> None:
    framer = LineFramer(max_line=max_line)
    for chunk in cut(stream, size):
        framer.feed(chunk)
        assert framer.held <= max_line


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 20))
def test_a_line_is_oversized_exactly_if_it_is_longer_than_the_limit(
    length: int, max_line: int, size: int
) -> None:
    stream = b"x" * length + b"\nnext\n"
    first, second = frame(cut(stream, size), base=9, max_line=max_line)
    if length > max_line:
        assert first == Oversized(offset=9, size=length, head=b"x" * max_line)
    else:
        assert first == Line(offset=9, data=b"x" * length)
    assert second.offset == 9 + length + 1


@pytest.mark.parametrize("size", [1000, MAX_LINE + 1])
def test_a_line_of_just_the_limit_is_kept_whole(size: int) -> None:
    line = b"x" * MAX_LINE
    assert frame(cut(line + b"\n", size)) == [Line(offset=0, data=line)]


def test_an_oversized_line_keeps_its_first_64_kib() -> None:
    line = bytes(range(65, 91)) * 50_000
    chunks = cut(line + b"\nnext\n", 100_000)
    assert frame(chunks) == [
        Oversized(offset=0, size=len(line), head=line[:RAW_LIMIT]),
        Line(offset=len(line) + 1, data=b"next"),
    ]


def test_a_ten_megabyte_line_in_small_pieces_holds_one_kib() -> None:
    framer = LineFramer(max_line=1024)
    for _ in range(1000):
        assert framer.feed(b"x" * 10_000) == []
        assert framer.held == 1024
    assert framer.close() == Oversized(offset=0, size=10_000_000, head=b"x" * 1024)


def test_an_oversized_last_line_needs_no_newline() -> None:
    assert frame([b"abcdef"], max_line=3) == [Oversized(offset=0, size=6, head=b"abc")]


@given(st.integers(1, 10))
def test_a_byte_order_mark_at_the_start_of_the_file_is_dropped_and_the_offset_stays(
    size: int,
) -> None:
    lines = frame(cut(BOM + b"a\n" + BOM + b"b\n", size))
    assert lines == [Line(offset=0, data=b"a"), Line(offset=5, data=BOM + b"b")]


def test_a_byte_order_mark_where_a_range_starts_is_kept() -> None:
    assert frame([BOM + b"a\n"], base=7) == [Line(offset=7, data=BOM + b"a")]


def test_a_byte_order_mark_is_no_part_of_an_oversized_head() -> None:
    assert frame([BOM + b"abcdef\n"], max_line=4) == [Oversized(offset=0, size=9, head=b"a")]


def test_a_carriage_return_stays_with_its_line() -> None:
    assert frame([b"a\r", b"\nb\r\n"]) == [Line(0, b"a\r"), Line(3, b"b\r")]


@given(streams, st.integers(0, 200))
def test_reading_resumes_at_the_offset_of_the_unfinished_line(stream: bytes, broken: int) -> None:
    framer = LineFramer()
    before = framer.feed(stream[:broken])
    after = frame([stream[framer.offset :]], base=framer.offset)
    assert before + after == frame([stream])


@given(streams)
def test_after_the_end_the_offset_is_the_size_of_the_stream(stream: bytes) -> None:
    framer = LineFramer()
    framer.feed(stream)
    framer.close()
    assert framer.offset == len(stream)
    assert framer.close() is None


def test_nothing_gives_no_line() -> None:
    assert frame([]) == []
    assert frame([b""]) == []
