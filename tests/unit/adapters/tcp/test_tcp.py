"""The server and the client, together on loopback."""

import gc
import gzip
import pickle
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice, pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewstream.adapters.tcp.client import ReviewClient
from reviewstream.adapters.tcp.log_server import ServeOptions, ServerAddress, serving
from reviewstream.adapters.tcp.served_log import LOADED, LOADED_LITTLE, ReadBudget
from reviewstream.core.transport.framing import Line, LineFramer, Oversized
from reviewstream.errors import ProtocolError, SourceReplacedError, TransientError

CONTENT = b"".join(b'{"review_id": "%d"}' % n + b"\r\n" * (n % 3) for n in range(3000)) + b"last"
SIZE = len(CONTENT)
LINES = LineFramer().feed(CONTENT + b"\n")


@pytest.fixture(scope="module")
def path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "review.json")
        path.write_bytes(CONTENT)
        yield path


@pytest.fixture(scope="module")
def server(path: Path) -> Iterator[ServerAddress]:
    with serving(path, ServeOptions(plain_port=0, chunk_bytes=1000)) as address:
        yield address


@contextmanager
def connected(address: ServerAddress, timeout: float = 20) -> Iterator[ReviewClient]:
    with ReviewClient(address.host, address.port, timeout=timeout) as client:
        yield client


def read(client: ReviewClient, start: int, end: int) -> list[Line | Oversized]:
    return [line for lines in client.read(start, end) for line in lines]


def receive_all(host: str, port: int | None) -> bytes:
    assert port is not None
    received = b""
    with socket.create_connection((host, port), timeout=20) as plain:
        while data := plain.recv(1 << 16):
            received += data
    return received


def test_hello_describes_the_file(server: ServerAddress) -> None:
    with connected(server) as client:
        hello = client.hello()
        assert (hello.source, hello.size, hello.follow) == ("review.json", SIZE, False)
        assert client.hello(hello.fingerprint) == hello


def test_a_whole_file_comes_as_its_lines_with_their_offsets(server: ServerAddress) -> None:
    with connected(server) as client:
        assert read(client, 0, SIZE) == LINES


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(1, SIZE - 1), max_size=8))
def test_any_split_by_arithmetic_gives_every_line_exactly_once(
    server: ServerAddress, cuts: list[int]
) -> None:
    borders = sorted({0, SIZE, *cuts})
    with connected(server) as client:
        assert [line for pair in pairwise(borders) for line in read(client, *pair)] == LINES


def test_an_empty_range_gives_no_line(server: ServerAddress) -> None:
    with connected(server) as client:
        for offset in (0, 1, SIZE):
            assert read(client, offset, offset) == []


@settings(max_examples=20, deadline=None)
@given(rows=st.integers(50, 4000))
def test_batches_admitted_one_after_the_other_give_every_line_exactly_once(
    server: ServerAddress, rows: int
) -> None:
    lines: list[Line | Oversized] = []
    with connected(server) as client:
        start = 0
        while start < (latest := client.latest(start, max_rows=rows)).head:
            batch = read(client, start, latest.offset)
            assert 0 < len(batch) <= rows
            lines += batch
            start = latest.offset
    assert lines == LINES


def test_many_clients_at_once_all_get_everything(server: ServerAddress) -> None:
    def one_of_many(_: int) -> bool:
        with connected(server) as client:
            return read(client, 0, SIZE) == LINES

    with ThreadPoolExecutor(24) as clients:
        assert all(clients.map(one_of_many, range(48)))


def test_the_plain_port_sends_the_file_as_it_is(server: ServerAddress) -> None:
    assert receive_all(server.host, server.plain_port) == CONTENT


def test_a_packed_file_is_served_as_what_was_packed(tmp_path: Path) -> None:
    (tmp_path / "review.json.gz").write_bytes(gzip.compress(CONTENT))
    with serving(tmp_path / "review.json.gz", ServeOptions(plain_port=0)) as address:
        with connected(address) as client:
            assert client.hello().source == "review.json"
            assert read(client, 0, SIZE) == LINES
        assert receive_all(address.host, address.plain_port) == CONTENT


