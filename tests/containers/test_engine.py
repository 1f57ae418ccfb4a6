"""A private engine serves one command, and leaves no process and no mount behind."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from reviewstream_testbed import TestbedError
from reviewstream_testbed.containers.image_sources import connect
from tools.engine_images.engine import run_folder

PATIENCE = 90.0  # seconds
ENGINE = [sys.executable, "-m", "tools.engine_images", "run"]
ASK = [sys.executable, "-c", "import docker; print(docker.from_env().version()['Version'])"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which no engine answers."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("DOCKER_")}
    try:
        connect(environ).close()
    except TestbedError:
        return {**environ, "REVIEWSTREAM_TEST_ENGINE": str(tmp_path / "engine")}
    pytest.skip("an engine answers at the usual socket: none is started beside it")


def traces(tmp_path: Path) -> list[str]:
    """Return the processes, mounts and files of an engine but for its images."""
    folder, run = tmp_path / "engine", run_folder(tmp_path / "engine")
    mounts = Path("/proc/mounts").read_text().splitlines()
    found = [line for line in mounts if str(folder) in line or str(run) in line]
    found += [str(path) for path in run.glob("*")]
    for process in psutil.process_iter(["cmdline"]):
        command = " ".join(process.info["cmdline"] or [])
        if (
            str(folder) in command or str(run) in command
        ) and process.status() != psutil.STATUS_ZOMBIE:
            found.append(command)
    return found


def await_truth(what: str, ask: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ask():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can start an engine")


@needs_root
def test_a_command_has_an_engine_and_its_exit_code_is_kept(
    environ: dict[str, str], tmp_path: Path
) -> None:
    done = subprocess.run([*ENGINE, *ASK], env=environ, capture_output=True, check=True)
    assert done.stdout.strip()[:1].isdigit()
    assert traces(tmp_path) == []
    failed = subprocess.run([*ENGINE, sys.executable, "-c", "exit(3)"], env=environ, check=False)
    assert failed.returncode == 3
    assert traces(tmp_path) == []


@contextmanager
def heard(interrupt: signal.Handlers) -> Iterator[None]:
    """Have what is started meanwhile take Ctrl-C so; a script's background ignores it."""
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@needs_root
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
@pytest.mark.parametrize("interrupt", [signal.SIG_DFL, signal.SIG_IGN])
def test_an_engine_ends_when_who_started_it_is_killed(
    environ: dict[str, str], tmp_path: Path, number: signal.Signals, interrupt: signal.Handlers
) -> None:
    sleep = [sys.executable, "-c", "import sys; print('up', flush=True); sys.stdin.read()"]
    pipe = subprocess.PIPE
    with (
        heard(interrupt),
        subprocess.Popen([*ENGINE, *sleep], env=environ, stdin=pipe, stdout=pipe) as runner,
    ):
        assert runner.stdout is not None
        assert runner.stdout.readline() == b"up\n"
        assert traces(tmp_path)
        runner.send_signal(number)
        runner.wait(PATIENCE)
    await_truth("the engine runs on", lambda: not traces(tmp_path))
