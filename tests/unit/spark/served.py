"""A review server without sockets: what `LineReader` promises, over bytes in memory."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from reviewstream.core.transport.framing import Line, LineFramer, Oversized
from reviewstream.core.transport.protocol import Hello, Latest
from reviewstream.errors import SourceReplacedError, TransientError

AWAY = "nobody listens on 127.0.0.1:9999"


def fingerprint_of(data: bytes) -> str:
    return f"{len(data)}-{hashlib.sha256(data).hexdigest()}"


@dataclass
class Served:
    """A file and its server; every reader of it is one connection.

    Attributes:
        outages: For the next calls, one after another: whether the server is away.
        broken: For the next reads: after how many lines the connection breaks.
        sample: The fingerprint in the answers to LATEST.
    """

    data: bytes
    sample: str = ""
    outages: list[bool] = field(default_factory=list)
    broken: list[int] = field(default_factory=list)
    connections: int = 0
    closed: int = 0

    def connect(self) -> "FakeReader":
        self.connections += 1
        return FakeReader(self)

    def lines(self) -> list[Line | Oversized]:
        framer = LineFramer()
        lines = framer.feed(self.data)
        last = framer.close()
        return lines if last is None else [*lines, last]

    def answer(self) -> None:
        if self.outages and self.outages.pop(0):
            raise TransientError(AWAY)


@dataclass
class FakeReader:
    served: Served

    def hello(self, fingerprint: str | None = None) -> Hello:
        self.served.answer()
        size = int((fingerprint or "0-").partition("-")[0])
        start = self.served.data[:size]
        if fingerprint and (len(start) < size or fingerprint_of(start) != fingerprint):
            raise SourceReplacedError("reviews.json is another file now")
        size = len(self.served.data)
        return Hello(
            source="reviews.json", size=size, fingerprint=fingerprint_of(self.served.data[:64])
        )

    def latest(
        self, start: int, *, max_rows: int | None = None, max_bytes: int | None = None
    ) -> Latest:
        self.served.answer()
        head = len(self.served.data)
        begin = self._begin_of(start)
        ends = [line.offset for line in self.served.lines() if line.offset > begin] + [head]
        admitted = ends[: max_rows or len(ends)]
        if max_bytes is not None:
            admitted = [end for end in admitted if end <= start + max_bytes] or admitted[:1]
        end = admitted[-1] if start < head else start
        return Latest(offset=end, head=head, fingerprint=self.served.sample, start=begin)

    def _begin_of(self, start: int) -> int:
        """Return where the line begins that `start` is in the middle of; otherwise `start`."""
        is_end = start >= len(self.served.data)
        return start if is_end else self.served.data.rfind(b"\n", 0, start) + 1

    def read(self, start: int, end: int) -> Iterator[list[Line | Oversized]]:
        self.served.answer()
        left = self.served.broken.pop(0) if self.served.broken else None
        for line in self.served.lines():
            if not start <= line.offset < end:
                continue
            if left == 0:
                raise TransientError("connection reset")
            left = None if left is None else left - 1
            yield [line]

    def close(self) -> None:
        self.served.closed += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
