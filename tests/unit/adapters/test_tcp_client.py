"""The client, against servers that misbehave."""

import socket
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from reviewstream.adapters.tcp_client import ReviewClient
from reviewstream.errors import (
    ProtocolError,
    ReviewStreamError,
    SourceReplacedError,
    TransientError,
)
from reviewstream.wire.framing import Line
from reviewstream.wire.protocol import (
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

HELLO = Hello(source="review.json", size=8, fingerprint="0-")
DATA = Data(offset=0, data=b"one\ntwo\n")
END = End(lines=2, crc32=zlib.crc32(DATA.data))


@contextmanager
def answering(*replies: Reply | bytes, timeout: float = 20) -> Iterator[ReviewClient]:
    """Give a client of a server that says this, the first to HELLO, and the rest to the next."""

    def run() -> None:
        connection, _ = listener.accept()
        with connection:
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
