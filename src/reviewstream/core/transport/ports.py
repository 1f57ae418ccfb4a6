"""Port of the review server, for its readers."""

from collections.abc import Iterator
from types import TracebackType
from typing import Protocol, Self

from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.core.transport.protocol import Hello, Latest


class LineReader(Protocol):
    """A reader of a review server's file by offset; connects on first use."""

    def hello(self, fingerprint: str | None = None) -> Hello:
        """Return the description of the served file.

        Args:
            fingerprint: Fingerprint of the expected file; None accepts any file.

        Raises:
            TransientError: The server is unavailable; so for every method here.
            SourceReplacedError: The server has another file.
        """
        ...

    def latest(
        self, start: int, *, max_rows: int | None = None, max_bytes: int | None = None
    ) -> Latest:
        """Return how far a reader at `start` may read; never before `start`.

        Raises:
            ProtocolError: The server's answer is not at or after `start`.
        """
        ...

    def read(self, start: int, end: int) -> Iterator[list[Line | Oversized]]:
        """Yield every line that starts in [start, end), in order.

        Raises:
            ProtocolError: The server sends data outside the range.
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