def test_tailing_a_file_that_does_not_grow_ends_with_it(server: ServerAddress) -> None:
    with connected(server) as client:
        assert [line for lines in client.tail(0) for line in lines] == LINES
        assert client.latest(0).offset == SIZE  # the connection is as good as new


def test_tailing_from_mid_line_begins_with_the_next_line(server: ServerAddress) -> None:
    with connected(server) as client:
        assert [line for lines in client.tail(1) for line in lines] == LINES[1:]


def test_a_line_over_the_limit_is_reported_and_the_next_is_read_as_usual(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    path.write_bytes(b"first\n" + b"x" * 5_000_000 + b"\nlast\n")
    with serving(path) as address, connected(address) as client:
        first, long, last = read(client, 0, client.hello().size)
    assert first == Line(0, b"first")
    assert long == Oversized(6, 5_000_000, b"x" * 65536)
    assert last == Line(5_000_007, b"last")


# --- growth


@contextmanager
def growing(path: Path) -> Iterator[tuple[ServerAddress, Callable[[bytes], int]]]:
    with path.open("ab", buffering=0) as file:
        options = ServeOptions(plain_port=0, heartbeat=0.02, poll=0.005)
        with serving(path, options, follow=True) as address:
            yield address, file.write


def test_new_lines_of_a_growing_file_are_seen_when_their_newline_is_there(tmp_path: Path) -> None:
    with growing(tmp_path / "review.json") as (address, write), connected(address) as client:
        assert client.latest(0).head == 0
        write(b"one\ntw")
        assert client.latest(0).head == client.hello().size == 4
        write(b"o\n")
        assert client.latest(0).head == 8
        assert read(client, 0, 8) == [Line(0, b"one"), Line(4, b"two")]


def test_tailing_a_growing_file_gives_lines_as_they_come_and_heartbeats_between(
    tmp_path: Path,
) -> None:
    with growing(tmp_path / "review.json") as (address, write), connected(address) as client:
        write(b"one\n")
        tail = client.tail(0)
        assert next(tail) == [Line(0, b"one")]
        assert list(islice(tail, 3)) == [[], [], []]
        write(b"two\nunfin")
        assert next(filter(None, tail)) == [Line(4, b"two")]
        write(b"ished\n")
        assert next(filter(None, tail)) == [Line(8, b"unfinished")]
        tail.close()


def test_the_plain_port_goes_on_with_a_growing_file(tmp_path: Path) -> None:
    with growing(tmp_path / "review.json") as (address, write):
        assert address.plain_port is not None
        write(b"one\n")
        with (
            socket.create_connection((address.host, address.plain_port), timeout=20) as plain,
            plain.makefile("rb") as lines,
        ):
            assert lines.readline() == b"one\n"
            write(b"two\n")
            assert lines.readline() == b"two\n"


@pytest.mark.parametrize("rest", [b" and more\nthree\n", b" and more\nthree", b" and more\n"])
def test_half_a_line_that_was_read_as_the_last_is_read_whole_when_the_file_has_grown(
    tmp_path: Path, rest: bytes
) -> None:
    path = tmp_path / "review.json"
    path.write_bytes(b"one\ntwo")
    with serving(path) as address, connected(address) as client:
        before = client.latest(0)
        assert read(client, 0, before.offset) == [Line(0, b"one"), Line(4, b"two")]
    path.write_bytes(b"one\ntwo" + rest)
    expected = LineFramer(base=4).feed(b"two" + rest.rstrip() + b"\n")
    with serving(path) as address, connected(address) as client:
        client.hello(before.fingerprint)
        assert [line for lines in client.tail(before.offset) for line in lines] == expected
        now = client.latest(before.offset)
        assert now.start == 4
        assert read(client, before.offset, now.offset) == expected
        assert read(client, before.offset, before.offset) == []


@pytest.mark.parametrize("rest", [b"\nthree\n", b"\r\nthree\n"])
def test_a_last_line_that_was_read_and_lacked_only_its_newline_is_not_read_again(
    tmp_path: Path, rest: bytes
) -> None:
    path = tmp_path / "review.json"
    path.write_bytes(b"one\ntwo")
    with serving(path) as address, connected(address) as client:
        before = client.latest(0)
    path.write_bytes(b"one\ntwo" + rest)
    with serving(path) as address, connected(address) as client:
        client.hello(before.fingerprint)
        now = client.latest(before.offset)
        assert read(client, before.offset, now.offset) == [Line(7 + rest.index(b"t"), b"three")]


def test_half_a_line_that_a_server_without_follow_has_given_is_given_whole_when_it_is_finished(
    tmp_path: Path,
) -> None:
    path = tmp_path / "review.json"
    path.write_bytes(b"one\ntwo")
    with serving(path) as address, connected(address) as client:
        assert read(client, 0, 7) == [Line(0, b"one"), Line(4, b"two")]
    with growing(path) as (address, write), connected(address) as client:
        nothing_new = client.latest(7)
        assert client.latest(7, max_rows=1) == nothing_new
        assert (nothing_new.offset, nothing_new.head) == (7, 7)
        write(b" and more\nthree\n")
        whole = [Line(4, b"two and more"), Line(17, b"three")]
        assert read(client, 7, client.latest(7).offset) == whole
        client.hello(nothing_new.fingerprint)
        assert next(filter(None, client.tail(7))) == whole


def test_at_a_rate_the_head_starts_at_the_beginning_and_follows_the_furthest_reader(
    path: Path,
) -> None:
    with serving(path, ServeOptions(rate=1e-6)) as address, connected(address) as client:
        assert client.latest(0).head == 0
        assert client.latest(LINES[9].offset).head == LINES[9].offset
        assert client.latest(0).head == LINES[9].offset
        assert read(client, 0, LINES[9].offset) == LINES[:9]


def test_at_a_rate_all_lines_arrive_in_the_end(path: Path) -> None:
    options = ServeOptions(rate=30_000, poll=0.005, plain_port=0)
    with serving(path, options) as address, connected(address) as client:
        batches = list(filter(None, client.tail(0)))
        assert [line for lines in batches for line in lines] == LINES
        assert len(batches) > 2
        assert receive_all(address.host, address.plain_port) == CONTENT


# --- trouble


@contextmanager
def cutting(target: ServerAddress, sizes: list[int]) -> Iterator[ServerAddress]:
    """A proxy that hangs up each time after so many bytes of the server's."""

    def run() -> None:
        for size in sizes:
            client, _ = listener.accept()
            with client, socket.create_connection((target.host, target.port)) as upstream:
                threading.Thread(target=forward, args=(client, upstream), daemon=True).start()
                left = size
                while left and (data := upstream.recv(min(left, 1000))):
                    client.sendall(data)
                    left -= len(data)
                with suppress(OSError):  # the client was first
                    client.shutdown(socket.SHUT_RDWR)

    def forward(client: socket.socket, upstream: socket.socket) -> None:
        with suppress(OSError):  # it hung up
            while data := client.recv(1000):
                upstream.sendall(data)
            upstream.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=run)
        thread.start()
        yield ServerAddress(host="127.0.0.1", port=listener.getsockname()[1])
        thread.join()


