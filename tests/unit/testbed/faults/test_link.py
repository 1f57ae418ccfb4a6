"""A network between client and server that is slow, broken or silent when told to be."""

import contextlib
import gc
import socket
import socketserver
import sys
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream_testbed.faults.link import Link
from reviewstream_testbed.processes.free_ports import free_ports

SIZE = 100_000


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        try:
            while piece := self.request.recv(4096):
                self.request.sendall(piece)
        except OSError:  # the network was cut
            pass


@pytest.fixture(scope="module")
def echo() -> Iterator[int]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield int(server.server_address[1])
        server.shutdown()


@pytest.fixture
def link(echo: int) -> Iterator[Link]:
    with Link("127.0.0.1", echo) as link:
        yield link


def connect(link: Link) -> socket.socket:
    return socket.create_connection((link.host, link.port), timeout=10)


def read(connection: socket.socket, size: int) -> bytes:
    """Return up to `size` bytes: fewer if the other side ends."""
    received = b""
    while len(received) < size and (piece := connection.recv(size - len(received))):
        received += piece
    return received


def test_what_goes_in_comes_out_and_the_end_too(link: Link) -> None:
    text = bytes(range(256)) * 1000
    with connect(link) as connection:
        threading.Thread(target=connection.sendall, args=(text,)).start()
        assert read(connection, len(text)) == text
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    assert link.passed == 2 * len(text)


def test_latency_holds_every_piece_back_in_both_directions(link: Link) -> None:
    link.latency = 0.1
    with connect(link) as connection:
        start = time.monotonic()
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        assert time.monotonic() - start >= 0.2


@given(after=st.integers(1, SIZE))
def test_no_byte_passes_after_the_cut(echo: int, after: int) -> None:
    with Link("127.0.0.1", echo) as link, connect(link) as connection:
        link.cut(after=after)
        with pytest.raises(ConnectionError):
            connection.sendall(b"x" * SIZE)
            read(connection, SIZE)
            connection.sendall(b"x")
        assert link.passed == after


def test_a_cut_resets_what_is_open_and_what_comes_until_it_is_healed(link: Link) -> None:
    with connect(link) as connection:
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        link.cut()
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
    with pytest.raises(ConnectionError), connect(link) as connection:
        assert connection.recv(1) != b""
    link.heal()
    with connect(link) as connection:
        connection.sendall(b"y")
        assert connection.recv(1) == b"y"


def test_in_silence_nothing_comes_and_after_it_all_of_it(link: Link) -> None:
    with connect(link) as open_before:
        open_before.sendall(b"a")
        assert open_before.recv(1) == b"a"
        link.silence()
        open_before.sendall(b"b")
        open_before.settimeout(0.2)
        with connect(link) as new, pytest.raises(TimeoutError):
            new.sendall(b"c")
            open_before.recv(1)
        open_before.settimeout(10)
        link.heal()
        assert open_before.recv(1) == b"b"


def test_a_server_that_is_away_is_a_connection_that_ends() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with Link("127.0.0.1", port) as link, connect(link) as connection:
        assert connection.recv(1) == b""


def test_it_ends_quietly_with_connections_open(echo: int, caplog: pytest.LogCaptureFixture) -> None:
    with Link("127.0.0.1", echo) as link, contextlib.ExitStack() as stack:
        connection = stack.enter_context(connect(link))
        connection.sendall(b"x")
        assert connection.recv(1) == b"x"
        stack.pop_all()
    connection.close()
    assert caplog.text == ""


def test_a_link_that_ends_at_once_leaves_nothing_open(
    echo: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", left.append)
    for _ in range(20):
        with Link("127.0.0.1", echo) as link:
            connect(link).close()
    gc.collect()
    assert left == []


def test_its_port_can_be_chosen(echo: int) -> None:
    (port,) = free_ports(1)
    with Link("127.0.0.1", echo, listen=port) as link:
        assert link.port == port
        with connect(link) as connection:
            connection.sendall(b"there")
            assert read(connection, 5) == b"there"
