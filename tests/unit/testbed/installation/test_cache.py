"""The cache is filled by one process, whole or not at all."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from reviewstream_testbed.installation.cache import (
    UNUSED,
    cache_folder,
    exclusive,
    keep_used,
    make_once,
)
from reviewstream_testbed.sharing.state import state_folder
from reviewstream_testbed.testbed_error import TestbedError

# Takes the lock and says so; told to go on, it writes "released" as its last deed.
HOLDER = """
import signal, sys
from pathlib import Path
from reviewstream_testbed.installation.cache import exclusive
with exclusive(Path(sys.argv[1])):
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    print("held", flush=True)
    signal.sigwait({signal.SIGTERM})
    sum(range(3_000_000))  # let who does not wait be first
    Path(sys.argv[1]).write_text("released")
"""
# Writes half of the folder, says so, and waits to be killed.
HALF = """
import signal, sys
from pathlib import Path
from reviewstream_testbed.installation.cache import make_once
def make(folder):
    (folder / "half").touch()
    print("half", flush=True)
    signal.pause()
make_once(Path(sys.argv[1]), make)
"""


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"REVIEWSTREAM_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"XDG_CACHE_HOME": "/b"}, Path("/b/reviewstream")),
        ({}, Path.home() / ".cache" / "reviewstream"),
    ],
)
def test_the_cache_folder_is_where_the_user_says(environ: dict[str, str], folder: Path) -> None:
    assert cache_folder(environ) == folder


@pytest.mark.parametrize(("number", "text"), [(signal.SIGTERM, "released"), (signal.SIGKILL, "")])
def test_a_lock_held_elsewhere_is_waited_for_and_ends_with_its_holder(
    tmp_path: Path, number: signal.Signals, text: str
) -> None:
    lock = tmp_path / "lock"
    waits: list[int] = []
    with started(HOLDER, lock) as holder:

        def end_holder() -> None:
            waits.append(1)
            holder.send_signal(number)

        with exclusive(lock, on_wait=end_holder):
            assert lock.read_text() == text
    assert waits == [1]


def test_a_free_lock_is_not_waited_for(tmp_path: Path) -> None:
    with exclusive(tmp_path / "new" / "lock", on_wait=lambda: pytest.fail("waited")):
        pass


def test_a_folder_is_made_once(tmp_path: Path) -> None:
    folder = make_once(tmp_path / "it", lambda partial: (partial / "file").touch())
    assert make_once(folder, lambda _: pytest.fail("made again")) == folder
    assert [path.name for path in folder.iterdir()] == ["file"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["it", "it.lock"]


def test_a_folder_whose_making_failed_is_not_there(tmp_path: Path) -> None:
    def fail(_: Path) -> None:
        raise TestbedError("no network")

    with pytest.raises(TestbedError):
        make_once(tmp_path / "it", fail)
    assert not (tmp_path / "it").exists()


def test_after_a_kill_halfway_nothing_of_the_half_is_trusted(tmp_path: Path) -> None:
    folder = tmp_path / "it"
    with started(HALF, folder) as killed:
        killed.send_signal(signal.SIGKILL)
    assert not folder.exists()
    make_once(folder, lambda partial: (partial / "whole").touch())
    assert [path.name for path in folder.iterdir()] == ["whole"]


def started(script: str, argument: Path) -> subprocess.Popen[str]:
    """Start the script and wait for its first line."""
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(argument)],
        stdout=subprocess.PIPE,
        env=os.environ,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline()
    return process


def test_only_what_no_run_asked_for_in_a_month_is_removed(tmp_path: Path) -> None:
    for name, age in {"jars-1": 2, "jars-2": 1.01, "jars-3": 0.9, "ivy": 2}.items():
        (tmp_path / name).mkdir()
        (tmp_path / f"{name}.lock").touch()
        then = time.time() - age * UNUSED
        os.utime(tmp_path / name, (then, then))
    keep_used(tmp_path / "jars-1", "jars-*")
    left = sorted(path.name for path in tmp_path.iterdir())
    assert left == ["ivy", "ivy.lock", "jars-1", "jars-1.lock", "jars-3", "jars-3.lock"]


def test_without_a_home_the_variable_to_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HOME")
    monkeypatch.setattr(os, "getuid", lambda: 2**31 - 2)  # a user id without an entry
    for folder, name in (
        (cache_folder, "REVIEWSTREAM_CACHE"),
        (state_folder, "REVIEWSTREAM_STATE"),
    ):
        with pytest.raises(TestbedError, match=f"there is no home folder: name a folder by {name}"):
            folder({})
        with pytest.raises(TestbedError, match="there is no home folder"):
            folder({name: "~/x"})
