"""A file of reviews, served: `reviewstream serve` as a process of its own."""

import json
import signal
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from reviewstream_testbed.errors import TestbedError
from reviewstream_testbed.ports import LOOPBACK
from reviewstream_testbed.processes import Process

_START = 60.0  # seconds; one is the rule
_STOP = 5.0
_POLL = 0.02


class ReviewServer:
    """Serves one file to any number of readers; ends with the `with` block, or with us.

    Args:
        file: What is served.
        options: More of the command's options, such as `--follow`.
        log: Where it prints.

    Attributes:
        host: Loopback.
        port: The same after a restart.
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
        """End it at once: connections break off, and new ones are refused."""
        if self._process:
            self._process.close()

    def restart(self) -> None:
        """Ask it to end, and start it on the same port."""
        if self._process:
            self._process.stop(_STOP)
        self._start()

    def pause(self) -> None:
        """Stop the clock for it: connections stay open and nothing answers."""
        if self._process:
            self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self._process:
            self._process.send(signal.SIGCONT)

    def logs(self) -> str:
        """Return what it has printed since its last start."""
        return self._log.read_text(errors="replace")

    def _start(self) -> None:
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
