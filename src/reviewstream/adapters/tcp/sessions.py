"""The server's side of the protocol for one client, with `transport.protocol`."""

import asyncio
import logging
import zlib
from dataclasses import dataclass
from typing import assert_never

from reviewstream.adapters.files.review_log import ANEW, ReviewLog
from reviewstream.adapters.tcp.channels import Channel
from reviewstream.adapters.tcp.served_log import ServedLog
from reviewstream.core.transport import protocol
from reviewstream.core.transport.framing import NEWLINE
from reviewstream.core.transport.protocol import ErrorCode
from reviewstream.errors import ProtocolError, SourceReplacedError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientSession:
    """A connected client.

    Attributes:
        where: Address of the client.
        channel: Channel of the client.
        greet_by: Deadline of its hello, by the event loop's clock.
    """

    where: str
    channel: Channel
    greet_by: float


async def answer_requests(served: ServedLog, client: ClientSession) -> None:
    """Answer requests until the client disconnects, breaks the protocol, or is idle too long."""
    session = _Session(served, client)
    decoder = protocol.request_decoder()
    try:
        while data := await session.receive():
            decoder.feed(data)
            while not session.is_over and (request := decoder.next_message()) is not None:
                await session.answer(request)
            if session.is_over:
                return
    except ProtocolError as err:
        await session.refuse(ErrorCode.BAD_REQUEST, err)


async def reject_client(served: ServedLog, client: ClientSession, why: str) -> None:
    """Refuse a client with the reason."""
    await _Session(served, client).refuse(ErrorCode.UNAVAILABLE, why)


class _Session:
    """Answers the requests of one client in sequence."""

    def __init__(self, served: ServedLog, client: ClientSession) -> None:
        self.is_over = False
        self._served = served
        self._client = client
        self._is_greeted = False
        self._fingerprint = ""  # of the client's version of the file

    async def receive(self) -> bytes:
        """Return the next bytes of the client; empty if the connection is to be closed."""
        now = asyncio.get_running_loop().time()
        until = now + self._served.idle if self._is_greeted else self._client.greet_by
        try:
            async with asyncio.timeout_at(until):
                return await self._client.channel.receive()
        except TimeoutError:
            await self._give_up()
            return b""

    async def _give_up(self) -> None:
        idle, handshake = self._served.idle, self._served.handshake
        if self._is_greeted:
            await self.refuse(ErrorCode.UNAVAILABLE, f"nothing was asked for {idle:g} s")
        else:
            await self.refuse(ErrorCode.BAD_REQUEST, f"no HelloRequest within {handshake:g} s")

    async def answer(self, request: protocol.Request) -> None:
        """Answer one request.

        Raises:
            ProtocolError: The request is invalid.
            ConnectionError: The client has disconnected.
        """
        try:
            await self._answer(request)
        except SourceReplacedError as err:
            await self.refuse(ErrorCode.REPLACED, err)
        except (ConnectionError, TimeoutError):
            raise
        except OSError as err:
            await self.refuse(ErrorCode.UNAVAILABLE, f"cannot read the file: {err}")

    async def refuse(self, code: ErrorCode, message: object) -> None:
        """Send an error reply."""
        await self._send(protocol.Error(code=code, message=str(message)).encode())

    async def _answer(self, request: protocol.Request) -> None:
        match request:
            case protocol.HelloRequest():
                await self._hello(request)
            case _ if not self._is_greeted:
                raise ProtocolError("the first message must be a HelloRequest")
            case protocol.LatestRequest():
                await self._latest(request)
            case protocol.ReadRequest():
                await self._read(request)
            case protocol.TailRequest():
                await self._tail(request)
            case _:
                assert_never(request)

    async def _send(self, data: bytes | memoryview) -> None:
        """Wait until the socket has accepted all bytes, at most for the idle time."""
        async with asyncio.timeout(self._served.idle):
            await self._client.channel.send(data)

    async def _hello(self, request: protocol.HelloRequest) -> None:
        if not self._served.auth.authorize(request.token):
            await self._forbid(has_token=request.token is not None)
            return
        if request.version != protocol.VERSION:
            versions = f"the client speaks version {request.version}, the server {protocol.VERSION}"
            await self.refuse(ErrorCode.VERSION, f"{versions}: upgrade the older one")
            return
        reply = await self._served.in_thread(_description, self._served.log, request.fingerprint)
        self._is_greeted = True
        self._fingerprint = request.fingerprint or reply.fingerprint
        await self._send(reply.encode())

    async def _forbid(self, *, has_token: bool) -> None:
        """Refuse and disconnect: without the token a client does not learn even the file's name."""
        what = "another token than the client's" if has_token else "a token"
        logger.warning("refused %s: it has no token, or a wrong one", self._client.where)
        self.is_over = True
        await self.refuse(
            ErrorCode.UNAUTHORIZED,
            f"the server asks for {what}: see source.token (REVIEWSTREAM_SOURCE__TOKEN)",
        )

    async def _latest(self, request: protocol.LatestRequest) -> None:
        if not await self._is_beyond(request.start):
            known = self._fingerprint
            reply = await self._served.in_thread(_admitted, self._served, request, known)
            self._fingerprint = reply.fingerprint
            await self._send(reply.encode())

    async def _read(self, request: protocol.ReadRequest) -> None:
        if request.start > request.end:
            raise ProtocolError(f"range {request.start} to {request.end}: give start <= end")
        if await self._is_beyond(request.end):
            return
        tally = _Tally()
        lines_in = self._served.log.lines_in
        start, stop = await self._served.in_thread(lines_in, request.start, request.end)
        if start == stop:  # sent bytes are checked later; another file may be empty here
            await self._served.in_thread(self._served.log.check, self._fingerprint)
        await self._send_data(start, stop, tally)
        await self._send(tally.end().encode())

    async def _tail(self, request: protocol.TailRequest) -> None:
        if await self._is_beyond(request.start):
            return
        tally = _Tally()
        next_line, known = self._served.log.next_line, self._fingerprint
        async for start, stop in self._served.ranges(request.start):
            if start == stop:
                await self._send(protocol.Heartbeat(head=stop).encode())
            else:
                first = await self._served.in_thread(next_line, start, stop, known)
                await self._send_data(first, stop, tally)
        await self._send(tally.end().encode())

    async def _is_beyond(self, offset: int) -> bool:
        log = self._served.log
        size = log.size()
        if offset > size:
            text = f"offset {offset} is beyond the end of {log.source} ({size} bytes)"
            fix = f"serve the file that was read before, or read this one {ANEW}"
            await self.refuse(ErrorCode.BEYOND_END, f"{text}: {fix}")
        return offset > size

    async def _send_data(self, start: int, stop: int, tally: "_Tally") -> None:
        while start < stop:
            start += await self._send_piece(start, stop - start, tally)

    async def _send_piece(self, start: int, wanted: int, tally: "_Tally") -> int:
        """Send the next bytes and return their number; only the socket's buffer reads ahead."""
        with self._served.budget.piece(wanted) as size:
            data = await self._served.in_thread(self._load, start, size, tally)
            await self._send_chunks(start, data)
            return size

    async def _send_chunks(self, start: int, data: bytes) -> None:
        size = self._served.chunk_bytes
        for begin in range(0, len(data), size):
            chunk = memoryview(data)[begin : begin + size]
            await self._send(protocol.data_header(start + begin, len(chunk)))
            await self._send(chunk)

    def _load(self, start: int, size: int, tally: "_Tally") -> bytes:
        data = self._served.log.read(start, size)
        self._served.log.check(self._fingerprint)  # after reading: other bytes are not sent
        tally.add(data)
        return data


