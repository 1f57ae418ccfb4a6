"""A ceiling on the body of an HTTP answer, packed and unpacked.

A response hook of httpx and httpx2 alike. The body is unpacked here, a piece at a time: the
libraries unpack whatever arrives at once, and a few hundred kilobytes of gzip become a gigabyte.
"""

import zlib
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, Final

MAX_BODY: Final = 4 << 20  # bytes of an answer, unpacked; a long one has some ten thousand
_TOO_LARGE: Final = f"the body is larger than {MAX_BODY:,} bytes"
_GZIP: Final = 32 + zlib.MAX_WBITS  # zlib finds out by itself whether it is gzip or deflate


class UnreadBodyError(Exception):
    """A body is larger than `MAX_BODY`, packed in a way that was not asked for, or damaged."""


async def bound_body(response: Any) -> None:  # noqa: ANN401 - of httpx or httpx2
    """Let the body of a response raise where it becomes too large, or is packed in another way."""
    packing = response.headers.pop("content-encoding", "identity").lower()
    library = import_module(type(response).__module__.partition(".")[0])
    response.stream = _bounded(library.AsyncByteStream)(response.stream, packing)


def _bounded(base: type[Any]) -> type[Any]:
    """Return the class of bounded streams; httpx looks whether a stream is one of its own."""

    class Bounded(base):  # type: ignore[misc] # known when the library is
        def __init__(self, stream: Any, packing: str) -> None:  # noqa: ANN401 - see above
            self._stream = stream
            self._packing = packing

        async def __aiter__(self) -> AsyncIterator[bytes]:
            size = 0
            async for part in unpacked(self._stream, self._packing):
                size += len(part)
                if size > MAX_BODY:
                    raise UnreadBodyError(_TOO_LARGE)
                yield part

        async def aclose(self) -> None:
            await self._stream.aclose()

    return Bounded


async def unpacked(parts: AsyncIterator[bytes], packing: str) -> AsyncIterator[bytes]:
    """Unpack a body, no more than a little over `MAX_BODY` of it.

    Raises:
        UnreadBodyError: There is more; or it is packed in another way, or damaged.
    """
    if packing in {"identity", ""}:
        async for part in parts:
            yield part
        return
    if packing not in {"gzip", "x-gzip", "deflate"}:
        raise UnreadBodyError(f"the body is packed as {packing!r}, which was not asked for")
    unpacker = zlib.decompressobj(_GZIP)
    async for part in parts:
        try:
            yield unpacker.decompress(part, MAX_BODY + 1)
        except zlib.error as err:
            raise UnreadBodyError(f"the body cannot be unpacked: {err}") from err
        if unpacker.unconsumed_tail:
            raise UnreadBodyError(_TOO_LARGE)
