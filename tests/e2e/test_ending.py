"""However a run of pytest ends, of its servers no process, no port and no file is left."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import create_connection

import psutil
import pytest

pytestmark = pytest.mark.processes

PATIENCE = 120.0  # seconds
ALONE: list[str] = []
WORKERS = ["-n", "2"]
TEST = """
import threading, time
from pathlib import Path

import pytest

@pytest.mark.parametrize("number", range(2))
def test_kafka_is_used(kafka, number):
    Path("port").write_text(f"{kafka.port}\\n")
    END
"""
WAIT = "threading.Event().wait(120)"  # to be ended from outside
# A test run in the background ignores Ctrl-C, and so would what it starts.
ON_A_TERMINAL = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
    "import pytest; sys.exit(pytest.main(sys.argv[1:]))"
)


def await_truth(what: str, ask: Callable[[], object], *, wanted: bool) -> None:
    deadline = time.monotonic() + PATIENCE
    while bool(last := ask()) != wanted:
        assert time.monotonic() < deadline, f"{what}: {last!r} after {PATIENCE:.0f} s"
        time.sleep(0.1)


@contextmanager
def running(folder: Path, end: str, options: list[str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run pytest as the leader of a group, as a terminal does."""
    (folder / "test_it.py").write_text(TEST.replace("END", end))
    (folder / "tmp").mkdir()
    environ = {name: v for name, v in os.environ.items() if not name.startswith("PYTEST_")}
    with subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, "-q", *options],
        cwd=folder,
        env=environ | {"TMPDIR": str(folder / "tmp")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as process:
        yield process


def await_kafka(folder: Path, process: subprocess.Popen[bytes]) -> tuple[int, list[psutil.Process]]:
    """Return Kafka's port, and every process of the run, as soon as a test uses it."""
    port = folder / "port"
    await_truth(
        "no test has begun", lambda: port.exists() and port.read_text().endswith("\n"), wanted=True
    )
    children = psutil.Process(process.pid).children(recursive=True)
    assert any("java" in child.name() for child in children)
    return int(port.read_text()), children


def assert_nothing_is_left(folder: Path, port: int, processes: list[psutil.Process]) -> None:
    await_truth(
        "processes are left", lambda: [each for each in processes if is_up(each)], wanted=False
    )
    await_truth("files are left", lambda: files(folder / "tmp"), wanted=False)
    with pytest.raises(ConnectionRefusedError):
        create_connection(("127.0.0.1", port)).close()


def files(folder: Path) -> list[Path]:
    """Return what is there but for pytest's own folders, which it keeps and prunes itself."""
    return [path for path in folder.iterdir() if not path.name.startswith("pytest-of-")]


def is_up(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("options", [ALONE, WORKERS], ids=["alone", "workers"])
@pytest.mark.parametrize(("end", "status"), [("pass", 0), ("assert False", 1)])
def test_a_run_that_ends_leaves_nothing(
    tmp_path: Path, end: str, status: int, options: list[str]
) -> None:
    with running(tmp_path, f"time.sleep(1); {end}", options) as process:
        port, processes = await_kafka(tmp_path, process)
        assert process.wait(PATIENCE) == status
    assert_nothing_is_left(tmp_path, port, processes)


@pytest.mark.parametrize("options", [ALONE, WORKERS], ids=["alone", "workers"])
def test_ctrl_c_leaves_nothing(tmp_path: Path, options: list[str]) -> None:
    with running(tmp_path, WAIT, options) as process:
        port, processes = await_kafka(tmp_path, process)
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(PATIENCE) == pytest.ExitCode.INTERRUPTED
    assert_nothing_is_left(tmp_path, port, processes)


@pytest.mark.parametrize("options", [ALONE, WORKERS], ids=["alone", "workers"])
def test_sigkill_leaves_nothing(tmp_path: Path, options: list[str]) -> None:
    with running(tmp_path, WAIT, options) as process:
        port, processes = await_kafka(tmp_path, process)
        process.kill()
        process.wait(PATIENCE)
    assert_nothing_is_left(tmp_path, port, processes)
