"""Sends answers: whole, as a stream of events, or broken off.

Source: OpenAI, "API reference", "Chat completions", "Streaming"; WHATWG, "Server-sent events".
"""

import asyncio
import json
import socket
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, Final

from aiohttp import web

from reviewstream_testbed.mock_openai.completions import Completion
from reviewstream_testbed.mock_openai.error_bodies import ApiError

JSON: Final = "application/json"
EVENTS: Final = "text/event-stream; charset=utf-8"
BREAKS: Final = ("cut", "stall")
HUGE: Final = ("gzip_bomb", "endless")
BLANKS: Final = b"\n         \n\n         \n"
COMMENT: Final = b": PROCESSING\n\n"
PIECE: Final = 16  # characters of an answer in one event
BLOCK: Final = 1 << 24  # bytes
BLOCKS: Final = 64
BEGUN: Final = b'{"id": "x", "choices": [{"message": {"role": "assistant", "content": "'
DONE: Final = b"data: [DONE]\n\n"
_ERROR: Final = ApiError(
    500, "The server had an error while processing your request.", type="server_error"
)
# Bytes in place of the second half.
_ENDS: Final[Mapping[str, Callable[[bytes], list[bytes]]]] = {
    "cut": lambda _: [],
    "stall": lambda _: [],
    "stream_error": lambda _: [event(_ERROR.body())],
    "truncated_json": lambda following: [following[: len(following) // 2] + b"\n\n"],
}


async def broken_off(
    request: web.Request, payload: bytes, headers: Mapping[str, str], *, how: str
) -> web.StreamResponse:
    """Announce the full Content-Length, send half of the JSON, then apply a fault of `BREAKS`."""
    told = {"Content-Type": JSON, "Content-Length": str(len(payload))}
    answer = web.StreamResponse(headers={**headers, **told})
    await answer.prepare(request)
    await answer.write(payload[: len(payload) // 2])
    await _end(request, how)
    return answer


async def streamed(
    request: web.Request, events: Sequence[bytes], headers: Mapping[str, str], *, how: str
) -> web.StreamResponse:
    """Send the events in order, then apply the fault."""
    answer = web.StreamResponse(
        headers={**headers, "Content-Type": EVENTS, "Cache-Control": "no-cache"}
    )
    await answer.prepare(request)
    for one in events:
        await answer.write(one)
    await _end(request, how)
    return answer


async def huge(request: web.Request, headers: Mapping[str, str], *, how: str) -> web.StreamResponse:
    """Send a response that is too large to read in full: a fault of `HUGE`."""
    if how == "gzip_bomb":
        body = await asyncio.to_thread(bomb)
        packed = {"Content-Type": JSON, "Content-Encoding": "gzip"}
        return web.Response(body=body, headers={**headers, **packed})
    answer = web.StreamResponse(headers={**headers, "Content-Type": JSON})
    await answer.prepare(request)
    await answer.write(BEGUN)
    while True:  # until the client disconnects
        await answer.write(b"x" * (1 << 16))


@cache
def bomb() -> bytes:
    """Return a megabyte of gzip that decompresses to a completion of one gigabyte."""
    end = b'"}, "finish_reason": "stop", "index": 0}]}'
    block = b"x" * BLOCK
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    begun = packer.compress(BEGUN) + packer.flush(zlib.Z_FULL_FLUSH)
    # After a full flush equal blocks compress to equal bytes, so one block is compressed once.
    repeated = (packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)) * BLOCKS
    ended = packer.compress(end) + packer.flush()
    checksum = zlib.crc32(BEGUN)
    for _ in range(BLOCKS):
        checksum = zlib.crc32(block, checksum)
    size = len(BEGUN) + BLOCK * BLOCKS + len(end)
    header = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
    trailer = struct.pack("<II", zlib.crc32(end, checksum), size & 0xFFFFFFFF)
    return header + begun + repeated + ended + trailer


def reset(request: web.Request) -> web.Response:
    """Reset the connection."""
    transport = request.transport
    if transport is not None:
        connection = transport.get_extra_info("socket")
        # With a linger of zero seconds, closing sends RST in place of FIN.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
    return web.Response()


async def _end(request: web.Request, how: str) -> None:
    if how == "stall":
        await asyncio.Event().wait()
    if how == "cut" and request.transport is not None:
        request.transport.close()  # sends buffered bytes, but not the end of the body


# --- A stream's events ---


def event(payload: Mapping[str, Any]) -> bytes:
    """Return one event."""
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def events(completion: Completion, options: Mapping[str, Any], fault: str) -> list[bytes]:
    """Return the events of a stream; a fault may break it off in the middle."""
    found = [*map(event, chunks(completion, options)), DONE]
    if fault == "blanks":
        return [COMMENT, *found]
    if fault not in _ENDS:
        return found
    middle = len(found) // 2
    return [*found[:middle], *_ENDS[fault](found[middle])]


def chunks(completion: Completion, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the stream chunks of a completion.

    Args:
        completion: The completion.
        options: The request's `stream_options`.
    """
    told = {"usage": None} if options.get("include_usage") else {}
    is_padded = options.get("include_obfuscation") is not False
    frame = {**completion.frame(), "object": "chat.completion.chunk"}
    if not completion.choices:
        yield {**frame, "choices": [], **told}
    for number in range(completion.choices):
        for delta, finish_reason in _deltas(completion):
            choice = {"index": number, "delta": delta, "logprobs": None}
            padding = {"obfuscation": _padding(delta)} if is_padded else {}
            choices = [{**choice, "finish_reason": finish_reason}]
            yield {**frame, "choices": choices, **told, **padding}
    if told and completion.usage is not None:
        yield {**frame, "choices": [], "usage": completion.usage}


def _deltas(completion: Completion) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Return the delta of each event, and the finish reason."""
    message = completion.message()
    fields = ("content", "refusal", "reasoning_content")
    field = next(name for name in fields if message.get(name) is not None)
    first = {"role": "assistant", "content": "" if field == "content" else None, "refusal": None}
    yield first, None
    if isinstance(message[field], str):
        for at in range(0, len(message[field]), PIECE):
            yield {field: message[field][at : at + PIECE]}, None
    else:
        yield {field: message[field]}, None
    yield {}, completion.said.finish_reason


def _padding(delta: Mapping[str, Any]) -> str:
    """Return padding that makes all events equally long."""
    return "0" * (PIECE - len(delta.get("content") or delta.get("refusal") or ""))
