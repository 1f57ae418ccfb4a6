"""Ctrl-C and SIGTERM end any verb, at any moment, with one line and an exit code."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
PATIENCE = 60.0  # seconds, on a busy machine
MAIN = "from reviewstream.__main__ import main; main()"


@contextmanager
def child(program: str, *arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """Run a program as the leader of a group, as a terminal does."""
    with subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environ,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def end_of(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    """Return the exit code, and what was printed since."""
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def stopped_by(number: int) -> tuple[int, str, str]:
    return 128 + number, "", f"reviewstream: stopped by {NAMES[signal.Signals(number)]}\n"


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    """A server that never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(PATIENCE)
        yield listener


KAFKA = "kafka.bootstrap_servers=127.0.0.1:{port}"
REGISTRY = "registry.url=http://127.0.0.1:{port}"
INDEX = "elasticsearch.url=http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("verb", "setting", "number"),
    [
        (("search", "food"), INDEX, signal.SIGINT),
        (("connector", "status"), "connect.url=http://127.0.0.1:{port}", signal.SIGTERM),
        (("schemas", "check"), REGISTRY, signal.SIGINT),
        (("rejects", "list"), KAFKA, signal.SIGTERM),
        (("rejects", "replay"), KAFKA, signal.SIGINT),
        (("relabel", "--prompt-version", "2"), KAFKA, signal.SIGTERM),
        (("run",), KAFKA, signal.SIGINT),
    ],
    ids=lambda given: given[0] if isinstance(given, tuple) else "",
)
def test_a_verb_that_waits_for_a_server_ends_with_one_line(
    silent: socket.socket, verb: tuple[str, ...], setting: str, number: int
) -> None:
    port = silent.getsockname()[1]
    with child(MAIN, *verb, "-s", setting.format(port=port), "--progress", "none") as process:
        with silent.accept()[0]:
            os.killpg(process.pid, number)
            assert end_of(process) == stopped_by(number)


def test_what_a_verb_fails_with_when_it_is_interrupted_is_not_told() -> None:
    program = """
import os, signal, sys
from reviewstream.cli import VERBS, main, search
from reviewstream.errors import ConfigError

def fail(**_):
    try:
        os.kill(os.getpid(), signal.SIGINT)
        signal.pause()
    except SystemExit as end:
        raise ConfigError("a client says that a setting is of the wrong type") from end

search.command.callback = fail
main(["search", "food"])
"""
    with child(program) as process:
        assert end_of(process) == stopped_by(signal.SIGINT)


@pytest.mark.parametrize("moment", [1, 2, 20, 100])
def test_a_signal_before_the_verb_begins_is_obeyed_too(moment: int) -> None:
    program = f"""
import os, reviewstream.__main__, sys

class Moment:
    left = {moment}

    def find_spec(self, *_):
        self.left -= 1
        if not self.left:
            os.kill(os.getpid(), 15)

sys.meta_path.insert(0, Moment())
reviewstream.__main__.main()
"""
    with child(program, "run", "--help") as process:
        assert end_of(process) == stopped_by(signal.SIGTERM)


def test_a_signal_after_the_verb_has_ended_is_obeyed_too() -> None:
    program = f"import atexit, os; atexit.register(os.kill, os.getpid(), 15); {MAIN}"
    with child(program, "--version") as process:
        code, out, err = end_of(process)
    assert (code, err) == stopped_by(signal.SIGTERM)[::2]
    assert "version" in out


BEGIN = """
import os, signal, sys, threading
from reviewstream.cli.signals import ending, finishing, obeying

def interrupt():
    os.killpg(0, signal.SIGINT)

"""


def outcome_of(body: str) -> tuple[int, str, str]:
    with child(BEGIN + body) as process:
        return end_of(process)


@pytest.mark.parametrize("end", ["", "sys.exit(0)", "sys.exit(1)"])
def test_what_is_under_way_is_finished_first(end: str) -> None:
    assert outcome_of(f"""
with obeying():
    with finishing("the rest") as stop:
        interrupt()
        print("asked:", stop.is_set())
    {end}
""") == (130, "asked: True\n", "reviewstream: stopped by Ctrl-C; the rest\n")


def test_a_failure_while_it_is_finished_keeps_its_code() -> None:
    code, _, _ = outcome_of("""
with obeying(), finishing():
    interrupt()
    sys.exit(3)
""")
    assert code == 3


def test_a_signal_that_is_sent_twice_at_once_is_one_signal() -> None:
    code, out, _ = outcome_of("""
with obeying(), finishing():
    interrupt()
    interrupt()
    print("finished")
""")
    assert (code, out) == (130, "finished\n")


SECOND = """
from reviewstream.cli import signals
signals.ECHO = 0
with obeying(), ending("it", 0.1):
    try:
        with finishing("the rest"):
            interrupt()
            interrupt()
            print("not reached")
    finally:
        print("closing", flush=True)
        {}
"""


def test_a_second_signal_ends_what_would_be_finished() -> None:
    said = "reviewstream: stopped by Ctrl-C; the rest\n"
    assert outcome_of(SECOND.format("pass")) == (130, "closing\n", said)


@pytest.mark.parametrize("closing", ["interrupt()", "threading.Event().wait()"])
def test_closing_that_takes_too_long_is_given_up(closing: str) -> None:
    code, out, _ = outcome_of(SECOND.format(closing))
    assert (code, out) == (130, "closing\n")


def test_the_signals_are_given_back() -> None:
    code, _, err = outcome_of("""
before = signal.getsignal(signal.SIGTERM)
with obeying():
    assert signal.getsignal(signal.SIGTERM) != before
assert signal.getsignal(signal.SIGTERM) == before
assert signal.set_wakeup_fd(-1) == -1
assert len(threading.enumerate()) == 1
""")
    assert (code, err) == (0, "")


FINALIZER = """
import os, signal, time
from reviewstream.cli.signals import obeying

class Busy:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        while True:
            time.sleep(0.01)

with obeying():
    busy = Busy()
    del busy
    time.sleep(60)
"""


def test_a_signal_that_comes_in_a_finalizer_ends_what_runs_after_it() -> None:
    with child(FINALIZER) as process:
        assert end_of(process) == stopped_by(signal.SIGTERM)


@pytest.mark.parametrize(("options", "shown"), [((), False), (("--debug",), True)])
def test_py4j_shows_its_tracebacks_to_those_who_debug(
    options: tuple[str, ...], *, shown: bool
) -> None:
    program = """
from reviewstream.cli import main, search
from reviewstream.cli.context import verb

@verb
def fail(*_, **__):
    code = "import logging\\nlogging.exception('Exception while sending command.')"
    exec(compile(code, "/lib/py4j/java_gateway.py", "exec"))
    print("called")

search.command.callback = fail
main()
"""
    with child(program, "search", "food", *options) as process:
        _, out, err = end_of(process)
    assert out == "called\n"
    assert ("Exception while sending command." in err) is shown
