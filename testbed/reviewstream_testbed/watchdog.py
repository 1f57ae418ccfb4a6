"""Runs one server and never outlives the process that asked for it.

Run as a script, by itself: `watchdog.py PARENT run COMMAND...` starts the command in a process
group of its own and prints its process id. When PARENT is gone, seen by the end of our standard
input (its pipe) or by our own parent changing, the whole group is killed.
`watchdog.py PARENT remove FOLDER` removes the folder then, `watchdog.py PARENT then COMMAND...`
runs the command then. Imports nothing but the standard
library, and little of it: there is one watchdog per server.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress

POLL = 0.5  # seconds between looks at the parent, should its pipe be held open by someone else
PATIENCE = 30.0  # seconds for the group's files to disappear
_PR_SET_PDEATHSIG = 1


def run(parent: int, command: list[str]) -> int:
    """Run the command until it ends or `parent` is gone; return its exit status."""
    wake, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    child = start(command)
    while (status := child.poll()) is None:
        if not is_alive(parent, wake):
            kill(child)
    return status if status >= 0 else 128 - status


def start(command: list[str]) -> subprocess.Popen[bytes]:
    """Start the command as leader of its own group; on Linux it also dies with us."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=2,  # our standard error is the log; standard output carries the process id
        stderr=2,
        process_group=0,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread
    )
    with suppress(BrokenPipeError):  # who asked is gone already: we find that out in a moment
        os.write(1, f"{child.pid}\n".encode())
    return child


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def is_alive(parent: int, *wake: int) -> bool:
    """Wait for news; say whether the parent is still there."""
    ready, _, _ = select.select([0, *wake], [], [], POLL)
    for pipe in {*wake} & {*ready}:
        os.read(pipe, 64)
    return os.getppid() == parent and not (0 in ready and not os.read(0, 64))


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the whole group, stopped or not."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def remove(parent: int, folder: str) -> int:
    """Remove the folder when `parent` is gone; again, if a dying server still writes to it."""
    while is_alive(parent):
        pass
    deadline = time.monotonic() + PATIENCE
    while os.path.isdir(folder) and time.monotonic() < deadline:  # noqa: PTH112 - saves an import
        shutil.rmtree(folder, ignore_errors=True)
        select.select([], [], [], 0.1)
    return 0


def then(parent: int, command: list[str]) -> int:
    """Run the command when `parent` is gone; return its exit status."""
    while is_alive(parent):
        pass
    return subprocess.call(command, stdin=subprocess.DEVNULL)


def main(parent: int, task: str, rest: list[str]) -> int:
    """Do the task named on the command line."""
    if task == "remove":
        return remove(parent, rest[0])
    return run(parent, rest) if task == "run" else then(parent, rest)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
