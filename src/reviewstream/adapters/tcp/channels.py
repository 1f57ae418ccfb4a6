"""The bytes of one client, plain or by TLS, with back-pressure: output is not buffered."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol, TypeVar

RECEIVED: Final = 16 << 10  # bytes taken from a socket at once
ENCRYPTED: Final = 16 << 10  # bytes encrypted at once: a record of TLS
HANDSHAKE: Final = 0x16  # the first byte of a TLS connection

T = TypeVar("T")


class NotTls(ConnectionError):
    """A client does not speak TLS at all."""


class Channel(Protocol):
    """A bidirectional byte channel to one client."""

    async def receive(self) -> bytes:
        """Return the next bytes; empty at the end of the client's data."""
        ...

    async def send(self, data: bytes | memoryview) -> None:
        """Wait until the socket has accepted all bytes."""
        ...


class PlainChannel:
    """An unencrypted channel."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client

    async def receive(self) -> bytes:
        """Return the next bytes; empty at the end of the client's data."""
        return await asyncio.get_running_loop().sock_recv(self._client, RECEIVED)

    async def send(self, data: bytes | memoryview) -> None:
        """Wait until the socket has accepted all bytes."""
        await asyncio.get_running_loop().sock_sendall(self._client, data)


class TlsChannel:
    """A TLS channel: OpenSSL's state machine between two memory buffers, without a socket."""

    def __init__(self, client: socket.socket, context: ssl.SSLContext) -> None:
        self._wire = PlainChannel(client)
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._first: int | None = None

    async def handshake(self) -> None:
        """Do the TLS handshake.

        Raises:
            NotTls: The client's first byte is not TLS.
            ConnectionError: The client does not trust the certificate, or has disconnected.
        """
        try:
            await self._step(self._tls.do_handshake)
        except ConnectionError as err:
            if self._first not in {None, HANDSHAKE}:
                raise NotTls("it speaks no TLS") from err
            raise

    async def receive(self) -> bytes:
        """Return the next bytes; empty at the end of the client's data."""
        return await self._step(lambda: self._tls.read(RECEIVED))

    async def send(self, data: bytes | memoryview) -> None:
        """Wait until the socket has accepted all bytes; encrypts them in small pieces."""
        view = memoryview(data)
        for begin in range(0, len(view), ENCRYPTED):
            await self._step(partial(self._tls.write, view[begin : begin + ENCRYPTED]))

    async def _step(self, step: Callable[[], T]) -> T:
        """Run a TLS step as soon as its input has arrived, and send its output."""
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                await self._flush()
                await self._fill()
            except ssl.SSLError as err:
                await self._flush()  # the TLS alert with the reason
                raise ConnectionAbortedError(f"TLS failed: {err.reason or err}") from err
            else:
                await self._flush()
                return done

    async def _fill(self) -> None:
        data = await self._wire.receive()
        if not data:
            raise ConnectionResetError("the client hung up without TLS's goodbye")
        self._first = data[0] if self._first is None else self._first
        self._incoming.write(data)

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await self._wire.send(self._outgoing.read())
