"""What every part of a testbed can do, whoever runs it."""

from abc import ABC, abstractmethod
from typing import ClassVar


class Part(ABC):
    """One server of a testbed.

    Attributes:
        name: What the part and its fixture are called.
        memory: MB that it takes, about.
        here: Members that do their work in the asking process, if another owns the part.
    """

    name: ClassVar[str]
    memory: ClassVar[int]
    here: ClassVar[frozenset[str]] = frozenset()

    @property
    @abstractmethod
    def address(self) -> str:
        """What clients are told."""

    @property
    @abstractmethod
    def pid(self) -> int | None:
        """The process id, or None when it does not run."""

    @abstractmethod
    def start(self) -> None:
        """Start it and wait until it is ready.

        Raises:
            TestbedError: It died or never got ready; the message has the log's tail.
        """

    @abstractmethod
    def stop(self) -> None:
        """Ask it to end; its data stays."""

    @abstractmethod
    def kill(self) -> None:
        """End it at once, as SIGKILL does. Its data stays."""

    @abstractmethod
    def close(self) -> None:
        """End it for good; a start that is under way fails. Any thread may, repeatedly."""

    @abstractmethod
    def restart(self) -> None:
        """Stop it if it runs, start it on the same port with the same data, wait until ready."""

    @abstractmethod
    def pause(self) -> None:
        """Stop the clock for it: connections stay open and nothing answers."""

    @abstractmethod
    def resume(self) -> None:
        """Undo `pause`."""

    @abstractmethod
    def logs(self) -> str:
        """Return all that it has printed."""
