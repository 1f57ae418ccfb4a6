"""`up`, `status`, `logs` and `down` as their user runs them, with the part that starts quickest."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from reviewstream_testbed.sharing.state import State

PATIENCE = 60.0  # seconds
PART = "openai_endpoint"
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "tmp").mkdir()
    return {
        **os.environ,
        "REVIEWSTREAM_STATE": str(tmp_path / "state"),
        "TMPDIR": str(tmp_path / "tmp"),
        "COLUMNS": "200",
    }


@pytest.fixture
def run(environ: dict[str, str]) -> Iterator[Run]:
    def run(*arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [sys.executable, "-m", "reviewstream_testbed", *arguments],
            env=environ,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    yield run
    run("down")


def status(run: Run, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("status", "--json", code=code).stdout)
    return found


def await_empty(folder: Path) -> None:
    deadline = time.monotonic() + PATIENCE
    while left := [*folder.iterdir()]:
        assert time.monotonic() < deadline, left
        time.sleep(0.05)


def await_end(pid: int) -> None:
    """Wait for a process that has let go of everything, and only has to leave."""
    deadline = time.monotonic() + PATIENCE
    while psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline, f"process {pid} still runs"
        time.sleep(0.05)


def test_a_testbed_in_the_background_is_told_looked_into_and_ended(
    run: Run, tmp_path: Path
) -> None:
    address = json.loads(run("up", PART, "--detach", "--json").stdout)[PART]
    found = status(run)
    assert (found["state"], found["provider"], found["parts"]) == (
        "up",
        "embedded",
        {PART: address},
    )
    assert address in run("status").stdout
    assert "Ready." in run("logs", PART).stdout
    assert run("logs", "kafka", code=2).stderr.startswith("reviewstream_testbed: kafka is not up")
    run("down")
    await_end(found["pid"])
    assert [*(tmp_path / "tmp").iterdir()] == []
    assert status(run, code=1) == {"state": "down"}


def test_a_second_one_is_refused_and_the_first_runs_on(run: Run) -> None:
    run("up", PART, "--detach")
    before = status(run)
    for more in ([], ["--detach"]):
        refused = run("up", PART, *more, code=2).stderr
        assert refused.startswith(
            f"reviewstream_testbed: a testbed is up already (process {before['pid']})"
        )
    assert status(run) == before


def test_a_killed_one_is_said_to_be_and_makes_room(run: Run, tmp_path: Path) -> None:
    run("up", PART, "--detach")
    os.kill(status(run)["pid"], signal.SIGKILL)
    await_empty(tmp_path / "tmp")
    assert status(run, code=1) == {"state": "killed"}
    assert status(run, code=1) == {"state": "down"}
    run("up", PART, "--detach")
    assert status(run)["state"] == "up"


def test_a_record_without_its_owner_is_stale_whatever_process_has_its_number(
    run: Run, environ: dict[str, str]
) -> None:
    run("up", PART, "--detach")
    state = State(environ)
    record = state.read()
    run("down")
    assert record
    state.write(record)
    assert "had been killed" in run("down").stdout
    assert state.read() is None


def test_a_start_that_is_killed_leaves_nothing(
    environ: dict[str, str], run: Run, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "reviewstream_testbed", "up", PART]
    with subprocess.Popen(command, env=environ, stdout=subprocess.DEVNULL) as up:
        deadline = time.monotonic() + PATIENCE
        while not [*(tmp_path / "tmp").glob("openai*")]:  # it is starting
            assert time.monotonic() < deadline
            time.sleep(0.01)
        assert status(run)["state"] in {"starting", "up"}
        up.kill()
    await_empty(tmp_path / "tmp")
    assert status(run, code=1) == {"state": "killed"}


def test_what_cannot_start_is_one_sentence_and_leaves_nothing(
    run: Run,
) -> None:
    for more in ([], ["--detach"]):
        said = run("up", PART, "--provider=clouds", *more, code=2).stderr
        assert said.startswith("reviewstream_testbed: no such provider: clouds")
        assert said.count("\n") == 1
    assert status(run, code=1) == {"state": "down"}


def test_a_log_is_followed_until_the_testbed_ends(run: Run, environ: dict[str, str]) -> None:
    run("up", PART, "--detach")
    command = [sys.executable, "-m", "reviewstream_testbed", "logs", PART, "--follow"]
    with subprocess.Popen(command, env=environ, stdout=subprocess.PIPE, text=True) as logs:
        assert logs.stdout is not None
        assert logs.stdout.readline().startswith("Ready.")
        assert logs.poll() is None
        run("down")
        assert logs.wait(PATIENCE) == 0


def test_what_clients_need_is_in_a_file_for_as_long_as_the_servers_are_up(
    run: Run, environ: dict[str, str]
) -> None:
    said = run("up", PART, "--detach").stdout
    found = status(run)
    file = Path(found["variables"])
    assert file.parent == Path(environ["REVIEWSTREAM_STATE"])
    assert f"The addresses are in {file}" in said
    assert f"export OPENAI_BASE_URL={found['parts'][PART]}\n" in file.read_text()
    run("down")
    assert not file.exists()


def test_only_embedded_servers_ask_for_passwords(run: Run) -> None:
    for more in ([], ["--detach"]):
        said = run("up", PART, "--secure", "--provider=containers", *more, code=2).stderr
        assert said == "reviewstream_testbed: only embedded servers can be made secure\n"


def test_what_is_written_down_is_for_our_eyes_alone(run: Run, environ: dict[str, str]) -> None:
    run("up", PART, "--detach")
    folder = Path(environ["REVIEWSTREAM_STATE"])
    assert (folder / "testbed.env").stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder.glob("testbed.[jl]*g*"))
    assert (folder / "testbed.json").stat().st_mode & 0o077 == 0
