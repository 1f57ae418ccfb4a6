"""Puts answers on the wire, whole or broken off."""

import asyncio
import socket
import struct
from collections.abc import Mapping, Sequence
from typing import Final

from aiohttp import web

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream; charset=utf-8"
BREAKS: Final = ("cut", "stall")


async def broken_off(
    request: web.Request, payload: bytes, headers: Mapping[str, str], *, how: str
) -> web.StreamResponse:
    """Promise a whole body of JSON, send one half, and end as a fault of `BREAKS` does."""
    told = {"Content-Type": JSON, "Content-Length": str(len(payload))}
    answer = web.StreamResponse(headers={**headers, **told})
    await answer.prepare(request)
    await answer.write(payload[: len(payload) // 2])
    await _end(request, how)
    return answer


async def streamed(
    request: web.Request, events: Sequence[bytes], headers: Mapping[str, str], *, how: str
) -> web.StreamResponse:
    """Send one event after the other, then end as a fault does."""
    answer = web.StreamResponse(
        headers={**headers, "Content-Type": EVENTS, "Cache-Control": "no-cache"}
    )
    await answer.prepare(request)
    for one in events:
        await answer.write(one)
    await _end(request, how)
    return answer


def reset(request: web.Request) -> web.Response:
    """Reset the connection."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        # Linger of zero seconds: closing sends a reset in place of a polite end.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _end(request: web.Request, how: str) -> None:
    if how == "stall":
        await asyncio.Event().wait()
    if how == "cut" and request.transport is not None:
        request.transport.close()  # what is written goes out; the end of the body never does
