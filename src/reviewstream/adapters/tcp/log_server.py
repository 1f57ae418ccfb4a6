"""Serves a log of reviews over TCP: by `transport.protocol`, and as plain lines on another port."""

import asyncio
import contextlib
import errno
import logging
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeAlias

from reviewstream.adapters.files.review_files import open_log
from reviewstream.adapters.files.review_log import ReviewLog
from reviewstream.adapters.tcp.access import ServerAuth, client_key
from reviewstream.adapters.tcp.channels import Channel, NotTls, PlainChannel, TlsChannel
from reviewstream.adapters.tcp.plain_lines import send_plain_lines
from reviewstream.adapters.tcp.replay_throttle import ReplayThrottle
from reviewstream.adapters.tcp.served_log import GREETING, ServedLog
from reviewstream.adapters.tcp.sessions import ClientSession, answer_requests, reject_client
from reviewstream.core.transport import protocol
from reviewstream.core.transport.hosts import is_loopback, numeric
from reviewstream.errors import ConfigError

BACKLOG: Final = 128  # clients waiting to be accepted
ACCEPT_PAUSE: Final = 0.1  # seconds
TOLD: Final = 8  # connections over a client's limit that get an answer: each occupies a place

UNAUTHORIZED: Final = protocol.ErrorCode.UNAUTHORIZED
_SPEAK_TLS: Final = "the server speaks TLS alone: set source.tls = true, and source.ca_location"

