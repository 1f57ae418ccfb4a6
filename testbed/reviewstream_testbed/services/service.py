"""The interface of a testbed's servers, common to all providers."""

from abc import ABC, abstractmethod
from typing import ClassVar


class Service(ABC):
    """One server of a testbed.

    Attributes:
        name: Name of the part and of its fixture.
        memory: Approximate memory in MB.
        here: Members that run in the calling process even if another process owns the part.
    """

    name: ClassVar[str]
    memory: ClassVar[int]
    here: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def address(self) -> str:
        """The address for clients."""

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """The process id, or None if it is not running."""

    @abstractmethod
    def start(self) -> None:
        """Start the server and wait until it is ready.

        Raises:
            TestbedError: It exited or did not become ready; the message has the log's tail.
        """

    @abstractmethod
    def stop(self) -> None:
        """Stop the server gracefully; its data is kept."""

    @abstractmethod
    def kill(self) -> None:
        """Kill the server with SIGKILL. Its data is kept."""

    @abstractmethod
    def close(self) -> None:
        """Stop the server permanently; a start in progress fails. Thread-safe and idempotent."""

    @abstractmethod
    def restart(self) -> None:
        """Stop the server if it runs, start it with the same port and data, wait until ready."""

    @abstractmethod
    def pause(self) -> None:
        """Suspend the server: connections stay open, but it does not respond."""

    @abstractmethod
    def resume(self) -> None:
        """Undo `pause`."""

    @abstractmethod
    def logs(self) -> str:
        """Return everything the server has printed."""
