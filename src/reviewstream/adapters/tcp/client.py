"""Reads a log of reviews from a server, with `transport.protocol`."""

import socket
from collections.abc import Generator
from types import TracebackType
from typing import Any, Final, NoReturn, Self

from reviewstream.adapters.tcp.access import ClientAuth
from reviewstream.adapters.tcp.range_answer import UPGRADE, Lines, RangeAnswer
from reviewstream.asking import asking
from reviewstream.core.records.parsing import MAX_LINE
from reviewstream.core.transport import protocol
from reviewstream.core.transport.protocol import Data, End, ErrorCode, Heartbeat, Hello, Latest
from reviewstream.errors import FatalError, ProtocolError, SourceReplacedError, TransientError

RECEIVED: Final = 256 << 10  # bytes received at once


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
        answer = RangeAnswer(self._where, wanted, self._size)
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
        raise ProtocolError(f"{self._where}: {what}: {UPGRADE}")
