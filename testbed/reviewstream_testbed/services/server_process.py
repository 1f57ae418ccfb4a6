"""A server as a child process, which can be started, killed, paused and restarted."""

import os
import re
import shutil
import signal
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from reviewstream_testbed.installation.homes import BASE_ARCHIVE, Installation
from reviewstream_testbed.processes.children import Process
from reviewstream_testbed.processes.free_ports import LOOPBACK, free_ports
from reviewstream_testbed.services.service import Service
from reviewstream_testbed.testbed_error import TestbedError

_LEAN = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
]
_QUIET = ["-Xlog:cds=off", "-Xlog:cds+dynamic=off"]  # no warnings about classes it cannot archive
_TAKEN = re.compile(r"Address already in use|BindException|already bound|in use by another process")
_HINTS = {
    _TAKEN: "a port is taken: another program was quicker",
    re.compile(r"OutOfMemoryError|Cannot allocate memory|insufficient memory"): (
        "memory is short: close other programs, or start fewer parts"
    ),
    re.compile(r"No space left on device"): "the disk is full",
    re.compile(r"UnsupportedClassVersionError"): "Java is too old: see `reviewstream doctor`",
}
_TAIL = 2_000  # characters of the log in an error
_POLL = 0.1  # seconds
_TRIES = 4  # another process may take a free port before the server does


class Server(Service):
    """One real server on loopback.

    Attributes:
        folder: Folder of its configuration, data and log.
        patience: Timeout of a start in seconds, long enough for a slow machine.
    """

    port_count: ClassVar[int] = 1
    stop_patience: ClassVar[float] = 20.0
    patience: float = 240.0

    def __init__(self, installation: Installation, folder: Path) -> None:
        self._installation = installation
        self.folder = folder / self.name
        self.folder.mkdir()
        self._log = self.folder / "server.log"
        self._log.touch()
        self._process: Process | None = None
        self._closed = self._was_ready = False
        self._archive: Path | None = None
        self._ports = free_ports(self.port_count)

    @property
    def port(self) -> int:
        """The port for clients; constant once the server is ready."""
        return self._ports[0]

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def internal_url(self) -> str:
        """The base URL for the other servers of the testbed; it differs in containers."""
        return self.url

    @property
    def address(self) -> str:
        """The address for clients."""
        return self.url

    @property
    def pid(self) -> int | None:
        """The process id, or None if it is not running."""
        return self._process.pid if self._process and self._process.status() is None else None

    @property
    def archive(self) -> str:
        """The file name of its class data, which makes later runs start faster."""
        return f"{self.name}.jsa"

    def environ(self) -> Mapping[str, str]:
        """Return the environment of its process."""
        return os.environ

    @abstractmethod
    def prepare(self) -> None:
        """Write the configuration for the ports of this run."""

    @abstractmethod
    def arguments(self) -> list[str]:
        """Return the command-line arguments after `java` and the common options."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Report whether the server answers in its own protocol."""

    def check(self) -> None:
        """Raise if it can no longer become ready."""

    def deserves_another_try(self) -> bool:
        """Report whether a failed start may succeed on other ports."""
        return _TAKEN.search(self.logs()) is not None

    def start(self) -> None:
        """Start the server on free ports and wait until it is ready.

        Raises:
            TestbedError: It exited or did not become ready; the message has the log's tail.
        """
        for tries_left in reversed(range(_TRIES)):
            self.prepare()
            try:
                return self._launch()
            except TestbedError:
                self.kill()
                if self._closed or not tries_left or not self.deserves_another_try():
                    raise
                self._log.write_text("")
                self._ports = free_ports(self.port_count)
        return None

    def kill(self) -> None:
        """Kill the server with SIGKILL. Its data is kept."""
        if self._process:
            self._process.close()

    def stop(self) -> None:
        """Stop the server gracefully; its data is kept."""
        if self._process and self._process.stop(self.stop_patience):
            self._keep_archive()

    def close(self) -> None:
        """Stop the server permanently, as fast as is safe; a start in progress fails."""
        self._closed = True
        if self._archive and self._was_ready:
            self.stop()  # on a graceful stop it writes its class data for the next run
        self.kill()

    def restart(self) -> None:
        """Stop the server if it runs, start it with the same port and data, wait until ready."""
        self.stop()
        self._launch()

    def pause(self) -> None:
        """Suspend the server: connections stay open, but it does not respond."""
        if self._process:
            self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self._process:
            self._process.send(signal.SIGCONT)

    def logs(self) -> str:
        """Return everything the server has printed."""
        return self._log.read_text(errors="replace")

    def _launch(self) -> None:
        ours = [*_LEAN, f"-Djava.io.tmpdir={self.folder}", *self._class_data()]
        command = [str(self._installation.java), *ours, *self.arguments()]
        self._process = Process(command, log=self._log, environ=self.environ())
        if self._closed:  # another thread closed it, and may have missed this process
            self._process.close()
        self._wait(self._process)

    def _wait(self, process: Process) -> None:
        deadline = time.monotonic() + self.patience
        while not self.is_ready():
            self.check()
            if process.wait(_POLL):
                process.close()
                raise self._failure(f"ended with status {process.status()} before it was ready")
            if time.monotonic() > deadline:
                process.close()
                raise self._failure(f"was not ready after {self.patience:.0f} s")
        self._was_ready = True

    def _failure(self, what: str) -> TestbedError:
        log = self.logs()
        hints = [hint for pattern, hint in _HINTS.items() if pattern.search(log)]
        return TestbedError(
            f"{self.name} {what} ({'; '.join(hints) or 'its log ends:'})\n{log[-_TAIL:]}"
        )

    def _class_data(self) -> list[str]:
        """Return the options to use an earlier run's class data, or to write it in this run."""
        base = self._installation.archives / BASE_ARCHIVE
        kept = base.with_name(self.archive)
        if kept.is_file():
            return [f"-XX:SharedArchiveFile={base}{os.pathsep}{kept}", *_QUIET]
        self._archive = self.folder / kept.name
        return [
            f"-XX:SharedArchiveFile={base}",
            f"-XX:ArchiveClassesAtExit={self._archive}",
            *_QUIET,
        ]

    def _keep_archive(self) -> None:
        """Publish the class data for later runs, atomically even if several runs do so at once."""
        if self._archive and self._archive.is_file():
            folder = self._installation.archives
            fresh = folder / f"{self.name}.{self._archive.stat().st_ino}"
            shutil.copyfile(self._archive, fresh)
            fresh.replace(folder / self.archive)
        self._archive = None
