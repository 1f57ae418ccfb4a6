"""The validated lines of one answer of a review server."""

import zlib
from typing import Final, TypeAlias

from reviewstream.core.transport.framing import Line, LineFramer, Oversized
from reviewstream.core.transport.protocol import Data, End
from reviewstream.errors import ProtocolError, TransientError

GROWN: Final = 1 << 20  # bytes that a last line may have gained since the server reported its size
LONGEST: Final = 4 << 30  # bytes of a line after the requested range
UPGRADE: Final = "the server breaks the protocol; run `reviewstream serve` in the client's version"
Lines: TypeAlias = list[Line | Oversized]


class RangeAnswer:
    """The validated lines of one READ or TAIL.

    Attributes:
        is_whole: The answer is complete and undamaged.
    """

    def __init__(self, where: str, wanted: range, size: int) -> None:
        """Create an empty answer.

        Args:
            where: Address of the server.
            wanted: Allowed positions of a line's first byte.
            size: Known size of the file.
        """
        self.is_whole = False
        self._where = where
        self._wanted = wanted
        # The last line continues after the range, up to a limit.
        known = max(size, wanted.stop) + GROWN
        self._limit = min(known, wanted.stop + LONGEST)
        self._next: int | None = None
        self._framer = LineFramer(base=wanted.start)
        self._lines = 0
        self._crc32 = 0

    def add(self, data: Data) -> Lines:
        """Return the lines that these bytes complete."""
        if self._next is None:
            self._framer = LineFramer(base=data.offset)
            self._next = max(data.offset, self._wanted.start)
        if data.offset != self._next or not data.data:
            sent = f"{len(data.data)} bytes at {data.offset}"
            raise ProtocolError(f"{self._where}: {sent} instead of {self._next}: {UPGRADE}")
        self._next += len(data.data)
        self._crc32 = zlib.crc32(data.data, self._crc32)
        lines = self._framer.feed(data.data)
        self._lines += len(lines)
        self._check_range(self._framer.offset if self._framer.held else lines[-1].offset)
        return lines

    def _check_range(self, last: int) -> None:
        """Check that the last line begins in the range, and is not too long."""
        assert self._next is not None  # noqa: S101 - set by `add`
        if last >= self._wanted.stop or self._next > self._limit:
            asked = f"{self._wanted.start} to {self._wanted.stop}"
            sent = f"bytes up to {self._next}, with a line at {last}"
            raise ProtocolError(f"{self._where}: asked for {asked}, it sends {sent}: {UPGRADE}")

    def finish(self, end: End) -> Lines:
        """Return the last line, if it has no newline, and compare line count and checksum."""
        last = self._framer.close()
        lines = [] if last is None else [last]
        self._lines += len(lines)
        if (self._lines, self._crc32) != (end.lines, end.crc32):
            raise TransientError(
                f"{self._where}: {self._lines} lines with CRC-32 {self._crc32:08x} came,"
                f" not {end.lines} with {end.crc32:08x}: read them again"
            )
        return lines