Session: TypeAlias = Callable[[socket.socket, str], Coroutine[Any, Any, None]]

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServeOptions:
    """Options of a server.

    Attributes:
        host: A loopback address; any other requires TLS and a token.
        port: Port of the protocol; 0 takes a free one.
        plain_port: Port of the plain lines; 0 takes a free one, None serves none.
        chunk_bytes: Bytes of the file in one message, at most 1 MiB.
        rate: Lines per second that become readable; None for all at once.
        heartbeat: Seconds of silence after which a tailing client receives a heartbeat.
        poll: Seconds between checks for new lines.
        auth: TLS and token.
        max_connections: Of all clients together; further ones are disconnected.
        max_per_client: Connections of one address (of IPv6: of one public /64 network); the next
            few get an error, further ones are disconnected.
        handshake: Seconds for TLS and the client's hello.
        idle: Seconds without a request, or without progress of sending.
    """

    host: str = "127.0.0.1"
    port: int = 0
    plain_port: int | None = None
    chunk_bytes: int = 256 << 10
    rate: float | None = None
    heartbeat: float = 2.0
    poll: float = 0.05
    auth: ServerAuth = field(default_factory=ServerAuth)
    max_connections: int = 1024
    max_per_client: int = 256
    handshake: float = GREETING
    idle: float = 600.0

    def __post_init__(self) -> None:
        if not 1 <= self.chunk_bytes <= protocol.MAX_CHUNK:
            limit = protocol.MAX_CHUNK
            raise ConfigError(f"--chunk-bytes {self.chunk_bytes}: give 1 to {limit}")
        for flag, port in (("--port", self.port), ("--plain-port", self.plain_port or 0)):
            if not 0 <= port <= 65535:
                raise ConfigError(f"{flag} {port}: give 0 to 65535")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise ConfigError(f"--rate {self.rate:g}: give a number of lines per second above 0")
        for flag, most in (
            ("--max-connections", self.max_connections),
            ("--max-per-client", self.max_per_client),
        ):
            if most < 1:
                raise ConfigError(f"{flag} {most}: give 1 or more")
        if not 0 < self.idle < float("inf"):
            raise ConfigError(f"--idle {self.idle:g}: give a number of seconds above 0")
        self._check_access()

    def _check_access(self) -> None:
        if not is_loopback(self.host) and not self.auth.is_secured:
            raise ConfigError(
                f"--host {self.host} is open to others: give --tls-cert, --tls-key and a token"
                " (REVIEWSTREAM_SOURCE__TOKEN), or listen on 127.0.0.1"
            )
        if self.plain_port is not None and (
            not is_loopback(self.host) or self.auth.token is not None
        ):
            raise ConfigError(
                "--plain-port lets in everyone, unasked and unencrypted: it is for loopback"
                " addresses, and for a server without a token"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerAddress:
    """Address of a server. `plain_port` is the port of the plain lines, or None."""

    host: str
    port: int
    plain_port: int | None = None


class LogServer:
    """Serves one log to any number of clients."""

    def __init__(
        self,
        log: ReviewLog,
        options: ServeOptions | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Create a server of a log, which must stay open until `stop` has returned."""
        self._options = options or ServeOptions()
        self._served = ServedLog(
            log=log,
            throttle=ReplayThrottle(log, rate=self._options.rate, clock=clock),
            chunk_bytes=self._options.chunk_bytes,
            heartbeat=self._options.heartbeat,
            poll=self._options.poll,
            auth=self._options.auth,
            handshake=self._options.handshake,
            idle=self._options.idle,
            clock=clock,
        )
        self._tls = self._options.auth.context()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: Counter[str] = Counter()

    async def start(self) -> ServerAddress:
        """Start to listen.

        Raises:
            ConfigError: A port is in use; the message says what to do.
        """
        host, plain_port = self._options.host, self._options.plain_port
        listeners = [_listen("--port", host, self._options.port)]
        try:
            if plain_port is not None:
                listeners.append(_listen("--plain-port", host, plain_port))
        except ConfigError:
            listeners[0].close()
            raise
        for listener, session in zip(listeners, (self._speak, self._send_lines), strict=False):
            self._spawn(self._accept(listener, session))
        port, *plain = (int(listener.getsockname()[1]) for listener in listeners)
        return ServerAddress(host=host, port=port, plain_port=plain[0] if plain else None)

    async def stop(self) -> None:
        """Disconnect all clients, and return when no session reads the log."""
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
        self._served.threads.shutdown(cancel_futures=True)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _accept(self, listener: socket.socket, session: Session) -> None:
        with listener:
            while True:
                try:
                    client, peer = await asyncio.get_running_loop().sock_accept(listener)
                except OSError as err:  # too many open files; or the client has disconnected
                    logger.warning("cannot accept a client: %s", err)
                    await asyncio.sleep(ACCEPT_PAUSE)
                else:
                    self._spawn(self._serve(client, str(peer[0]), session))

    async def _serve(self, client: socket.socket, where: str, session: Session) -> None:
        with client:
            if why := self._flood(where):
                logger.warning("hung up on %s: %s", where, why)
                return
            self._connections[client_key(where)] += 1
            try:
                client.setblocking(False)  # noqa: FBT003 - the socket module's own signature
                client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # The client may resume later.
                with contextlib.suppress(ConnectionError, TimeoutError):
                    await session(client, where)
            finally:
                self._connections[client_key(where)] -= 1
                self._connections += Counter()  # removes clients without connections

    async def _speak(self, client: socket.socket, where: str) -> None:
        greet_by = asyncio.get_running_loop().time() + self._options.handshake
        channel = await self._channel(client, greet_by)
        session = ClientSession(where=where, channel=channel, greet_by=greet_by)
        if why := self._crowd(where):
            await reject_client(self._served, session, why)
        else:
            await answer_requests(self._served, session)

    async def _send_lines(self, client: socket.socket, where: str) -> None:
        if not self._crowd(where):
            await send_plain_lines(self._served, client)

    def _flood(self, where: str) -> str:
        """Return the reason to disconnect a client without an answer, which may take seconds."""
        if self._connections.total() >= self._options.max_connections:
            return "all connections are taken"
        if self._connections[client_key(where)] >= self._options.max_per_client + TOLD:
            return "it opens connections over its limit again and again (--max-per-client)"
        return ""

    def _crowd(self, where: str) -> str:
        """Return the error for a client with too many connections, or an empty text."""
        taken, most = self._connections[client_key(where)], self._options.max_per_client
        return f"{where} has {most} connections already (--max-per-client)" if taken > most else ""

    async def _channel(self, client: socket.socket, greet_by: float) -> Channel:
        """Return the client's channel, after the TLS handshake if TLS is used."""
        plain = PlainChannel(client)
        if self._tls is None:
            return plain
        channel = TlsChannel(client, self._tls)
        try:
            async with asyncio.timeout_at(greet_by):
                await channel.handshake()
        except NotTls:
            await plain.send(protocol.Error(code=UNAUTHORIZED, message=_SPEAK_TLS).encode())
            raise
        return channel


@contextlib.contextmanager
def serving(
    path: Path | str,
    options: ServeOptions | None = None,
    *,
    member: str | None = None,
    name: str | None = None,
    follow: bool = False,
) -> Iterator[ServerAddress]:
    """Serve a file from a thread of this process until the block ends.

    Args:
        path: See `open_log`, as for `member`, `name` and `follow`.
        options: Options of the server; by default with a free port.
        member: Name of the file in a tar archive.
        name: Name of the source.
        follow: The file may grow.
    """
    with open_log(path, member=member, name=name, follow=follow) as log:
        loop = asyncio.new_event_loop()
        thread = threading.Thread(target=loop.run_forever, name="review-server", daemon=True)
        thread.start()
        server = LogServer(log, options)
        try:
            yield asyncio.run_coroutine_threadsafe(server.start(), loop).result()
        finally:
            asyncio.run_coroutine_threadsafe(server.stop(), loop).result()
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()


def _listen(flag: str, host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((numeric(host), port), family=family, backlog=BACKLOG)
    except OSError as err:
        why = f"cannot listen on {host} port {port} ({err.strerror}): give another {flag}"
        if err.errno == errno.EADDRINUSE:
            why = (
                f"port {port} on {host} is in use: stop the other program, or give another {flag}"
                " (0 takes a free one)"
            )
        raise ConfigError(why) from err
    listener.setblocking(False)  # noqa: FBT003 - the socket module's own signature
    return listener
