"""A server as a child process: started, ready, killed, paused, restarted."""

import os
import re
import shutil
import signal
import time
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from reviewstream_testbed.errors import TestbedError
from reviewstream_testbed.installation import BASE_ARCHIVE, Installation
from reviewstream_testbed.part import Part
from reviewstream_testbed.ports import LOOPBACK, free_ports
from reviewstream_testbed.processes import Process

_LEAN = [
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
]
_QUIET = ["-Xlog:cds=off", "-Xlog:cds+dynamic=off"]  # what it cannot archive is no news
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
_TRIES = 4  # to find ports that stay free until the server has them


class Server(Part):
    """One real server on loopback.

    Attributes:
        folder: Its configuration, data and log.
        patience: Seconds until a start is given up; a slow machine is not a broken one.
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
        """The port that clients use; once the server is ready, it stays the same."""
        return self._ports[0]

    @property
    def url(self) -> str:
        """The base URL."""
        return f"http://{LOOPBACK}:{self.port}"

    @property
    def internal_url(self) -> str:
        """The base URL for the other servers of the testbed: in containers it is another."""
        return self.url

    @property
    def address(self) -> str:
        """What clients are told."""
        return self.url

    @property
    def pid(self) -> int | None:
        """The process id, or None when it does not run."""
        return self._process.pid if self._process and self._process.status() is None else None

    @property
    def archive(self) -> str:
        """The name of its class data, which later runs start faster with."""
        return f"{self.name}.jsa"

    def environ(self) -> Mapping[str, str]:
        """Return the environment that it gets."""
        return os.environ

    @abstractmethod
    def prepare(self) -> None:
        """Write the configuration for the ports of this run."""

    @abstractmethod
    def arguments(self) -> list[str]:
        """Return what follows `java` and its common options."""

    @abstractmethod
    def is_ready(self) -> bool:
        """Ask the server itself."""

    def check(self) -> None:
        """Raise if there is no use in waiting for it."""

    def deserves_another_try(self) -> bool:
        """Say whether a start that has failed may succeed on other ports."""
        return _TAKEN.search(self.logs()) is not None

    def start(self) -> None:
        """Start it on free ports and wait until it is ready.

        Raises:
            TestbedError: It died or never got ready; the message has the log's tail.
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
        """End it at once, as SIGKILL does. Its data stays."""
        if self._process:
            self._process.close()

    def stop(self) -> None:
        """Ask it to end; its data stays."""
        if self._process and self._process.stop(self.stop_patience):
            self._keep_archive()

    def close(self) -> None:
        """End it for good, as fast as is safe; a start that is under way fails."""
        self._closed = True
        if self._archive and self._was_ready:
            self.stop()  # it leaves its class data for the next run
        self.kill()

    def restart(self) -> None:
        """Stop it if it runs, start it on the same port with the same data, wait until ready."""
        self.stop()
        self._launch()

    def pause(self) -> None:
        """Stop the clock for it: connections stay open and nothing answers."""
        if self._process:
            self._process.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `pause`."""
        if self._process:
            self._process.send(signal.SIGCONT)

    def logs(self) -> str:
        """Return all that it has printed."""
        return self._log.read_text(errors="replace")

    def _launch(self) -> None:
        ours = [*_LEAN, f"-Djava.io.tmpdir={self.folder}", *self._class_data()]
        command = [str(self._installation.java), *ours, *self.arguments()]
        self._process = Process(command, log=self._log, environ=self.environ())
        if self._closed:  # by another thread, which may not have seen this process
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
        """Use the class data of an earlier run, or have this one write it."""
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
        """Hand the class data to later runs; whole or not at all, whoever else does the same."""
        if self._archive and self._archive.is_file():
            folder = self._installation.archives
            fresh = folder / f"{self.name}.{self._archive.stat().st_ino}"
            shutil.copyfile(self._archive, fresh)
            fresh.replace(folder / self.archive)
        self._archive = None
