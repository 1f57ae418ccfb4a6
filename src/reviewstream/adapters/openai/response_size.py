"""A limit on the size of an HTTP response's body, compressed and decompressed.

A response hook for both httpx and httpx2. The body is decompressed here in pieces, because the
libraries decompress all received bytes at once: a few hundred kB of gzip can become a gigabyte.
"""

import zlib
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, Final

MAX_BODY: Final = 4 << 20  # bytes of a decompressed answer; a long one has about ten thousand
_TOO_LARGE: Final = f"the body is larger than {MAX_BODY:,} bytes"
_GZIP: Final = 32 + zlib.MAX_WBITS  # zlib detects gzip or deflate


class UnreadBodyError(Exception):
    """A body is larger than `MAX_BODY`, has an encoding that was not requested, or is damaged."""


async def bound_body(response: Any) -> None:  # noqa: ANN401 - of httpx or httpx2
    """Make a response's body raise if it is too large, or has another encoding."""
    packing = response.headers.pop("content-encoding", "identity").lower()
    library = import_module(type(response).__module__.partition(".")[0])
    response.stream = _bounded(library.AsyncByteStream)(response.stream, packing)


def _bounded(base: type[Any]) -> type[Any]:
    """Return the class of bounded streams, as a subclass: httpx checks the type of a stream."""

    class Bounded(base):  # type: ignore[misc] # known only at run time
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
    """Decompress a body, up to slightly more than `MAX_BODY`.

    Raises:
        UnreadBodyError: It is larger, has another encoding, or is damaged.
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
