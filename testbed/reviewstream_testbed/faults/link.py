"""A simulated network on loopback, which can be slow, broken or silent.

with Link("127.0.0.1", server.port) as link:
    client = connect(link.host, link.port)
    link.latency = 0.2
    link.cut(after=10_000)
    link.silence()
    link.heal()
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

from reviewstream_testbed.processes.free_ports import LOOPBACK

_CHUNK: Final = 64 << 10  # bytes
_STEPS: Final = 4  # loop iterations from accept to our task, or from close() to closed
_RESET: Final = struct.pack("ii", 1, 0)  # linger for 0 s: closing sends RST


class Link:
    """A TCP proxy that forwards bytes between its own port and a server's.

    Args:
        host: Host of the server.
        port: Port of the server, which need not be up yet.
        listen: The link's own port; 0 means any free port.

    Attributes:
        host: The loopback address.
        port: Port for clients.
        latency: Delay in seconds of each piece of up to 64 KiB, in either direction.
        passed: Bytes forwarded so far, in both directions.
    """

    host: Final = LOOPBACK

    def __init__(self, host: str, port: int, *, listen: int = 0) -> None:
        self._server = (host, port)
        self._listener = socket.create_server((LOOPBACK, listen))
        self.port: int = self._listener.getsockname()[1]
        self.latency = 0.0
        self.passed = 0
        self._cut_at: int | None = None
        self._loop = asyncio.new_event_loop()
        self._talking = asyncio.Event()
        self._talking.set()
        self._is_up = threading.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._run, name="link", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._is_up.wait()  # stopping the loop earlier would leave the listener open
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self, after: int = 0) -> None:
        """Reset every open and future connection once `after` more bytes have passed."""

        def act() -> None:
            self._cut_at = self.passed + after
            if not after:
                self._reset()

        self._tell(act)

    def silence(self) -> None:
        """Forward nothing: connections are accepted and kept open, but no bytes arrive."""
        self._tell(self._talking.clear)

    def heal(self) -> None:
        """Undo `cut`, `silence` and `latency`; held-back bytes are forwarded."""

        def act() -> None:
            self.latency, self._cut_at = 0.0, None
            self._talking.set()

        self._tell(act)

    def _tell(self, act: Callable[[], None]) -> None:
        """Run an action in the link's thread, and wait until it is done."""

        async def run() -> None:
            act()

        asyncio.run_coroutine_threadsafe(run(), self._loop).result()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._accept, sock=self._listener)
        )
        self._loop.call_soon(self._is_up.set)
        self._loop.run_forever()
        self._loop.run_until_complete(self._end(server))

    async def _end(self, server: asyncio.Server) -> None:
        """Close open and just accepted connections; asyncio drops the latter with its server."""
        self._loop.remove_reader(self._listener)
        await _let_go_on()
        server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._reset()
        await _let_go_on()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.CancelledError):  # otherwise asyncio logs that the link has ended
            await self._connect(reader, writer)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        await self._talking.wait()
        if self._is_cut():
            return self._drop(writer)
        try:
            theirs, onward = await asyncio.open_connection(*self._server)
        except OSError:  # the server is down: refuse the client too
            return self._drop(writer)
        self._writers.add(onward)
        try:
            await asyncio.gather(self._pass(reader, onward), self._pass(theirs, writer))
        finally:
            self._drop(onward)
            self._drop(writer)
        return None

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while piece := await reader.read(_CHUNK):
                if self.latency:
                    await asyncio.sleep(self.latency)
                await self._talking.wait()
                writer.write(self._allowed(piece))
                await writer.drain()
                if self._is_cut():
                    return self._reset()
            writer.write_eof()
        return None

    def _allowed(self, piece: bytes) -> bytes:
        """Return the bytes of a piece that may still pass."""
        if self._cut_at is not None:
            piece = piece[: max(0, self._cut_at - self.passed)]
        self.passed += len(piece)
        return piece

    def _is_cut(self) -> bool:
        return self._cut_at is not None and self.passed >= self._cut_at

    def _reset(self) -> None:
        for writer in [*self._writers]:
            self._drop(writer)

    def _drop(self, writer: asyncio.StreamWriter) -> None:
        """Close a connection, with RST if the network is cut."""
        self._writers.discard(writer)
        if self._is_cut() and (raw := writer.get_extra_info("socket")):
            with suppress(OSError):
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        writer.close()


async def _let_go_on() -> None:
    """Yield to the event loop until its pending steps have run."""
    for _ in range(_STEPS):
        await asyncio.sleep(0)
