"""One server as a container of a Docker engine."""

import time
from abc import abstractmethod
from contextlib import suppress
from typing import ClassVar

from docker.errors import APIError, DockerException, NotFound
from docker.models.containers import Container as EnginesContainer
from testcontainers.core.container import DockerContainer
from testcontainers.core.waiting_utils import WaitStrategy, WaitStrategyTarget

from reviewstream_testbed.containers.container_group import ContainerGroup, without_ryuk
from reviewstream_testbed.processes.free_ports import LOOPBACK, free_ports
from reviewstream_testbed.services.server_process import Server
from reviewstream_testbed.testbed_error import TestbedError

_TRIES = 4  # another process may take a free port before the engine does
_TAKEN = ("port is already allocated", "address already in use")
_POLL = 0.1  # seconds


class WaitingElsewhere(WaitStrategy):
    """A wait strategy that returns at once; `Container` itself polls the server, without a lock."""

    def wait_until_ready(self, container: WaitStrategyTarget) -> None:
        """Return at once."""


class OnLoopback(DockerContainer):
    """A testcontainers container with one port, bound to a given loopback port."""

    inner_port: int
    outer_port: int

    def bind(self, inner: int, outer: int) -> None:
        """Bind a port of the container."""
        self.inner_port, self.outer_port = inner, outer
        self.with_bind_ports(inner, outer)
        # with_bind_ports takes no address, and would bind to all interfaces.
        self.ports[str(inner)] = (LOOPBACK, outer)  # type: ignore[assignment] # docker takes it

    def get_container_host_ip(self) -> str:
        """Return the address that the port is bound to, instead of testcontainers' guess."""
        return LOOPBACK

    def get_exposed_port(self, port: int) -> int:
        """Return the port on this machine."""
        return self.outer_port if port == self.inner_port else super().get_exposed_port(port)

    def start(self) -> "OnLoopback":
        """Start the container."""
        with without_ryuk():
            return super().start()


class Container(Server):
    """One server in a container; its port and data survive restarts.

    Attributes:
        inner_port: Port inside the container.
        alias: Host name for the other containers.
    """

    inner_port: ClassVar[int]
    alias: ClassVar[str]

    def __init__(self, group: ContainerGroup) -> None:  # has no process and no folder
        self._group = group
        self._container: OnLoopback | None = None
        self._closed = False
        self._ports = []

    @abstractmethod
    def build(self, image: str) -> OnLoopback:
        """Return the testcontainers object, not started."""

    @property
    def internal_url(self) -> str:
        """The base URL for the other containers."""
        return f"http://{self.alias}:{self.inner_port}"

    @property
    def pid(self) -> int | None:
        """The process id of its first process on the engine's machine."""
        engines = self._engines()
        return int(engines.attrs["State"]["Pid"]) or None if engines else None

    def start(self) -> None:
        """Start the server on a free port and wait until it is ready.

        Raises:
            TestbedError: It exited or did not become ready; the message has the log's tail.
        """
        image = self._group.image(self.name)
        for tries_left in reversed(range(_TRIES)):
            self._ports = free_ports(1)
            try:
                return self._launch_from(image)
            except TestbedError as error:
                if self._closed or not tries_left or not any(map(str(error).count, _TAKEN)):
                    raise
                self._remove()
        return None

    def kill(self) -> None:
        """Kill the server with SIGKILL. Its data is kept."""
        if engines := self._engines():
            with suppress(APIError):  # it is not running
                engines.kill()
            engines.wait()

    def stop(self) -> None:
        """Stop the server gracefully; its data is kept."""
        if engines := self._engines():
            self.resume()
            self.ask_to_end(engines)
            engines.stop(timeout=int(self.stop_patience))

    def close(self) -> None:
        """Remove the container and its data; a start in progress fails."""
        self._closed = True
        self._remove()

    def restart(self) -> None:
        """Stop the server if it runs, start it with the same port and data, wait until ready."""
        self.stop()
        if engines := self._engines():
            engines.start()
            self._wait_until_ready()

    def pause(self) -> None:
        """Suspend the server: connections stay open, but it does not respond."""
        if engines := self._engines():
            engines.pause()

    def resume(self) -> None:
        """Undo `pause`."""
        if (engines := self._engines()) and engines.status == "paused":
            engines.unpause()

    def logs(self) -> str:
        """Return everything the server has printed."""
        engines = self._engines()
        return engines.logs().decode(errors="replace") if engines else ""

    def ask_to_end(self, engines: EnginesContainer) -> None:
        """Signal the server to exit, for images whose first process does not pass SIGTERM on."""

    def _launch_from(self, image: str) -> None:
        self._container = self.build(image)
        self._container.with_network(self._group.network).with_network_aliases(self.alias)
        self._container.with_kwargs(labels=self._group.labels)
        self._container.bind(self.inner_port, self.port)
        try:
            self._container.start()
        except (DockerException, OSError, RuntimeError) as error:
            raise self._failure(f"did not start: {error}") from error
        finally:
            if self._closed:  # another thread closed it, and may have missed this container
                self._remove()
        self._wait_until_ready()

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + self.patience
        while not self.is_ready():
            engines = self._engines()
            if engines is None or engines.status == "exited":
                raise self._failure("ended before it was ready")
            if time.monotonic() > deadline:
                raise self._failure(f"was not ready after {self.patience:.0f} s")
            time.sleep(_POLL)

    def _remove(self) -> None:
        if engines := self._engines():
            with suppress(NotFound):
                engines.remove(force=True, v=True)

    def _engines(self) -> EnginesContainer | None:
        """Return the engine's current state of the container, or None if it does not exist."""
        if self._container is None or self._container.status == "not_started":
            return None
        engines = self._container.get_wrapped_container()
        try:
            engines.reload()
        except NotFound:
            return None
        return engines
