"""Child processes under a watchdog, which end with this process even if it is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock
from typing import IO

from reviewstream_testbed.testbed_error import TestbedError

_WATCHDOG = Path(__file__).with_name("watchdog.py")


class Reaper:
    """A cleanup that removes a folder on `close` or when this process ends, even if killed."""

    def __init__(self, folder: Path) -> None:
        self._watchdog = _watch("remove", str(folder), log=subprocess.DEVNULL, environ=os.environ)

    def close(self) -> None:
        """Remove the folder now."""
        self._watchdog.communicate()


class AfterUs:
    """A command that runs when this process ends, even if killed, unless it is cancelled."""

    def __init__(self, command: Sequence[str], *, environ: Mapping[str, str] = os.environ) -> None:
        self._watchdog = _watch("then", *command, log=subprocess.DEVNULL, environ=environ)

    def cancel(self) -> None:
        """Cancel the command."""
        self._watchdog.kill()
        self._watchdog.communicate()


class Process:
    """A running program; its output goes to `log`.

    Raises:
        TestbedError: The program cannot be started.
    """

    def __init__(
        self, command: Sequence[str], *, log: Path, environ: Mapping[str, str] = os.environ
    ) -> None:
        self._closing = Lock()
        with log.open("ab") as output:
            self._watchdog = _watch("run", *command, log=output, environ=environ)
        assert self._watchdog.stdout is not None  # noqa: S101 - it is a pipe
        answer = self._watchdog.stdout.readline()
        if not answer:
            self.close()
            raise TestbedError(f"cannot run {command[0]}: {log.read_text(errors='replace')[-500:]}")
        self.pid = int(answer)

    def status(self) -> int | None:
        """Return the exit status (128 + signal if killed), or None while it runs."""
        return self._watchdog.poll()

    def wait(self, timeout: float) -> bool:
        """Wait up to `timeout` seconds; report whether the program has ended."""
        try:
            self._watchdog.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return True

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the program's process group if it is still running."""
        if self.status() is None:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(self.pid, number)

    def stop(self, patience: float) -> bool:
        """Send SIGTERM, and SIGKILL after `patience` seconds; report whether SIGTERM was enough."""
        self.send(signal.SIGCONT)
        self.send(signal.SIGTERM)
        ended = self.wait(patience)
        self.close()
        return ended

    def close(self) -> None:
        """Let the watchdog kill what still runs, and wait for it; thread-safe and idempotent."""
        with self._closing:
            self._watchdog.communicate()


class CommandError(TestbedError):
    """A command failed; the message is its whole output."""


def output_lines(
    command: Sequence[str | Path], *, environ: Mapping[str, str] = os.environ
) -> Iterator[str]:
    """Run a command until it exits, and yield its output line by line.

    Raises:
        CommandError: Its exit status is not 0.
    """
    lines = []
    with _watch("run", *map(str, command), log=subprocess.PIPE, environ=environ) as watchdog:
        assert watchdog.stderr is not None  # noqa: S101 - it is a pipe
        for raw in watchdog.stderr:
            lines.append(raw.decode(errors="replace"))
            yield lines[-1]
        watchdog.wait()
    if watchdog.returncode:
        raise CommandError("".join(lines))


def _watch(*task: str, log: IO[bytes] | int, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a watchdog in a new session, so that the terminal does not send it Ctrl-C."""
    return subprocess.Popen(
        [sys.executable, "-I", "-S", _WATCHDOG, str(os.getpid()), *task],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environ,
        start_new_session=True,
    )
