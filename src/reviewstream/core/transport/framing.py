"""Framing: bytes to lines, each with the offset of its start."""

from typing import Final

from msgspec import Struct

from reviewstream.core.records.outcomes import RAW_LIMIT
from reviewstream.core.records.parsing import BOM, MAX_LINE

NEWLINE: Final = b"\n"


class Line(Struct, frozen=True, gc=False):
    """One line.

    Attributes:
        offset: Bytes from the start of the file to the line's first byte.
        data: Content without the newline; a carriage return before it is kept.
    """

    offset: int
    data: bytes


class Oversized(Struct, frozen=True, gc=False):
    """A line longer than the limit.

    Attributes:
        offset: Bytes from the start of the file to the line's first byte.
        size: Bytes of the whole line, without the newline.
        head: First bytes of the line, at most 64 KiB.
    """

    offset: int
    size: int
    head: bytes


class LineFramer:
    r"""An incremental splitter of bytes into lines.

    Pass the result of each `recv` to `feed`; chunk boundaries do not matter. Lines end with `\n`. A
    line over `max_line` bytes becomes `Oversized`, and the next line is read as usual. A byte order
    mark at the start of the file is dropped from `data`; the offset of that line is 0.

    Attributes:
        offset: Start of the unfinished line; resume from here.
    """

    def __init__(self, *, base: int = 0, max_line: int = MAX_LINE) -> None:
        self.offset = base
        self._max_line = max_line
        self._head_limit = min(RAW_LIMIT, max_line)
        self._size = 0
        self._start = bytearray()

    @property
    def held(self) -> int:
        """Bytes held of the unfinished line, at most `max_line`."""
        return len(self._start)

    def feed(self, data: bytes) -> list[Line | Oversized]:
        """Add bytes and return the lines that they complete."""
        *finished, rest = data.split(NEWLINE)
        lines = [self._finish(part) for part in finished]
        self._hold(rest)
        return lines

    def close(self) -> Line | Oversized | None:
        """Return the last line if the bytes ended without a newline, else None."""
        if not self._size:
            return None
        last = self._line(bytes(self._start), self._size)
        self.offset += self._size
        self._reset()
        return last

    def _finish(self, part: bytes) -> Line | Oversized:
        if self._size:
            self._hold(part)
            line = self._line(bytes(self._start), self._size)
            self.offset += self._size + 1
            self._reset()
        else:
            line = self._line(part, len(part))
            self.offset += len(part) + 1
        return line

    def _line(self, start: bytes, size: int) -> Line | Oversized:
        is_oversized = size > self._max_line
        data = start[: self._head_limit] if is_oversized else start
        if self.offset == 0:
            data = data.removeprefix(BOM)
        if is_oversized:
            return Oversized(self.offset, size, data)
        return Line(self.offset, data)

    def _hold(self, part: bytes) -> None:
        self._size += len(part)
        if self._size <= self._max_line:
            self._start += part
        else:
            self._start += part[: self._head_limit]
            del self._start[self._head_limit :]

    def _reset(self) -> None:
        self._size = 0
        self._start.clear()
