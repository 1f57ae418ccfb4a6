"""A child process ends with its parent, however the parent ends."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from pathlib import Path

import psutil
import pytest

from reviewstream_testbed.processes.children import CommandError, Process, Reaper, output_lines
from reviewstream_testbed.testbed_error import TestbedError

PATIENCE = 20.0  # seconds
SLEEPER = ["sleep", "1000"]
# Starts a server and its folder, tells both process ids, and waits to be killed.
PARENT = """
import os, signal, sys
from pathlib import Path
from reviewstream_testbed.processes.children import Reaper, Process
folder = Path(sys.argv[1])
reaper = Reaper(folder)
process = Process(sys.argv[2:], log=folder / "log")
if os.fork() == 0:  # a child that inherits our end of every pipe
    signal.pause()
print(process.pid, flush=True)
signal.pause()
"""


def await_truth(what: str, ask: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ask():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("stopped", [False, True])
def test_a_killed_parent_leaves_no_process_and_no_file(
    tmp_path: Path, number: signal.Signals, *, stopped: bool
) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    # The server starts a process of its own, which has to go too.
    server = ["sh", "-c", f"{' '.join(SLEEPER)} & echo $!; wait"]
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, folder, *server], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        log = folder / "log"
        await_truth("no grandchild", log.read_text)
        family = [pid, int(log.read_text())]
        (fork,) = (p for p in psutil.Process(parent.pid).children() if "-I" not in p.cmdline())
        if stopped:
            os.killpg(pid, signal.SIGSTOP)
        try:
            parent.send_signal(number)
            parent.wait()
            await_truth("the server runs on", lambda: not any(map(is_running, family)))
            await_truth("the folder stays", lambda: not folder.exists())
        finally:
            fork.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child")
def test_a_killed_watchdog_takes_its_server_along(tmp_path: Path) -> None:
    process = Process(SLEEPER, log=tmp_path / "log")
    watchdog = psutil.Process(process.pid).parent()
    assert watchdog is not None
    watchdog.kill()
    await_truth("the server runs on", lambda: not is_running(process.pid))
    process.close()


def test_ctrl_c_in_a_terminal_reaches_us_alone(tmp_path: Path) -> None:
    process = Process(SLEEPER, log=tmp_path / "log")
    watchdog = psutil.Process(process.pid).parent()
    assert watchdog is not None
    assert os.getpgrp() not in {os.getpgid(process.pid), os.getpgid(watchdog.pid)}
    process.close()


def test_a_process_that_ends_tells_its_status_and_its_output(tmp_path: Path) -> None:
    process = Process(["sh", "-c", "echo out; echo err >&2; exit 3"], log=tmp_path / "log")
    assert process.wait(PATIENCE)
    process.close()
    assert process.status() == 3
    assert (tmp_path / "log").read_text() == "out\nerr\n"


def test_a_process_asked_to_stop_does_as_asked(tmp_path: Path) -> None:
    process = Process(SLEEPER, log=tmp_path / "log")
    assert process.stop(PATIENCE)
    assert process.status() == 128 + signal.SIGTERM
    process.send(signal.SIGTERM)  # to nobody


def test_a_process_that_will_not_stop_is_killed(tmp_path: Path) -> None:
    script = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    process = Process(["sh", "-c", script], log=tmp_path / "log")
    await_truth("not ready", (tmp_path / "log").read_text)
    assert not process.stop(0.1)
    assert not is_running(process.pid)


def test_a_paused_process_can_be_stopped(tmp_path: Path) -> None:
    process = Process(SLEEPER, log=tmp_path / "log")
    process.send(signal.SIGSTOP)
    await_truth("runs on", lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    assert process.stop(PATIENCE)


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(TestbedError, match="cannot run /no/such/program"):
        Process(["/no/such/program"], log=tmp_path / "log")


def test_a_commands_output_arrives_line_by_line() -> None:
    assert [*output_lines(["sh", "-c", "echo one; echo two >&2"])] == ["one\n", "two\n"]


def test_a_failed_command_raises_all_it_printed() -> None:
    with pytest.raises(CommandError, match="one"):
        [*output_lines(["sh", "-c", "echo one; exit 1"])]


def test_a_command_whose_reader_has_gone_is_ended() -> None:
    lines = output_lines(["sh", "-c", "echo $$; exec sleep 1000"])
    pid = int(next(lines))
    assert isinstance(lines, Generator)
    lines.close()
    assert not is_running(pid)


def test_a_closed_reaper_has_removed_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "deep").mkdir(parents=True)
    reaper = Reaper(folder)
    assert folder.exists()
    reaper.close()
    assert not folder.exists()
