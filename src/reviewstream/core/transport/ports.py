"""The review server, as its readers need it."""

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.core.transport.protocol import Hello, Latest


class LineReader(Protocol):
    """Reads a review server's file by offset; connects when it is first asked."""

    def hello(self, fingerprint: str | None = None) -> Hello:
        """Return what is served.

        Args:
            fingerprint: Of the file that is meant; None for any.

        Raises:
            TransientError: The server is away; so for every method here.
            SourceReplacedError: It has another file.
        """
        ...

    def latest(
        self, start: int, *, max_rows: int | None = None, max_bytes: int | None = None
    ) -> Latest:
        """Return how far a reader at `start` may go, never backwards.

        Raises:
            ProtocolError: The server's answer is not at or after `start`.
        """
        ...

    def read(self, start: int, end: int) -> Iterator[list[Line | Oversized]]:
        """Read every line whose first byte lies in [start, end), in order.

        Raises:
            ProtocolError: The server sends what is not in the range.
        """
        ...

    def close(self) -> None:
        """Close the connection."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...
