"""`reviewstream serve`, as a process of its own."""

import gzip
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from reviewstream.adapters.tcp.client import ReviewClient
from reviewstream.cli import main
from reviewstream.errors import FatalError
from reviewstream.samples import expand

COMMAND = (sys.executable, "-c", "from reviewstream.cli import main; main()", "serve")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "review.json"
    path.write_bytes(b"one\ntwo\n")
    return path


@contextmanager
def running(*arguments: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Start a server and give the line that says where it is."""
    process = subprocess.Popen(
        [*COMMAND, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        try:
            assert process.stdout is not None
            yield process.stdout.readline(), process
        finally:
            process.kill()


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGINT, "Ctrl-C")]
)
def test_it_says_ready_serves_and_stops_cleanly(path: Path, number: int, name: str) -> None:
    with running(str(path), "--port", "0") as (line, process):
        assert line.startswith("Ready. review.json (8 bytes) at 127.0.0.1:")
        with ReviewClient("127.0.0.1", int(line.rpartition(":")[2])) as client:
            assert client.hello().size == 8
            process.send_signal(number)
            assert process.wait(20) == 128 + number
        assert process.stderr is not None
        # A signal may come while the file is looked at.
        warning, end = sorted(process.stderr.read().splitlines())
    assert warning.startswith("Warning: review.json holds no review: it seems to be plain text")
    assert end == f"reviewstream: stopped by {name}"


def test_of_a_file_with_a_review_there_is_nothing_to_say(path: Path) -> None:
    path.write_bytes(b"one\n" + next(expand(1)))
    with running(str(path), "--port", "0") as (_, process):
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 143
        assert process.stderr is not None
        assert process.stderr.read() == "reviewstream: stopped by SIGTERM\n"


def test_the_name_of_a_file_never_controls_the_terminal(path: Path) -> None:
    with running(str(path), "--port", "0", "--name", "\x1b]0;PWNED\x07a.txt") as (line, _):
        assert line.startswith("Ready. ]0;PWNED a.txt (8 bytes) at 127.0.0.1:")


def test_json_gives_one_object(path: Path) -> None:
    with running(str(path), "--port", "0", "--plain-port", "0", "--name", "n", "--json") as (
        line,
        _,
    ):
        ready = json.loads(line)
        plain = socket.create_connection((ready["host"], ready["plain_port"]), timeout=20)
        with plain, plain.makefile("rb") as lines:
            assert lines.read() == b"one\ntwo\n"
    assert (ready["source"], ready["size"]) == ("n", 8)
    assert ready["fingerprint"].startswith("8-")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["none.json"], "no such file: none.json"),
        (["{path}", "--host", "192.0.2.1"], "--host 192.0.2.1 is open to others"),
        (["{path}", "--rate", "0"], "--rate 0: give"),
        (["{path}", "--chunk-bytes", "0"], "--chunk-bytes 0: give"),
        (["{path}", "--max-per-client", "0"], "--max-per-client 0: give"),
        (["{path}", "--tls-cert", "none.pem"], "--tls-cert none.pem: No such file"),
        (["{path}", "--member", "x"], "is not a tar archive"),
    ],
)
def test_what_cannot_be_served_is_one_sentence_and_exit_code_2(
    path: Path, arguments: list[str], complaint: str
) -> None:
    given = ["serve", *(one.format(path=path) for one in arguments), "--port", "0"]
    result = CliRunner().invoke(main, given)
    assert result.exit_code == 2
    assert complaint in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_port_in_use_is_one_sentence_and_exit_code_2(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(main, ["serve", str(path), "--port", str(port)])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"reviewstream: port {port} on 127.0.0.1 is in use")


def test_a_server_killed_while_it_serves_a_packed_file_leaves_nothing(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    spool.mkdir()
    packed = tmp_path / "review.json.gz"
    packed.write_bytes(gzip.compress(b"one\n" * 1000))
    environment = os.environ | {"TMPDIR": str(spool)}
    process = subprocess.Popen(
        [*COMMAND, str(packed), "--port", "0", "--progress", "none"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    with process:
        assert process.stdout is not None
        assert "review.json (4000 bytes)" in process.stdout.readline()
        process.kill()
    assert list(spool.iterdir()) == []


def test_a_token_comes_from_the_environment_and_is_asked_for(
    path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (file := tmp_path / "token").write_text("0123456789abcdef\n")
    monkeypatch.setenv("REVIEWSTREAM_SOURCE__TOKEN_FILE", str(file))
    with running(str(path), "--port", "0") as (line, process):
        with ReviewClient("127.0.0.1", int(line.rpartition(":")[2])) as client:
            with pytest.raises(FatalError, match="asks for a token"):
                client.hello()
        process.terminate()
        assert process.stderr is not None
        assert "0123456789abcdef" not in line + process.stderr.read()


def test_a_token_that_is_empty_by_mistake_opens_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REVIEWSTREAM_SOURCE__TOKEN", "")
    result = CliRunner().invoke(main, ["serve", str(path), "--port", "0"])
    assert result.exit_code == 2
    assert "the token must have 16 to 1024" in result.stderr
