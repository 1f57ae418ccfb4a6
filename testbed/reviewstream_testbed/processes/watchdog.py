"""Runs one server, and kills it when the process that started it ends.

It runs as a standalone script: `watchdog.py PARENT run COMMAND...` starts the command in a new
process group and prints its process id. PARENT has ended when standard input, its pipe, reaches
the end or when our parent process changes; then the whole group is killed.
`watchdog.py PARENT remove FOLDER` removes the folder then, `watchdog.py PARENT then COMMAND...`
runs the command then. There is one watchdog per server, so it imports only a small part of the
standard library.
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

POLL = 0.5  # seconds between checks of the parent, in case another process holds its pipe open
PATIENCE = 30.0  # seconds for the group's files to disappear
_PR_SET_PDEATHSIG = 1


def run(parent: int, command: list[str]) -> int:
    """Run the command until it exits or `parent` ends; return its exit status."""
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
    """Start the command in a new process group; on Linux it also dies with this process."""
    child = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=2,  # standard error is the log; standard output returns the process id
        stderr=2,
        process_group=0,
        preexec_fn=die_with_parent if sys.platform == "linux" else None,  # noqa: PLW1509 - one thread
    )
    with suppress(BrokenPipeError):  # the parent has ended, which the next check detects
        os.write(1, f"{child.pid}\n".encode())
    return child


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies, even by SIGKILL."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def is_alive(parent: int, *wake: int) -> bool:
    """Wait for a change or `POLL` seconds; report whether the parent is alive."""
    ready, _, _ = select.select([0, *wake], [], [], POLL)
    for pipe in {*wake} & {*ready}:
        os.read(pipe, 64)
    return os.getppid() == parent and not (0 in ready and not os.read(0, 64))


def kill(child: subprocess.Popen[bytes]) -> None:
    """Kill the whole group, even if it is stopped."""
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def remove(parent: int, folder: str) -> int:
    """Remove the folder when `parent` ends; repeat while a dying server still writes to it."""
    while is_alive(parent):
        pass
    deadline = time.monotonic() + PATIENCE
    while os.path.isdir(folder) and time.monotonic() < deadline:  # noqa: PTH112 - saves an import
        shutil.rmtree(folder, ignore_errors=True)
        select.select([], [], [], 0.1)
    return 0


def then(parent: int, command: list[str]) -> int:
    """Run the command when `parent` ends; return its exit status."""
    while is_alive(parent):
        pass
    return subprocess.call(command, stdin=subprocess.DEVNULL)


def main(parent: int, task: str, rest: list[str]) -> int:
    """Run the task named on the command line."""
    if task == "remove":
        return remove(parent, rest[0])
    return run(parent, rest) if task == "run" else then(parent, rest)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3:]))