@settings(max_examples=15, deadline=None)
@given(sizes=st.lists(st.integers(400, 8_000), max_size=6))
def test_a_connection_cut_anywhere_and_resumed_loses_and_doubles_no_line(
    server: ServerAddress, sizes: list[int]
) -> None:
    lines: list[Line | Oversized] = []
    broken = 0
    with cutting(server, [*sizes, 1 << 30]) as address, connected(address) as client:
        while True:
            start = lines[-1].offset + 1 if lines else 0
            try:
                for batch in client.read(start, SIZE):
                    lines += batch
                break
            except TransientError:
                broken += 1
    assert lines == LINES
    assert broken == len(sizes)


def test_one_connection_serves_many_requests(server: ServerAddress) -> None:
    with cutting(server, [1 << 30]) as address, connected(address, timeout=5) as client:
        for _ in range(3):
            assert client.latest(0).head == SIZE
            assert read(client, 0, SIZE) == LINES
            assert [line for lines in client.tail(0) for line in lines] == LINES


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux says how much it has")
def test_a_slow_reader_costs_the_server_little_and_holds_up_no_one(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    size = 400 << 20
    with path.open("wb") as file:
        file.truncate(size)  # takes no budget: a hole
    with serving(path) as address, connected(address) as other:
        with connected(address) as slow:
            answer = slow.read(0, size)  # kept: who forgets it hangs up
            assert next(answer) == []
            before = resident()
            for _ in range(200):
                assert other.latest(0).head == size
            assert resident() - before < 40 << 20


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="Linux says how much it has")
def test_many_readers_that_take_nothing_cost_the_server_little(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    size = 400 << 20
    with path.open("wb") as file:
        file.truncate(size)  # takes no budget: a hole
    with serving(path) as address, connected(address) as other, ExitStack() as stalled:
        before = resident()
        answers = [stalled.enter_context(connected(address)).read(0, size) for _ in range(100)]
        assert [next(answer) for answer in answers] == [[]] * 100
        for _ in range(100):
            assert other.latest(0).head == size
        assert resident() - before < 90 << 20  # the clients hold a quarter of a MiB each


@given(wanted=st.lists(st.integers(1, 3 * LOADED), max_size=80), budget=st.integers(0, 20 * LOADED))
def test_what_all_readers_hold_is_bounded_and_nobody_waits(wanted: list[int], budget: int) -> None:
    bounded, held = ReadBudget(budget), 0
    with ExitStack() as holding:
        for each in wanted:
            size = holding.enter_context(bounded.piece(each))
            assert 0 < size <= each
            held += size
    assert held <= budget + len(wanted) * LOADED_LITTLE
    if budget >= LOADED:
        with bounded.piece(LOADED) as size:  # what was held is free again
            assert size == LOADED


def resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def test_a_server_that_went_away_and_came_back_is_gone_on_with(path: Path) -> None:
    with serving(path) as address:
        client = ReviewClient(address.host, address.port)
        half = read(client, 0, SIZE // 2)
    with client:
        for _ in range(2):  # the broken connection, then none
            with pytest.raises(TransientError, match=rf"{address.port} .*`reviewstream serve FILE"):
                client.latest(0)
        with serving(path, ServeOptions(port=address.port)):
            assert half + read(client, SIZE // 2, SIZE) == LINES


def test_a_reader_that_hangs_up_in_the_middle_is_no_error(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "review.json"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    with serving(path) as address:
        for _ in range(3):
            with connected(address) as client:
                next(client.read(0, 100 << 20))
        with connected(address) as client:
            client.hello()
    gc.collect()  # where an error that no one took is found
    assert caplog.text == ""


def test_another_file_behind_the_same_port_is_refused(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(b"{}\n" * 5000)
    with serving(path) as address, connected(address) as client:
        former = client.hello().fingerprint
    with serving(other, ServeOptions(port=address.port)), client:
        with pytest.raises(SourceReplacedError, match=r"other.json is not.*checkpoint.*--name"):
            client.latest(0)
        with pytest.raises(SourceReplacedError), connected(address) as fresh:
            fresh.hello(former)
        with connected(address) as fresh:
            assert fresh.hello().source == "other.json"


def test_another_file_with_the_same_beginning_is_refused(tmp_path: Path) -> None:
    line = b"{}\n"
    (former := tmp_path / "former.json").write_bytes(line * 50_000 + b"[1]\n" * 10)
    (other := tmp_path / "other.json").write_bytes(line * 50_000 + b"[2]\n" * 10)
    with serving(former) as address, connected(address) as client:
        seen = client.latest(0).fingerprint
        assert client.hello(seen).fingerprint == seen.split(",")[0]
    with serving(other) as address, connected(address) as client:
        with pytest.raises(SourceReplacedError):
            client.hello(seen)


def test_a_file_replaced_while_it_is_served_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    path.write_bytes(CONTENT)
    with serving(path) as address, connected(address) as client:
        client.hello()
        (tmp_path / "new").write_bytes(CONTENT)
        (tmp_path / "new").replace(path)
        with pytest.raises(SourceReplacedError, match="replaced by another file"):
            client.latest(0)


def test_a_file_cut_short_while_it_is_served_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    path.write_bytes(CONTENT)
    with serving(path, ServeOptions(plain_port=0)) as address, connected(address) as client:
        client.hello()
        path.write_bytes(CONTENT[:100])
        for request in (client.read, lambda start, _: client.tail(start)):
            with pytest.raises(SourceReplacedError, match="cut short"):
                list(request(0, SIZE))
        assert receive_all(address.host, address.plain_port) == b""


@pytest.mark.parametrize("ask", ["latest", "read", "tail"])
def test_an_offset_beyond_the_end_is_refused(server: ServerAddress, ask: str) -> None:
    with connected(server) as client:
        with pytest.raises(SourceReplacedError, match=rf"{SIZE + 1} is beyond.*--name"):
            match ask:
                case "latest":
                    client.latest(SIZE + 1)
                case "read":
                    read(client, 0, SIZE + 1)
                case _:
                    next(client.tail(SIZE + 1))


def test_requests_that_make_no_sense_are_refused_by_the_server(server: ServerAddress) -> None:
    with connected(server) as client:
        with pytest.raises(ProtocolError, match="give start <= end"):
            read(client, 5, 4)
        with pytest.raises(ProtocolError, match="LatestRequest"):
            client.latest(0, max_rows=0)
        with pytest.raises(ProtocolError, match="malformed fingerprint"):
            client.hello("what")


def test_an_abandoned_answer_disturbs_no_later_one(server: ServerAddress) -> None:
    with connected(server) as client:
        for _ in client.read(0, SIZE):
            break
        assert client.latest(0).head == SIZE
        assert read(client, 0, SIZE) == LINES


def test_two_answers_at_once_are_a_bug_that_is_named(server: ServerAddress) -> None:
    with connected(server) as client:
        first = client.read(0, SIZE)
        next(first)
        with pytest.raises(RuntimeError, match="one answer at a time"):
            client.latest(0)
        assert len(list(first)) > 1


def test_a_pickled_client_connects_by_itself_and_to_the_same_file(
    path: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.json"
    other.write_bytes(b"{}\n")
    with serving(path) as address, connected(address) as client:
        client.hello()
        pickled = pickle.dumps(client)
        with pickle.loads(pickled) as copy:
            assert read(copy, 0, SIZE) == LINES
    with serving(other, ServeOptions(port=address.port)), pickle.loads(pickled) as copy:
        with pytest.raises(SourceReplacedError):
            copy.latest(0)


def test_a_server_stops_though_clients_are_in_the_middle_of_something(tmp_path: Path) -> None:
    path = tmp_path / "review.json"
    with path.open("wb") as file:
        file.truncate(100 << 20)
    with serving(path, follow=True) as address:
        reading = ReviewClient(address.host, address.port)
        tailing = ReviewClient(address.host, address.port)
        idle = ReviewClient(address.host, address.port)
        answer = reading.read(0, 100 << 20)
        next(answer)
        next(tailing.tail(0))
        idle.hello()
    with pytest.raises(TransientError):
        list(answer)
    for client in (reading, tailing, idle):
        client.close()
