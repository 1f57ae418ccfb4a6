"""The client, against servers that misbehave."""

import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewstream.adapters.tcp.client import ReviewClient
from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.core.transport.protocol import (
    Data,
    End,
    Error,
    ErrorCode,
    Heartbeat,
    Hello,
    Latest,
    Reply,
    request_decoder,
)
from reviewstream.errors import (
    ProtocolError,
    ReviewStreamError,
    SourceReplacedError,
    TransientError,
)

HELLO = Hello(source="review.json", size=8, fingerprint="0-")
DATA = Data(offset=0, data=b"one\ntwo\n")
END = End(lines=2, crc32=zlib.crc32(DATA.data))


@contextmanager
def answering(*replies: Reply | bytes, timeout: float = 20) -> Iterator[ReviewClient]:
    """Give a client of a server that says this, the first to HELLO, and the rest to the next."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # the client may hang up first
            decoder, left = request_decoder(), list(replies)
            while data := connection.recv(1000):
                decoder.feed(data)
                while decoder.next_message() is not None and left:
                    now, left = ([left[0]], left[1:]) if left[0] == HELLO else (left, [])
                    said = [one if isinstance(one, bytes) else one.encode() for one in now]
                    connection.sendall(b"".join(said))
                    if not left and now[-1] == b"":
                        return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        host, port = listener.getsockname()
        with ReviewClient(host, port, timeout=timeout) as client:
            yield client
        thread.join()


def test_an_answer_that_adds_up_is_given() -> None:
    with answering(HELLO, DATA, END) as client:
        assert list(client.read(0, 8)) == [[Line(0, b"one"), Line(4, b"two")]]


def test_a_last_line_without_its_newline_is_given_when_the_sums_are_right() -> None:
    data = Data(offset=4, data=b"two")
    with answering(HELLO, data, End(lines=1, crc32=zlib.crc32(b"two"))) as client:
        assert list(client.read(1, 8)) == [[], [Line(4, b"two")]]


@pytest.mark.parametrize(
    ("replies", "error", "complaint"),
    [
        ([DATA, End(lines=3, crc32=END.crc32)], TransientError, "2 lines .* not 3 .*again"),
        ([DATA, End(lines=2, crc32=1)], TransientError, "not 2 with 00000001: read them again"),
        ([Data(offset=0, data=b"onE\ntwo\n"), END], TransientError, "read them again"),
        (
            [Data(offset=0, data=b"one\n"), Data(offset=5, data=b"two\n")],
            ProtocolError,
            "at 5 .* 4",
        ),
        (
            [Data(offset=0, data=b"one\n"), Data(offset=0, data=b"one\n")],
            ProtocolError,
            "at 0 .* 4",
        ),
        ([Data(offset=0, data=b"")], ProtocolError, "0 bytes at 0 instead of 0"),
        (
            [Data(offset=8, data=b"six\n")],
            ProtocolError,
            "asked for 0 to 8, .* a line at 8",
        ),
        (
            [DATA, Data(offset=8, data=b"six")],
            ProtocolError,
            "asked for 0 to 8, it sends bytes up to 11, with a line at 8.*client's version",
        ),
        ([Data(offset=1 << 63, data=b"six\n")], ProtocolError, "asked for 0 to 8"),
        ([Heartbeat(head=8), DATA, END], ProtocolError, "unexpected Heartbeat"),
        ([Latest(offset=0, head=0)], ProtocolError, "unexpected Latest"),
        ([HELLO], ProtocolError, "unexpected Hello"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], ProtocolError, "is it the port of the protocol"),
        ([b'{"review_id": "1"}\n'], ProtocolError, "not of the reviewstream protocol"),
        ([DATA, b""], TransientError, "hung up.*reviewstream serve FILE --port"),
        ([Error(code=ErrorCode.UNAVAILABLE, message="disk")], TransientError, "disk"),
        ([Error(code=ErrorCode.REPLACED, message="other")], SourceReplacedError, "other"),
        ([DATA, Error(code=ErrorCode.BEYOND_END, message="cut")], SourceReplacedError, "cut"),
        ([Error(code=ErrorCode.VERSION, message="old")], ProtocolError, "old"),
    ],
)
def test_what_is_wrong_with_an_answer_is_named_with_the_address(
    replies: list[Reply | bytes], error: type[ReviewStreamError], complaint: str
) -> None:
    with answering(HELLO, *replies) as client:
        with pytest.raises(error, match=rf"(?s){complaint}") as raised:
            list(client.read(0, 8))
    assert "127.0.0.1:" in str(raised.value)


@pytest.mark.parametrize("first", [DATA, END, Heartbeat(head=3)])
def test_a_server_that_does_not_say_hello_is_no_such_server(first: Reply) -> None:
    with answering(first) as client, pytest.raises(ProtocolError, match="unexpected"):
        client.hello()


def test_a_heartbeat_is_no_answer_to_latest() -> None:
    with answering(HELLO, Heartbeat(head=3)) as client:
        with pytest.raises(ProtocolError, match="unexpected Heartbeat"):
            client.latest(0)


def test_a_last_line_that_has_grown_begins_no_further_back_than_a_line_is_long() -> None:
    start = 5 << 20
    lying = Latest(offset=start, head=start, start=start - (1 << 20) - 1)
    with answering(HELLO, lying) as client:
        complaint = rf"LATEST from {start} is answered with lines from {lying.start} on"
        with pytest.raises(ProtocolError, match=complaint):
            client.latest(start)


@pytest.mark.parametrize("latest", [Latest(offset=4, head=8), Latest(offset=8, head=6)])
def test_an_end_outside_of_what_there_is_to_read_is_refused(latest: Latest) -> None:
    with answering(HELLO, latest) as client:
        complaint = rf"LATEST from 5 is answered with {latest.offset} of {latest.head}: the server"
        with pytest.raises(ProtocolError, match=complaint):
            client.latest(5)


@pytest.mark.parametrize("field", ["source", "fingerprint"])
def test_a_name_is_not_taken_at_any_length(field: str) -> None:
    long: Any = {"source": "review.json", "fingerprint": "0-", field: "x" * 1_025}
    with answering(Hello(size=8, **long)) as client:
        with pytest.raises(ProtocolError, match=rf"malformed Hello: .*<= 1024 .*{field}"):
            client.hello()


def test_a_last_line_ends_with_the_file_that_was_announced() -> None:
    endless = (Data(offset=n << 20, data=b"x" * (1 << 20)) for n in range(3))
    with answering(HELLO, *endless) as client:
        with pytest.raises(ProtocolError, match=r"bytes up to 2097152, with a line at 0"):
            list(client.read(0, 8))


def test_a_last_line_may_be_as_long_as_the_file_that_was_announced() -> None:
    long = b"x" * ((3 << 20) - 1) + b"\n"
    pieces = [Data(offset=n, data=long[n : n + (1 << 20)]) for n in range(0, len(long), 1 << 20)]
    hello = Hello(source="review.json", size=len(long), fingerprint="0-")
    with answering(hello, *pieces, End(lines=1, crc32=zlib.crc32(long))) as client:
        assert [line.offset for lines in client.read(0, 8) for line in lines] == [0]


def mostly(value: int) -> st.SearchStrategy[int]:
    return st.just(value) | st.integers(0, 40)


@st.composite
def said(draw: st.DrawFn) -> list[Reply | bytes]:
    """Draw an answer to READ whose pieces often join and whose sums are often right."""
    replies: list[Reply | bytes] = []
    offset, content = draw(mostly(10)), b""
    for data in draw(st.lists(st.sampled_from([b"a", b"b\n", b"\n", b"c\nd", b""]), max_size=6)):
        replies.append(Data(offset=offset, data=data))
        offset, content = draw(mostly(offset + len(data))), content + data
    replies += draw(st.sampled_from([[], [], [Heartbeat(head=1)], [HELLO], [b"junk"]]))
    lines = content.count(b"\n") + (not content.endswith(b"\n") and bool(content))
    return [*replies, End(lines=draw(mostly(lines)), crc32=zlib.crc32(content)), b""]


@settings(max_examples=200, deadline=None)
@given(replies=said(), end=st.integers(10, 24))
def test_whatever_a_server_says_lines_are_in_order_and_in_the_range(
    replies: list[Reply | bytes], end: int
) -> None:
    lines: list[Line | Oversized] = []
    with answering(HELLO, *replies) as client, suppress(ProtocolError, TransientError):
        for found in client.read(10, end):
            lines += found
    offsets = [line.offset for line in lines]
    assert offsets == sorted(set(offsets))
    assert all(10 <= offset < end for offset in offsets)


@settings(max_examples=50, deadline=None)
@given(start=st.integers(0, 9), offset=st.integers(0, 9), head=st.integers(0, 9))
def test_whatever_a_server_says_no_reader_is_sent_back(start: int, offset: int, head: int) -> None:
    with answering(HELLO, Latest(offset=offset, head=head)) as client, suppress(ProtocolError):
        latest = client.latest(start)
        assert start <= latest.offset <= latest.head


def test_a_server_that_says_nothing_is_away() -> None:
    with answering(timeout=0.05) as client, pytest.raises(TransientError, match="timed out"):
        client.hello()


def test_a_server_that_falls_silent_in_the_middle_is_away() -> None:
    with answering(HELLO, DATA, timeout=1) as client:
        with pytest.raises(TransientError, match="timed out"):
            list(client.read(0, 8))


def test_no_server_is_said_with_the_command_that_starts_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    complaint = rf"no review server at 127.0.0.1:{port} .*`reviewstream serve FILE --port {port}`"
    with ReviewClient("127.0.0.1", port) as client, pytest.raises(TransientError, match=complaint):
        client.hello()


def test_a_host_without_an_address_is_away() -> None:
    with ReviewClient("nowhere.invalid", 9) as client:
        with pytest.raises(TransientError, match=r"nowhere\.invalid:9"):
            client.latest(0)
