"""Runs `reviewstream serve` for a file of reviews as a separate process."""

import json
import signal
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from reviewstream_testbed.processes.children import Process
from reviewstream_testbed.processes.free_ports import LOOPBACK
from reviewstream_testbed.testbed_error import TestbedError

_START = 60.0  # seconds; one is usual
_STOP = 5.0
_POLL = 0.02


class ReviewServer:
    """A server of one file for any number of readers; ends with the `with` block or this process.

    Args:
        file: File to serve.
        options: Additional command-line options, such as `--follow`.
        log: File for its output.

    Attributes:
        host: The loopback address.
        port: The port, which is the same after a restart.
    """

    host: Final = LOOPBACK

    def __init__(self, file: Path, *options: str, log: Path) -> None:
        self._command = [sys.executable, "-m", "reviewstream", "serve", str(file), *options]
        self._log = log
        self.port = 0
        self._process: Process | None = None

    def __enter__(self) -> Self:
        self._start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def kill(self) -> None:
        """Kill the server: open connections break, new ones are refused."""
        if self._process:
            self._process.close()

    def restart(self) -> None:
        """Stop the server gracefully, and start it on the same port."""
        if self._process:
            self._process.stop(_STOP)
        self._start()

    def pause(self) -> None:
        """Suspend the server: connections stay open, but it does not respond."""
        if self._process:
            self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self._process:
            self._process.send(signal.SIGCONT)

    def logs(self) -> str:
        """Return its output since the last start."""
        return self._log.read_text(errors="replace")

    def _start(self) -> None:
        if find_spec("reviewstream") is None:
            raise TestbedError("reviewstream is not installed: its `serve` is the review server")
        self._log.write_text("")
        options = [f"--host={self.host}", f"--port={self.port}", "--json"]
        self._process = Process([*self._command, *options], log=self._log)
        deadline = time.monotonic() + _START
        while not (ready := self._announcement()):
            if self._process.wait(_POLL) or time.monotonic() > deadline:
                self.kill()
                raise TestbedError(f"`reviewstream serve` did not get ready:\n{self.logs()}")
        self.port = int(json.loads(ready)["port"])

    def _announcement(self) -> str:
        lines = self.logs().splitlines(keepends=True)
        return next((each for each in lines if each[0] == "{" and each[-1] == "\n"), "")
