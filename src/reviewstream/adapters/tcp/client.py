"""Reads a log of reviews from a server, with `transport.protocol`."""

import socket
import zlib
from collections.abc import Generator
from types import TracebackType
from typing import Any, Final, NoReturn, Self, TypeAlias

from reviewstream.adapters.tcp.access import ClientAuth
from reviewstream.asking import asking
from reviewstream.core.records.parsing import MAX_LINE
from reviewstream.core.transport import protocol
from reviewstream.core.transport.framing import Line, LineFramer, Oversized
from reviewstream.core.transport.protocol import Data, End, ErrorCode, Heartbeat, Hello, Latest
from reviewstream.errors import FatalError, ProtocolError, SourceReplacedError, TransientError

RECEIVED: Final = 256 << 10  # bytes received at once
GROWN: Final = 1 << 20  # bytes that a last line may have gained since the server reported its size
LONGEST: Final = 4 << 30  # bytes of a line after the requested range
Lines: TypeAlias = list[Line | Oversized]

_UPGRADE: Final = "the server breaks the protocol; run `reviewstream serve` in the client's version"


class ReviewClient:
    """One connection to a server, opened on demand and reopened after an error.

    After its first `hello` it continues only with the same file. It can be pickled: the copy opens
    a new connection.
    """

    def __init__(
        self, host: str, port: int, *, timeout: float = 30.0, access: ClientAuth | None = None
    ) -> None:
        """Store the address.

        Args:
            host: Host of the server.
            port: Port of the server's protocol, not of its plain lines.
            timeout: Seconds without data after which the server counts as unavailable.
            access: TLS and token; by default neither.
        """
        self._access = access or ClientAuth()
        self._address = (host, port)
        self._timeout = timeout
        self._fingerprint: str | None = None
        self._size = 0
        self._socket: socket.socket | None = None
        self._decoder = protocol.reply_decoder()
        self._is_answering = False
        self._standing = (0, 0)  # start of the last `latest` request, and of the lines in its reply

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_socket": None, "_decoder": None, "_is_answering": False}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ = state | {"_decoder": protocol.reply_decoder()}

    def close(self) -> None:
        """Disconnect; the next call connects again."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def hello(self, fingerprint: str | None = None) -> Hello:
        """Ask for the file's description.

        Args:
            fingerprint: Fingerprint of the file that was begun with, if any.

        Raises:
            SourceReplacedError: The server serves another file now.
            TransientError: The server is unavailable.
            FatalError: It requires a token, or another one.
            ConfigError: It does not speak TLS, or its certificate is not trusted.
            ProtocolError: It is not a review server.
        """
        self._fingerprint = fingerprint or self._fingerprint
        self.close()
        return self._connect()

    def latest(
        self, start: int, *, max_rows: int | None = None, max_bytes: int | None = None
    ) -> Latest:
        """Ask for the end up to which a reader at `start` may read.

        A `read` from the same `start` then begins at the reply's start, which is before it if the
        last line before `start` has grown.

        Args:
            start: Offset of the reader.
            max_rows: Maximum number of lines.
            max_bytes: Maximum number of bytes; one line is admitted even if it is longer.

        Raises:
            SourceReplacedError: The file ends before `start`, or is another.
            TransientError: The server is unavailable.
            ProtocolError: It is not a review server, or its answer is before `start`.
        """
        self._ask(protocol.LatestRequest(start=start, max_rows=max_rows, max_bytes=max_bytes))
        reply = self._reply()
        if not isinstance(reply, Latest):
            self._unexpected(reply)
        if not start <= reply.offset <= reply.head:
            self._wrong(f"LATEST from {start} is answered with {reply.offset} of {reply.head}")
        self._fingerprint = reply.fingerprint or self._fingerprint
        begin = start if reply.start is None else min(start, reply.start)
        if start - begin > MAX_LINE:
            self._wrong(f"LATEST from {start} is answered with lines from {begin} on")
        self._standing = start, begin
        self._size = max(self._size, reply.head)
        return reply

    def read(self, start: int, end: int) -> Generator[Lines, None, None]:
        """Yield all lines that start in [start, end).

        They are valid only if the iterator ends without an error: line count and checksum are
        compared at the end.

        Raises:
            SourceReplacedError: The file ends before `end`, or is another.
            TransientError: The server disconnected, or bytes were damaged.
            ProtocolError: It is not a review server, or sends other bytes than requested.
        """
        asked, begin = self._standing
        start = begin if start == asked < end else start
        return self._lines(protocol.ReadRequest(start=start, end=end), range(start, end))

    def tail(self, start: int) -> Generator[Lines, None, None]:
        """Yield all lines that start at or after `start`, including future ones.

        An empty list means that there is no new line. Ends only if the file does not grow.

        Raises:
            SourceReplacedError: The file ends before `start`, or is another.
            TransientError: The server disconnected, or bytes were damaged.
            ProtocolError: It is not a review server, or sends other bytes than requested.
        """
        # It may begin earlier, with the last line before `start`, if that line has grown.
        wanted = range(max(0, start - MAX_LINE), protocol.MAX_OFFSET)
        return self._lines(protocol.TailRequest(start=start), wanted)

    def _lines(
        self, request: protocol.ReadRequest | protocol.TailRequest, wanted: range
    ) -> Generator[Lines, None, None]:
        self._ask(request)
        answer = _Answer(self._where, wanted, self._size)
        self._is_answering = True
        try:
            while not isinstance(reply := self._reply(), End):
                match reply:
                    case Data():
                        yield answer.add(reply)
                    case Heartbeat() if isinstance(request, protocol.TailRequest):
                        yield []
                    case _:
                        self._unexpected(reply)
            last = answer.finish(reply)
            answer.is_whole = True
        finally:
            self._is_answering = False
            if not answer.is_whole:
                self.close()  # the rest of the answer would be read as the next answer
        if last:
            yield last

    def _ask(self, request: protocol.Request) -> None:
        if self._is_answering:
            raise RuntimeError("one answer at a time: finish or close the former iterator")
        if self._socket is None:
            self._connect()
        self._send(request)

    def _connect(self) -> Hello:
        try:
            with asking(self._who):
                self._socket = self._access.open(*self._address, self._timeout)
        except OSError as err:
            self._away(err)
        self._decoder = protocol.reply_decoder()
        token = self._access.secret_value
        self._send(protocol.HelloRequest(fingerprint=self._fingerprint, token=token))
        reply = self._reply()
        if not isinstance(reply, Hello):
            self._unexpected(reply)
        self._fingerprint = self._fingerprint or reply.fingerprint
        self._size = reply.size
        return reply

    def _send(self, request: protocol.Request) -> None:
        assert self._socket is not None  # noqa: S101 - connected by the callers
        try:
            self._socket.sendall(request.encode())
        except OSError as err:
            self._away(err)

    def _reply(self) -> protocol.Reply:
        """Return the next message; disconnect on an error."""
        try:
            while (reply := self._decoder.next_message()) is None:
                self._decoder.feed(self._receive())
        except ProtocolError as err:
            self.close()
            raise ProtocolError(f"{self._where}: {err}; is it the port of the protocol?") from err
        except BaseException:  # also an interrupt: the reply would be read as the next reply
            self.close()
            raise
        if isinstance(reply, protocol.Error):
            self._refused(reply)
        return reply

    def _receive(self) -> bytes:
        assert self._socket is not None  # noqa: S101 - connected by the callers
        try:
            with asking(self._who):
                data = self._socket.recv(RECEIVED)
        except OSError as err:
            self._away(err)
        if not data:
            self._away("it hung up")
        return data

    @property
    def _where(self) -> str:
        host, port = self._address
        return f"{host}:{port}"

    @property
    def _who(self) -> str:
        return f"the review server at {self._where}"

    def _away(self, why: object) -> NoReturn:
        self.close()
        port = self._address[1]
        raise TransientError(
            f"no review server at {self._where} ({why}): start it with"
            f" `reviewstream serve FILE --port {port}`"
        ) from (why if isinstance(why, OSError) else None)

    def _refused(self, error: protocol.Error) -> NoReturn:
        self.close()
        text = f"{self._where}: {error.message}"
        match error.code:
            case ErrorCode.REPLACED | ErrorCode.BEYOND_END:
                raise SourceReplacedError(text)
            case ErrorCode.UNAVAILABLE:
                raise TransientError(text)
            case ErrorCode.UNAUTHORIZED:
                raise FatalError(text)
            case _:
                raise ProtocolError(text)

    def _unexpected(self, reply: protocol.Reply) -> NoReturn:
        self._wrong(f"unexpected {type(reply).__name__}")

    def _wrong(self, what: str) -> NoReturn:
        self.close()
        raise ProtocolError(f"{self._where}: {what}: {_UPGRADE}")


class _Answer:
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
            raise ProtocolError(f"{self._where}: {sent} instead of {self._next}: {_UPGRADE}")
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
            raise ProtocolError(f"{self._where}: asked for {asked}, it sends {sent}: {_UPGRADE}")

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
