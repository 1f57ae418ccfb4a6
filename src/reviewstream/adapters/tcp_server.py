"""Serves a log of reviews over TCP: by `wire.protocol`, and as plain lines on a second port."""

import asyncio
import contextlib
import errno
import ipaddress
import threading
import time
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final, ParamSpec, TypeVar, assert_never

from reviewstream.adapters.arrivals import Arrivals
from reviewstream.adapters.files import open_log
from reviewstream.adapters.review_log import ReviewLog
from reviewstream.errors import ConfigError, ProtocolError, SourceReplacedError
from reviewstream.wire import protocol
from reviewstream.wire.framing import NEWLINE
from reviewstream.wire.protocol import ErrorCode

READERS: Final = 4  # threads that read the file
RECEIVED: Final = 64 << 10  # bytes taken from a socket at once

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """How to serve.

    Attributes:
        host: A loopback address.
        port: Of the protocol; 0 takes a free one.
        plain_port: Of the plain lines; 0 takes a free one, None serves none.
        chunk_bytes: Bytes of the file in one message, at most 1 MiB.
        rate: Lines per second that become readable; None for all at once.
        heartbeat: Seconds of silence after which a tailing client is sent a heartbeat.
        poll: Seconds between looks for new lines.
    """

    host: str = "127.0.0.1"
    port: int = 0
    plain_port: int | None = None
    chunk_bytes: int = 256 << 10
    rate: float | None = None
    heartbeat: float = 2.0
    poll: float = 0.05

    def __post_init__(self) -> None:
        if not 1 <= self.chunk_bytes <= protocol.MAX_CHUNK:
            limit = protocol.MAX_CHUNK
            raise ConfigError(f"--chunk-bytes {self.chunk_bytes}: give 1 to {limit}")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise ConfigError(f"--rate {self.rate:g}: give a number of lines per second above 0")
        if not _is_loopback(self.host):
            raise ConfigError(
                f"--host {self.host} is open to others, and the server asks for no token yet:"
                " listen on 127.0.0.1 and reach it through an SSH tunnel"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Where a server listens. `plain_port`: of the plain lines, if it serves them."""

    host: str
    port: int
    plain_port: int | None = None


class ReviewServer:
    """Serves one log to any number of clients."""

    def __init__(
        self,
        log: ReviewLog,
        options: ServeOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log = log
        self.options = options or ServeOptions()
        self.clock = clock
        self.arrivals = Arrivals(log, rate=self.options.rate, clock=clock)
        self._listeners: list[asyncio.Server] = []
        self._clients: set[asyncio.Task[None]] = set()
        self._threads = ThreadPoolExecutor(READERS, thread_name_prefix="review-log")

    async def start(self) -> ServerAddress:
        """Listen.

        Raises:
            ConfigError: a port is taken; says what to do.
        """
        options = self.options
        try:
            port = await self._listen("--port", options.port, _Connection)
            plain_port = None
            if options.plain_port is not None:
                plain_port = await self._listen("--plain-port", options.plain_port, _PlainLines)
        except ConfigError:
            await self.stop()
            raise
        return ServerAddress(host=options.host, port=port, plain_port=plain_port)

    async def stop(self) -> None:
        """Hang up on everyone, and return when no one reads the log any more."""
        for listener in self._listeners:
            listener.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        for listener in self._listeners:
            await listener.wait_closed()
        self._threads.shutdown(cancel_futures=True)

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Run what reads the file without holding up the other clients."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self._threads, lambda: function(*args, **kwargs))

    async def _listen(self, flag: str, port: int, kind: "type[_Client]") -> int:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None  # noqa: S101 - this is a coroutine
            self._clients.add(task)
            try:
                await kind(self, reader, writer).run()
            finally:
                self._clients.discard(task)

        try:
            listener = await asyncio.start_server(serve, _address(self.options.host), port)
        except (OSError, OverflowError) as err:
            raise _cannot_listen(flag, self.options.host, port, err) from err
        self._listeners.append(listener)
        return int(listener.sockets[0].getsockname()[1])


class _Client:
    """One connection."""

    def __init__(
        self, server: ReviewServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self.server = server
        self.reader = reader
        self.writer = writer
        # `drain` then waits until the socket has taken everything: one chunk at most is held.
        writer.transport.set_write_buffer_limits(0)

    async def run(self) -> None:
        """Talk until either side hangs up."""
        try:
            await self.talk()
        except ConnectionError:
            pass  # the client went away: it will resume, or not
        finally:
            self.writer.transport.abort()  # all that was written before has been drained

    async def talk(self) -> None:
        """Answer."""
        raise NotImplementedError

    async def send(self, *pieces: bytes) -> None:
        """Write, and wait until the socket has taken it."""
        for piece in pieces:
            self.writer.write(piece)
        await self.writer.drain()

    async def arrivals(self, offset: int) -> AsyncIterator[tuple[int, int]]:
        """Give the ranges that become readable, and now and then an empty one.

        Ends with a file that does not grow.
        """
        server = self.server
        quiet_since = server.clock()
        while True:
            head = await server.in_thread(server.arrivals.head, offset)
            now = server.clock()
            if head > offset or now - quiet_since >= server.options.heartbeat:
                yield offset, max(offset, head)
                offset, quiet_since = max(offset, head), now
            elif not server.log.follow and offset >= server.log.size():
                return
            else:
                await asyncio.sleep(server.options.poll)

    async def chunks(
        self, start: int, stop: int, tally: "_Tally | None" = None
    ) -> AsyncIterator[tuple[int, bytes]]:
        """Give the bytes of a range; the next are read while these are sent."""
        ahead = self._read(start, stop, tally)
        try:
            while ahead is not None:
                data = await ahead
                ahead = self._read(start + len(data), stop, tally)
                yield start, data
                start += len(data)
        finally:
            if ahead is not None:
                ahead.cancel()

    def _read(self, start: int, stop: int, tally: "_Tally | None") -> asyncio.Future[bytes] | None:
        def read() -> bytes:
            data = self.server.log.read(start, size)
            if tally is not None:
                tally.add(data)
            return data

        size = min(self.server.options.chunk_bytes, stop - start)
        return self.server.in_thread(read) if size > 0 else None


class _PlainLines(_Client):
    """The file from its beginning, as `nc` and Spark's `socket` source want it."""

    async def talk(self) -> None:
        with contextlib.suppress(SourceReplacedError):  # no way to say it but to hang up
            async for start, stop in self.arrivals(0):
                async for _, data in self.chunks(start, stop):
                    await self.send(data)


class _Connection(_Client):
    """A client that speaks the protocol."""

    greeted = False

    async def talk(self) -> None:
        decoder = protocol.request_decoder()
        while data := await self.reader.read(RECEIVED):
            decoder.feed(data)
            try:
                while (request := decoder.next_message()) is not None:
                    await self._answer(request)
            except ProtocolError as err:
                await self._refuse(ErrorCode.BAD_REQUEST, err)
                return

    async def _answer(self, request: protocol.Request) -> None:
        try:
            await self._dispatch(request)
        except SourceReplacedError as err:
            await self._refuse(ErrorCode.REPLACED, err)
        except ConnectionError:
            raise
        except OSError as err:
            await self._refuse(ErrorCode.UNAVAILABLE, f"cannot read the file: {err}")

    async def _dispatch(self, request: protocol.Request) -> None:
        match request:
            case protocol.HelloRequest():
                await self._hello(request)
            case _ if not self.greeted:
                raise ProtocolError("the first message must be a HelloRequest")
            case protocol.LatestRequest():
                await self._latest(request)
            case protocol.ReadRequest():
                await self._send_range(request)
            case protocol.TailRequest():
                await self._tail(request)
            case _:
                assert_never(request)

    async def _refuse(self, code: ErrorCode, message: object) -> None:
        await self.send(protocol.Error(code=code, message=str(message)).encode())

    async def _hello(self, request: protocol.HelloRequest) -> None:
        if request.version != protocol.VERSION:
            versions = f"the client speaks version {request.version}, the server {protocol.VERSION}"
            await self._refuse(ErrorCode.VERSION, f"{versions}: upgrade the older one")
            return
        reply = await self.server.in_thread(self._description, request.fingerprint)
        self.greeted = True
        await self.send(reply.encode())

    def _description(self, fingerprint: str | None) -> protocol.Hello:
        log = self.server.log
        try:
            is_same = fingerprint is None or log.matches(fingerprint)
        except ValueError as err:
            raise ProtocolError(f"malformed fingerprint: {err}") from err
        if not is_same:
            raise SourceReplacedError(
                f"{log.source} is not the file that was read before (its beginning differs):"
                " serve the former file, or read this one with a new checkpoint"
            )
        return protocol.Hello(
            source=log.source, size=log.head(), fingerprint=log.fingerprint(), follow=log.follow
        )

    async def _latest(self, request: protocol.LatestRequest) -> None:
        if await self._is_beyond(request.start):
            return
        reply = await self.server.in_thread(self._admitted, request)
        await self.send(reply.encode())

    def _admitted(self, request: protocol.LatestRequest) -> protocol.Latest:
        head = max(request.start, self.server.arrivals.head(request.start))
        offset = self.server.log.latest(
            request.start, head, max_rows=request.max_rows, max_bytes=request.max_bytes
        )
        return protocol.Latest(offset=offset, head=head)

    async def _send_range(self, request: protocol.ReadRequest) -> None:
        if request.start > request.end:
            raise ProtocolError(f"range {request.start} to {request.end}: give start <= end")
        if await self._is_beyond(request.end):
            return
        tally = _Tally()
        start, stop = await self.server.in_thread(
            self.server.log.lines_in, request.start, request.end
        )
        await self._send_data(start, stop, tally)
        await self.send(tally.end().encode())

    async def _tail(self, request: protocol.TailRequest) -> None:
        if await self._is_beyond(request.start):
            return
        tally = _Tally()
        start = await self.server.in_thread(self.server.log.line_start, request.start)
        async for begin, end in self.arrivals(start):
            if begin == end:
                await self.send(protocol.Heartbeat(head=end).encode())
            else:
                await self._send_data(begin, end, tally)
        await self.send(tally.end().encode())

    async def _send_data(self, start: int, stop: int, tally: "_Tally") -> None:
        async for offset, data in self.chunks(start, stop, tally):
            await self.send(protocol.data_header(offset, len(data)), data)

    async def _is_beyond(self, offset: int) -> bool:
        log = self.server.log
        size = log.size()
        if offset > size:
            text = (
                f"offset {offset} is beyond the end of {log.source} ({size} bytes): it is another"
            )
            await self._refuse(
                ErrorCode.BEYOND_END,
                f"{text} file, or was cut short; serve the former file, or use a new checkpoint",
            )
        return offset > size


class _Tally:
    """What was sent, for the client to check."""

    def __init__(self) -> None:
        self._newlines = 0
        self._crc32 = 0
        self._last = NEWLINE

    def add(self, data: bytes) -> None:
        """Count the next bytes."""
        self._newlines += data.count(NEWLINE)
        self._crc32 = zlib.crc32(data, self._crc32)
        self._last = data[-1:]

    def end(self) -> protocol.End:
        """Return the message that says so; a last line needs no newline."""
        return protocol.End(lines=self._newlines + (self._last != NEWLINE), crc32=self._crc32)


@contextlib.contextmanager
def serving(
    path: Path | str,
    options: ServeOptions | None = None,
    *,
    member: str | None = None,
    name: str | None = None,
    follow: bool = False,
) -> Iterator[ServerAddress]:
    """Serve a file from a thread of this process, until the block ends.

    Args:
        path: See `open_log`, as for `member`, `name` and `follow`.
        options: How to serve; by default on a free port.
        member: Which file of a tar archive.
        name: The source's name.
        follow: The file may grow.
    """
    with open_log(path, member=member, name=name, follow=follow) as log:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="review-server", daemon=True)
        thread.start()
        server = ReviewServer(log, options)
        try:
            yield asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(_address(host)).is_loopback
    except ValueError:
        return False


def _address(host: str) -> str:
    return "127.0.0.1" if host == "localhost" else host  # else it is two addresses, two ports


def _cannot_listen(flag: str, host: str, port: int, err: Exception) -> ConfigError:
    if isinstance(err, OSError) and err.errno == errno.EADDRINUSE:
        return ConfigError(
            f"port {port} on {host} is in use: stop the other program, or give another {flag}"
            " (0 takes a free one)"
        )
    reason = err.strerror if isinstance(err, OSError) else str(err)
    return ConfigError(f"cannot listen on {host} port {port} ({reason}): give another {flag}")
