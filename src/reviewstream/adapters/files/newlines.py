"""The positions of a file's newlines.

A file of reviews only grows, so each block is counted once for all readers: many readers that ask
for the readable end cost the server one pass over the file.
"""

from collections.abc import Callable
from typing import Final

from reviewstream.core.transport.framing import NEWLINE

BLOCK: Final = 256 << 10  # bytes


class Newlines:
    """Finds and counts newlines; thread-safe."""

    def __init__(self, read: Callable[[int, int], bytes], *, block: int = BLOCK) -> None:
        """Create an index of a file.

        Args:
            read: Returns `size` bytes at an offset.
            block: Bytes that are searched at once.
        """
        self._read = read
        self._block = block
        self._counted: dict[int, int] = {}  # newlines of the whole block that starts there

    def skip(self, start: int, rows: int, end: int) -> int:
        """Return the offset after `rows` lines, at most `end`."""
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
        """Return the start of the first line at or after `offset`, at most `end`."""
        if offset == 0:
            return 0
        offset -= 1  # a newline there means that a line starts at `offset`
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
        """Return the number of newlines in a piece of a block."""
        found = self._counted.get(start)
        if found is None or stop - start < self._block:
            piece = self._read(start, stop - start)
            # Several times as fast as `count`, which compares byte by byte.
            found = len(piece) - len(piece.replace(NEWLINE, b""))
            self._keep(start, stop, found)
        return found

    def _search(self, start: int, stop: int, find: Callable[[bytes, bytes], int]) -> int:
        """Return the position of a newline in a piece of a block, or -1."""
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
