"""The server, against clients that misbehave, and its options."""

import asyncio
import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewstream.adapters.files.review_files import open_log
from reviewstream.adapters.files.review_log import FINGERPRINTED, ReviewLog
from reviewstream.adapters.tcp.client import ReviewClient
from reviewstream.adapters.tcp.log_server import LogServer, ServeOptions, ServerAddress, serving
from reviewstream.core.transport.protocol import (
    Error,
    ErrorCode,
    Hello,
    HelloRequest,
    Latest,
    LatestRequest,
    ReadRequest,
    Reply,
    TailRequest,
    reply_decoder,
)
from reviewstream.errors import ConfigError, SourceReplacedError, TransientError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "review.json"
    path.write_bytes(b"one\ntwo\n")
    return path


@pytest.fixture
def server(path: Path) -> Iterator[ServerAddress]:
    with serving(path) as address:
        yield address


def replies(server: ServerAddress, *requests: bytes, stop: bool = True) -> list[Reply]:
    """Say this, and return everything that the server says until it hangs up."""
    decoder = reply_decoder()
    with socket.create_connection((server.host, server.port), timeout=20) as client:
        client.sendall(b"".join(requests))
        if stop:
            client.shutdown(socket.SHUT_WR)
        while data := client.recv(1000):
            decoder.feed(data)
    return list(iter(decoder.next_message, None))


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"\n",
        b"h\xff\xff\xff\xff",
        b"h\x00\x00\x00\x02{]",
        LatestRequest(start=0).encode(),
    ],
)
def test_who_does_not_begin_with_hello_is_told_and_hung_up_on(
    server: ServerAddress, garbage: bytes
) -> None:
    (reply,) = replies(server, garbage, stop=False)
    assert isinstance(reply, Error)
    assert reply.code is ErrorCode.BAD_REQUEST


def test_another_version_is_refused_with_both_numbers(server: ServerAddress) -> None:
    first, second = replies(
        server, HelloRequest(version=7).encode(), LatestRequest(start=0).encode()
    )
    assert isinstance(first, Error)
    assert first.code is ErrorCode.VERSION
    assert "the client speaks version 7, the server 1" in first.message
    assert isinstance(second, Error)  # it was no hello


def test_requests_sent_ahead_are_answered_in_order(server: ServerAddress) -> None:
    asked = [HelloRequest().encode(), *(LatestRequest(start=n).encode() for n in (0, 4, 8))]
    hello, *latest = replies(server, *asked)
    assert isinstance(hello, Hello)
    assert [(one.offset, one.head) for one in latest if isinstance(one, Latest)] == [(8, 8)] * 3


def test_a_refused_request_gets_one_answer_and_the_next_is_taken(server: ServerAddress) -> None:
    beyond = (LatestRequest(start=9), ReadRequest(start=0, end=9), TailRequest(start=9))
    asked = [HelloRequest(), *beyond, LatestRequest(start=4)]
    hello, *refused, latest = replies(server, *(one.encode() for one in asked))
    assert isinstance(hello, Hello)
    assert [one.code for one in refused if isinstance(one, Error)] == [ErrorCode.BEYOND_END] * 3
    assert len(refused) == 3
    assert isinstance(latest, Latest)
    assert (latest.offset, latest.head) == (8, 8)


def test_a_client_that_vanishes_disturbs_no_other(server: ServerAddress) -> None:
    for request in (b"", HelloRequest().encode()[:3], TailRequest(start=0).encode()):
        with socket.create_connection((server.host, server.port)) as client:
            client.sendall(request)
    with ReviewClient(server.host, server.port) as other:
        assert other.hello().size == 8


@pytest.mark.parametrize("flag", ["--port", "--plain-port"])
def test_a_port_in_use_is_said_with_the_fix_and_nothing_is_left_open(path: Path, flag: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as probe:
        port = taken.getsockname()[1]
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
        probe.close()
        ports = (port, None) if flag == "--port" else (free, port)
        with pytest.raises(ConfigError, match=rf"port {port} on 127.0.0.1 is in use: .*{flag}"):
            with serving(path, ServeOptions(port=ports[0], plain_port=ports[1])):
                pass
        socket.create_server(("127.0.0.1", free)).close()


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_refused(port: int) -> None:
    with pytest.raises(ConfigError, match=f"--port {port}: give 0 to 65535"):
        ServeOptions(port=port)
    with pytest.raises(ConfigError, match=f"--plain-port {port}: give 0 to 65535"):
        ServeOptions(plain_port=port)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "localhost"])
def test_every_loopback_name_will_do(path: Path, host: str) -> None:
    with serving(path, ServeOptions(host=host)) as address:
        with ReviewClient(address.host, address.port) as client:
            assert client.hello().size == 8


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
def test_a_rate_is_a_number_above_zero(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"--rate .* above 0"):
        ServeOptions(rate=rate)


@pytest.mark.parametrize("size", [0, -1, (1 << 20) + 1])
def test_chunks_have_a_size_that_a_client_takes(size: int) -> None:
    with pytest.raises(ConfigError, match=f"--chunk-bytes {size}: give 1 to 1048576"):
        ServeOptions(chunk_bytes=size)


