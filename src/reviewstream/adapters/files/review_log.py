"""A review file as a log: an offset is the byte offset of a line's start."""

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, ClassVar, Final, Self

from reviewstream.adapters.files.newlines import BLOCK, Newlines
from reviewstream.core.records.parsing import MAX_LINE
from reviewstream.core.transport.framing import NEWLINE, Line, LineFramer, Oversized
from reviewstream.errors import SourceReplacedError

FINGERPRINTED: Final = 64 << 10  # bytes from the start of the file
SAMPLED: Final = 4 << 10  # bytes before an offset
MAX_SAMPLES: Final = 4  # in a client's fingerprint
BLANK: Final = b" \t\r"  # bytes before a newline that do not change the line

ANEW: Final = "with a new checkpoint and a name of its own (serve --name)"
_RESTART: Final = f"restart the server, and read the new file {ANEW}"


class ReviewLog:
    """Reads an open file by offset; thread-safe.

    Attributes:
        source: Name of the source in the origins of its lines.
        follow: The file may grow; a last line without a newline is then incomplete.
    """

    BLOCK: ClassVar = BLOCK
    COUNTED: ClassVar = 64 << 20  # bytes that are searched for lines in one answer

    def __init__(  # noqa: PLR0913 - facts about one file, all named
        self,
        file: IO[bytes],
        *,
        source: str,
        path: Path | None = None,
        base: int = 0,
        size: int | None = None,
        follow: bool = False,
    ) -> None:
        """Create a log over an open file.

        Args:
            file: Closed with the log.
            source: Name of the source in the origins of its lines.
            path: Checked for replacement by another file; None if the file is private.
            base: Bytes before the log's first byte.
            size: Bytes of the log; None for all bytes after `base`.
            follow: The file may grow.
        """
        self.source = source
        self.follow = follow
        self._file = file
        self._path = path
        self._base = base
        self._size = os.fstat(file.fileno()).st_size - base if size is None else size
        self._complete = 0
        self._searched = 0
        self._newlines = Newlines(self.read, block=self.BLOCK)
        self._lock = threading.Lock()
        self._opened = self.fingerprint(upto=self._size)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file, which deletes a temporary copy."""
        self._file.close()

    def size(self) -> int:
        """Return the current number of bytes of the log.

        Raises:
            SourceReplacedError: The file was truncated, or another is in its place.
        """
        known = self._base + self._size  # read first: another thread may see growth later
        found = os.fstat(self._file.fileno())
        if found.st_size < known:
            raise SourceReplacedError(
                f"{self.source} was cut short: {found.st_size} bytes, {known} before; {_RESTART}"
            )
        if self._path is not None and self._is_another(self._path, found):
            raise SourceReplacedError(
                f"{self.source} was replaced by another file while it was served; {_RESTART}"
            )
        if self.follow:
            self._size = max(self._size, found.st_size)
        return self._size

    def head(self) -> int:
        """Return the current end of the complete lines.

        Raises:
            SourceReplacedError: See `size`.
        """
        size = self.size()
        if not self.follow:
            return size
        with self._lock:
            end = self._newlines.after_last(self._searched, size)
            if end > self._searched:
                self._complete = end
            self._searched = size  # a long incomplete line is not searched again
            return self._complete

    def fingerprint(self, upto: int = 0) -> str:
        """Return samples of the content: of the file's beginning, and of the bytes before `upto`.

        A sample is `N-HEX` or `OFFSET+N-HEX`: SHA-256 of the N bytes at the offset.
        """
        beginning = self._sample(0, min(FINGERPRINTED, self.size()))
        if not upto:
            return beginning
        start = max(0, upto - SAMPLED)
        return f"{beginning},{start}+{self._sample(start, upto - start)}"

    def check(self, fingerprint: str | None = None) -> None:
        """Check that the file was not overwritten, which its inode and size do not show.

        Args:
            fingerprint: Expected fingerprint; by default the one from the time of opening.

        Raises:
            SourceReplacedError: It was overwritten.
        """
        if not self.matches(fingerprint or self._opened):
            raise SourceReplacedError(
                f"{self.source} was written over while it was served; {_RESTART}"
            )

    def matches(self, fingerprint: str) -> bool:
        """Say whether the file has the samples of a fingerprint.

        Raises:
            ValueError: The fingerprint is malformed.
        """
        samples = fingerprint.split(",")
        if len(samples) > MAX_SAMPLES:
            raise ValueError(f"fingerprint of {len(samples)} samples (limit {MAX_SAMPLES})")
        found = [self._has(sample) for sample in samples]  # checks all, to refuse malformed ones
        return all(found)

    def _has(self, sample: str) -> bool:
        digest = sample.rpartition("+")[2]
        start, size = _place_of(sample)
        if not (0 <= size <= FINGERPRINTED and start >= 0):
            raise ValueError(f"fingerprint of {size} bytes at {start} (limit {FINGERPRINTED})")
        return start + size <= self.size() and self._sample(start, size) == digest

    def _sample(self, start: int, size: int) -> str:
        return f"{size}-{hashlib.sha256(self.read(start, size)).hexdigest()}"

    def read(self, offset: int, size: int) -> bytes:
        """Return bytes of the log.

        Raises:
            SourceReplacedError: They no longer exist.
        """
        pieces = []
        while size:
            piece = os.pread(self._file.fileno(), size, self._base + offset)
            if not piece:
                raise SourceReplacedError(f"{self.source} was cut short: no byte {offset} any more")
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def locate(self, offset: int) -> tuple[IO[bytes], int]:
        """Return the open file and the position of a byte of the log in it, for `sendfile`."""
        return self._file, self._base + offset

    def lines(self, progress: Callable[[int, int], None]) -> Iterator[Line | Oversized]:
        """Yield all current lines, and call `progress` with the bytes done and the total."""
        framer, size = LineFramer(), self.size()
        for start in range(0, size, self.BLOCK):
            block = self.read(start, min(self.BLOCK, size - start))
            yield from framer.feed(block)
            progress(start + len(block), size)
        last = framer.close()
        if last is not None:
            yield last

    def lines_in(self, start: int, end: int) -> tuple[int, int]:
        """Return the byte range of the lines that start in [start, end)."""
        size = self.size()
        end = min(end, size)
        first = self._newlines.line_start(
            start, end
        )  # not beyond `end`: a long line is requested in many pieces
        return (first, self._newlines.line_start(end, size)) if first < end else (end, end)

    def next_line(self, reader: int, head: int, known: str) -> int:
        """Return the start of a reader's next line: before `reader` if its last line has grown.

        The last line of a file that is not followed may lack a newline. It may have been read
        incompletely, which shows only when the file has grown.

        Args:
            reader: Offset of the reader.
            head: End of all lines.
            known: Fingerprint of the reader; samples end at offsets that it was sent to.
        """
        if not 0 < reader < head or self.read(reader - 1, 1) == NEWLINE:
            return reader
        rest = self.read(reader, min(self.BLOCK, head - reader)).partition(NEWLINE)[0]
        if rest.strip(BLANK) and reader in map(_end_of, known.split(",")):
            begin = self._newlines.after_last(max(0, reader - MAX_LINE - 1), reader)
            if reader - begin <= MAX_LINE:  # a longer one was rejected already
                return begin
        return self._newlines.line_start(reader, head)

    def latest(
        self, start: int, head: int, *, max_rows: int | None = None, max_bytes: int | None = None
    ) -> int:
        """Return the end of the lines that a reader at `start` may read, at least one line.

        Args:
            start: Offset of the reader; within a line it continues with the next line.
            head: End of all lines.
            max_rows: Maximum number of lines.
            max_bytes: Maximum number of bytes, unless the first line is longer.
        """
        if start >= head:
            return start
        if max_rows is None and max_bytes is None:
            return head
        first = self._newlines.line_start(start, head)
        most = self.COUNTED if max_rows is not None else head
        end = self._admitted(first, min(most, max_bytes or head), head)
        return end if max_rows is None else self.skip(first, max_rows, end)

    def skip(self, start: int, rows: int, end: int) -> int:
        """Return the offset after `rows` lines, at most `end`."""
        return self._newlines.skip(start, rows, end)

    def _admitted(self, first: int, size: int, head: int) -> int:
        """Return the end of the lines in `size` bytes, or of the first line if it is longer."""
        if first + size >= head:
            return head
        end = self._newlines.after_last(first, first + size)
        return end if end > first else self._newlines.line_start(first + 1, head)

    @staticmethod
    def _is_another(path: Path, opened: os.stat_result) -> bool:
        try:
            return not os.path.samestat(path.stat(), opened)
        except FileNotFoundError:
            return False  # a deleted file that is open can still be read


def _place_of(sample: str) -> tuple[int, int]:
    """Return the offset and the size of a sample."""
    place, plus, digest = sample.rpartition("+")
    return int(place) if plus else 0, int(digest.partition("-")[0])


def _end_of(sample: str) -> int:
    return sum(_place_of(sample))
