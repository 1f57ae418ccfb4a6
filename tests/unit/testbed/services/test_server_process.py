"""A server's life, shown on a small one: a program that answers HTTP stands in for Java's."""

import http.client
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from reviewstream_testbed.installation.homes import Installation
from reviewstream_testbed.processes.free_ports import LOOPBACK
from reviewstream_testbed.services.readiness import answers, has_brokers
from reviewstream_testbed.services.server_process import Server
from reviewstream_testbed.testbed_error import TestbedError

# Drops Java's options, runs the rest with Python, and leaves "class data" when asked to.
JAVA = """\
#!/bin/sh
for argument do
  case $argument in
    -XX:ArchiveClassesAtExit=*) archive=${{argument#*=}}; shift ;;
    -*) shift ;;
    *) break ;;
  esac
done
trap '[ -z "$archive" ] || echo data > "$archive"; kill $!; exit 143' TERM
{python} "$@" &
wait $!
"""
HTTP = """\
import http.server, sys
print("starting", sys.argv[1:], flush=True)
handler = http.server.SimpleHTTPRequestHandler
http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), handler).serve_forever()
"""


class Small(Server):
    """Serves files."""

    name = "small"
    memory = 1
    patience = 30.0
    program = HTTP

    def prepare(self) -> None:
        (self.folder / "program.py").write_text(self.program)

    def arguments(self) -> list[str]:
        return [str(self.folder / "program.py"), str(self.port)]

    def is_ready(self) -> bool:
        return answers(self.port, "/")


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    java = tmp_path / "java"
    java.write_text(JAVA.format(python=sys.executable))
    java.chmod(0o755)
    (tmp_path / "archives").mkdir()
    return Installation(java=java, jars=tmp_path, homes=tmp_path, archives=tmp_path / "archives")


@pytest.fixture
def small(installation: Installation, tmp_path: Path) -> Iterator[Small]:
    server = Small(installation, tmp_path)
    yield server
    server.kill()


def test_a_started_server_is_ready(small: Small) -> None:
    small.start()
    assert small.is_ready()
    assert small.url == f"http://127.0.0.1:{small.port}"
    assert str(small.port) in small.logs()


def test_a_restarted_server_keeps_its_port_and_its_log(small: Small) -> None:
    small.start()
    port, pid = small.port, small.pid
    small.restart()
    assert small.is_ready()
    assert (small.port, small.pid != pid) == (port, True)
    assert small.logs().count("starting") == 2


def test_a_killed_server_is_gone_and_comes_back(small: Small) -> None:
    small.start()
    small.kill()
    assert small.pid is None
    assert not small.is_ready()
    small.restart()
    assert small.is_ready()


def test_a_paused_server_does_not_answer_until_it_is_resumed(small: Small) -> None:
    small.start()
    small.pause()
    connection = http.client.HTTPConnection(LOOPBACK, small.port, timeout=0.2)
    with pytest.raises(TimeoutError):
        connection.request("GET", "/")
        connection.getresponse()
    connection.close()
    small.resume()
    assert small.is_ready()


class Dying(Small):
    """Says why, and ends."""

    program = "print('the reason is here'); raise SystemExit(7)"


def test_a_server_that_dies_fails_at_once_with_the_end_of_its_log(
    installation: Installation, tmp_path: Path
) -> None:
    started = time.monotonic()
    with pytest.raises(TestbedError, match=r"(?s)small ended with status 7.*the reason is here"):
        Dying(installation, tmp_path).start()
    assert time.monotonic() - started < Dying.patience / 2


class Silent(Small):
    """Never answers."""

    program = "import signal; print('thinking', flush=True); signal.pause()"
    patience = 0.5


def test_a_server_that_never_gets_ready_is_given_up_and_ended(
    installation: Installation, tmp_path: Path
) -> None:
    server = Silent(installation, tmp_path)
    with pytest.raises(TestbedError, match="small was not ready after"):
        server.start()
    assert server.pid is None


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        ("java.lang.OutOfMemoryError: Java heap space", "memory is short"),
        ("java.io.IOException: No space left on device", "the disk is full"),
        ("java.lang.UnsupportedClassVersionError: x", "Java is too old"),
    ],
)
def test_a_known_cause_is_put_in_words(
    installation: Installation, tmp_path: Path, words: str, hint: str
) -> None:
    server = Dying(installation, tmp_path)
    server.program = f"raise SystemExit({words!r})"
    with pytest.raises(TestbedError, match=hint):
        server.start()


class Crowded(Small):
    """Finds its first port taken by a quicker program."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        super().__init__(installation, folder)
        self.rivals: list[socket.socket] = []

    def prepare(self) -> None:
        super().prepare()
        if not self.rivals:
            rival = socket.create_server((LOOPBACK, self.port), reuse_port=False)
            self.rivals.append(rival)

    def is_ready(self) -> bool:
        return "starting" in self.logs() and super().is_ready()


def test_a_port_lost_to_another_program_is_replaced(
    installation: Installation, tmp_path: Path
) -> None:
    server = Crowded(installation, tmp_path)
    try:
        server.start()
        assert server.port != server.rivals[0].getsockname()[1]
        assert server.is_ready()
    finally:
        server.kill()
        server.rivals[0].close()


def test_class_data_is_kept_by_the_first_orderly_end_alone(
    small: Small, installation: Installation, tmp_path: Path
) -> None:
    small.start()
    small.kill()
    assert list(installation.archives.iterdir()) == []
    small.restart()
    small.close()
    assert [path.name for path in installation.archives.iterdir()] == ["small.jsa"]
    (tmp_path / "second").mkdir()
    second = Small(installation, tmp_path / "second")
    second.start()
    second.close()
    assert [path.name for path in (tmp_path / "second" / "small").glob("*.jsa")] == []


def test_nobody_on_a_port_is_not_ready() -> None:
    with socket.create_server((LOOPBACK, 0)) as unanswering:
        port = unanswering.getsockname()[1]
    assert not answers(port, "/")
    assert not has_brokers(port)


def test_an_error_is_not_an_answer(small: Small) -> None:
    small.start()
    assert not answers(small.port, "/no-such-page")