@pytest.mark.anyio
async def test_a_file_that_cannot_be_read_now_is_worth_another_try(path: Path) -> None:
    class Unreadable(ReviewLog):
        is_readable = True

        def read(self, offset: int, size: int) -> bytes:
            if self.is_readable:
                return super().read(offset, size)
            raise OSError(errno.EIO, f"input/output error at {offset}, {size} bytes")

    def ask(address: ServerAddress) -> None:
        with ReviewClient(address.host, address.port) as client:
            client.hello()

    with Unreadable(path.open("rb"), source="review.json") as log:
        log.is_readable = False
        server = LogServer(log)
        address = await server.start()
        with pytest.raises(TransientError, match=r"cannot read the file: .*error at 0"):
            await asyncio.to_thread(ask, address)
        await server.stop()


@pytest.mark.anyio
async def test_the_server_runs_on_the_callers_own_loop_too(path: Path) -> None:
    with open_log(path) as log:
        before = asyncio.all_tasks()
        server = LogServer(log)
        address = await server.start()
        reader, writer = await asyncio.open_connection(address.host, address.port)
        writer.write(HelloRequest().encode())
        assert (await reader.readexactly(1)) == b"H"
        await server.stop()
        assert await reader.read() is not None
        writer.close()
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
async def test_a_client_that_is_gone_is_forgotten(path: Path) -> None:
    with open_log(path) as log:
        server = LogServer(log)
        address = await server.start()
        for _ in range(3):
            reader, writer = await asyncio.open_connection(address.host, address.port)
            writer.write(b"\n")
            assert await reader.read()  # why it is hung up on
            writer.close()
        await server.stop()
        assert list(server._connections) == []


def write_over(path: Path, content: bytes) -> None:
    """Leave the inode, and never a shorter file."""
    with path.open("r+b") as file:
        file.write(content)


WRITTEN_OVER = "review.json was written over while it was served"


def test_who_reads_on_is_told_that_the_file_was_written_over(path: Path) -> None:
    with serving(path) as address, ReviewClient(address.host, address.port) as client:
        first = client.latest(0, max_rows=1)
        write_over(path, b"six\nten\n")
        with pytest.raises(SourceReplacedError, match=WRITTEN_OVER):
            client.latest(first.offset)


@pytest.mark.parametrize("is_back", [False, True])
def test_what_stands_before_the_offset_of_who_reads_on_is_compared_too(
    path: Path, *, is_back: bool
) -> None:
    alike = b"one\n" * FINGERPRINTED
    path.write_bytes(alike + b"two\n" + alike)
    with serving(path) as address, ReviewClient(address.host, address.port) as client:
        first = client.latest(0, max_rows=FINGERPRINTED + 1)
        if is_back:
            client.hello(first.fingerprint)
        write_over(path, alike + b"six\n")
        with pytest.raises(SourceReplacedError, match=WRITTEN_OVER):
            client.latest(first.offset)


@pytest.mark.parametrize("start", [0, 1, 4])
def test_no_byte_of_the_file_that_was_written_over_is_read(path: Path, start: int) -> None:
    with serving(path) as address, ReviewClient(address.host, address.port) as client:
        client.hello()
        write_over(path, b"three" + b"\n" * 3)
        with pytest.raises(SourceReplacedError, match=WRITTEN_OVER):
            list(client.read(start, start + 1))


@pytest.mark.anyio
async def test_what_is_written_over_while_it_is_read_is_not_sent(path: Path) -> None:
    class WrittenOver(ReviewLog):
        def read(self, offset: int, size: int) -> bytes:
            if (offset, size) == (4, 4):  # what is sent; who compares reads from the beginning
                write_over(path, b"six\nten\n")
            return super().read(offset, size)

    def ask(address: ServerAddress) -> None:
        with ReviewClient(address.host, address.port) as client:
            client.hello()
            with pytest.raises(SourceReplacedError, match=WRITTEN_OVER):
                list(client.read(4, 8))

    with WrittenOver(path.open("rb"), source="review.json") as log:
        server = LogServer(log)
        await asyncio.to_thread(ask, await server.start())
        await server.stop()


def test_who_comes_anew_is_not_given_what_was_written_over_the_file(path: Path) -> None:
    with serving(path) as address, ReviewClient(address.host, address.port) as client:
        write_over(path, b"six\nten\nand more\n")
        with pytest.raises(SourceReplacedError, match=WRITTEN_OVER):
            client.hello()


def test_who_waits_for_more_is_told_that_the_file_was_written_over(path: Path) -> None:
    with serving(path, follow=True) as address:
        with ReviewClient(address.host, address.port) as client:
            tail = client.tail(0)
            assert len(next(tail)) == 2
            write_over(path, b"six\nten\nand more\n")
            with pytest.raises(SourceReplacedError, match=WRITTEN_OVER):
                next(lines for lines in tail if lines)


def test_the_plain_port_hangs_up_when_the_file_was_written_over(path: Path) -> None:
    with serving(path, ServeOptions(plain_port=0), follow=True) as address:
        assert address.plain_port is not None
        with socket.create_connection((address.host, address.plain_port), timeout=20) as plain:
            with plain.makefile("rb") as lines:
                assert [next(lines), next(lines)] == [b"one\n", b"two\n"]
                write_over(path, b"six\nten\nand more\n")
                assert lines.read() == b""