class _Tally:
    """Line count and checksum of the sent bytes, which the client verifies."""

    def __init__(self) -> None:
        self._newlines = 0
        self._crc32 = 0
        self._last = NEWLINE

    def add(self, data: bytes) -> None:
        """Add the next bytes."""
        # Ten times as fast as `count`, which compares byte by byte.
        self._newlines += len(data) - len(data.replace(NEWLINE, b""))
        self._crc32 = zlib.crc32(data, self._crc32)
        self._last = data[-1:]

    def end(self) -> protocol.End:
        """Return the final message; the last line may lack a newline."""
        return protocol.End(lines=self._newlines + (self._last != NEWLINE), crc32=self._crc32)


def _description(log: ReviewLog, fingerprint: str | None) -> protocol.Hello:
    try:
        is_same = fingerprint is None or log.matches(fingerprint)
    except ValueError as err:
        raise ProtocolError(f"malformed fingerprint: {err}") from err
    if not is_same:
        raise SourceReplacedError(
            f"{log.source} is not the file that was read before (its content differs):"
            f" serve the former file, or read this one {ANEW}"
        )
    hello = protocol.Hello(
        source=log.source, size=log.head(), fingerprint=log.fingerprint(), follow=log.follow
    )
    log.check()  # last: the whole reply describes one file
    return hello


def _admitted(served: ServedLog, request: protocol.LatestRequest, known: str) -> protocol.Latest:
    head = max(request.start, served.throttle.head(request.start))
    start = served.log.next_line(request.start, head, known)
    offset = served.log.latest(start, head, max_rows=request.max_rows, max_bytes=request.max_bytes)
    fingerprint = served.log.fingerprint(upto=offset)
    served.log.check(known)  # last: the new fingerprint belongs to the same file
    return protocol.Latest(offset=offset, head=head, fingerprint=fingerprint, start=start)
