"""Where the newlines of a file are.

A file of reviews only grows, so a block of it is counted once, whoever asks: many readers that ask
how far they may go cost the server one pass through the file.
"""

from collections.abc import Callable
from typing import Final

from reviewstream.core.transport.framing import NEWLINE

BLOCK: Final = 256 << 10  # bytes


class Newlines:
    """Finds and counts newlines; may be used from any thread."""

    def __init__(self, read: Callable[[int, int], bytes], *, block: int = BLOCK) -> None:
        """Take a file.

        Args:
            read: Returns the bytes at an offset, so many.
            block: Bytes that are looked through at once.
        """
        self._read = read
        self._block = block
        self._counted: dict[int, int] = {}  # newlines in the whole block that starts there

    def skip(self, start: int, rows: int, end: int) -> int:
        """Return the offset after so many lines, at most `end`."""
        offset = start
        while offset < end:
            stop = min(self._block_end(offset), end)
            found = self._count(offset, stop)
            if found >= rows:
                return offset + _after_nth(self._read(offset, stop - offset), rows)
            rows -= found
            offset = stop
        return end

    def line_start(self, offset: int, end: int) -> int:
        """Return where the first line at or after `offset` starts, at most `end`."""
        if offset == 0:
            return 0
        offset -= 1  # a newline there says that a line starts at `offset` itself
        while offset < end:
            stop = min(self._block_end(offset), end)
            found = self._search(offset, stop, bytes.find)
            if found >= 0:
                return offset + found + 1
            offset = stop
        return end

    def after_last(self, start: int, end: int) -> int:
        """Return the offset after the last newline in [start, end), or `start`."""
        while end > start:
            begin = max(start, (end - 1) // self._block * self._block)
            found = self._search(begin, end, bytes.rfind)
            if found >= 0:
                return begin + found + 1
            end = begin
        return start

    def _block_end(self, offset: int) -> int:
        return (offset // self._block + 1) * self._block

    def _count(self, start: int, stop: int) -> int:
        """Return the newlines in a piece of a block."""
        found = self._counted.get(start)
        if found is None or stop - start < self._block:
            piece = self._read(start, stop - start)
            # Some times as fast as `count`, which looks at byte after byte.
            found = len(piece) - len(piece.replace(NEWLINE, b""))
            self._keep(start, stop, found)
        return found

    def _search(self, start: int, stop: int, find: Callable[[bytes, bytes], int]) -> int:
        """Return where a newline is in a piece of a block, or -1."""
        if self._counted.get(start) == 0:
            return -1
        found = find(self._read(start, stop - start), NEWLINE)
        if found < 0:
            self._keep(start, stop, 0)
        return found

    def _keep(self, start: int, stop: int, newlines: int) -> None:
        if stop - start == self._block:
            self._counted[start] = newlines


def _after_nth(piece: bytes, count: int) -> int:
    end = 0
    for _ in range(count):
        end = piece.index(NEWLINE, end) + 1
    return end
