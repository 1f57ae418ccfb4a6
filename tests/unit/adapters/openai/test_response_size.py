"""Bodies of answers are bounded, whatever packing they come in."""

import gzip
import sys
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewstream.adapters.openai.response_size import MAX_BODY, UnreadBodyError, bound_body

PACKED: dict[str, Callable[[bytes], bytes]] = {
    "identity": lambda body: body,
    "": lambda body: body,
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
}


class Parts(httpx.AsyncByteStream):
    """A body in parts.

    Attributes:
        taken: Bytes that were taken from it.
        is_closed: Whether it was closed.
    """

    def __init__(self, parts: Sequence[bytes]) -> None:
        self._parts = parts
        self.taken = 0
        self.is_closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            self.taken += len(part)
            yield part

    async def aclose(self) -> None:
        self.is_closed = True


def cut(body: bytes, size: int) -> list[bytes]:
    return [body[at : at + size] for at in range(0, len(body), size)]


async def _read(stream: Parts, packing: str | None) -> bytes:
    headers = {} if packing is None else {"content-encoding": packing}
    response = httpx.Response(200, headers=headers, stream=stream)
    await bound_body(response)
    try:
        return await response.aread()
    finally:
        await response.aclose()


def read(stream: Parts, packing: str | None = None) -> bytes:
    return anyio.run(_read, stream, packing)


@given(st.binary(max_size=2_000), st.sampled_from(sorted(PACKED)), st.integers(1, 64))
def test_a_body_comes_through_however_it_is_packed_and_cut(
    body: bytes, packing: str, size: int
) -> None:
    stream = Parts(cut(PACKED[packing](body), size))
    assert read(stream, packing) == body
    assert stream.is_closed


def test_a_body_that_is_packed_in_no_way_comes_through() -> None:
    assert read(Parts([b"{", b"}"])) == b"{}"


@settings(max_examples=25)
@given(
    over=st.integers(-2, 3),
    packing=st.sampled_from(sorted(PACKED)),
    size=st.sampled_from([1_000, 65_536, 10**7]),
)
def test_no_more_than_the_bound_comes_through(over: int, packing: str, size: int) -> None:
    body = bytes(MAX_BODY + over)
    stream = Parts(cut(PACKED[packing](body), size))
    if over <= 0:
        assert read(stream, packing) == body
        return
    with pytest.raises(UnreadBodyError, match="larger than 4,194,304 bytes"):
        read(stream, packing)


@given(st.binary(max_size=300), st.sampled_from(sorted(PACKED)), st.integers(1, 64))
def test_junk_is_refused_or_short(junk: bytes, packing: str, size: int) -> None:
    found = b""
    with suppress(UnreadBodyError):
        found = read(Parts(cut(junk, size)), packing)
    assert len(found) <= MAX_BODY


def test_a_bomb_is_given_up_before_it_has_unpacked() -> None:
    packer = zlib.compressobj(9, wbits=31)
    bomb = b"".join([*(packer.compress(bytes(1 << 20)) for _ in range(200)), packer.flush()])
    stream = Parts(cut(bomb, 65_536))
    tracemalloc.start()
    try:
        with pytest.raises(UnreadBodyError):
            read(stream, "gzip")
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert stream.taken == 65_536
    assert peak < 3 * MAX_BODY
    assert stream.is_closed


def test_an_endless_body_is_given_up_at_the_bound() -> None:
    stream = Parts([bytes(1 << 16)] * 10_000)
    with pytest.raises(UnreadBodyError):
        read(stream)
    assert stream.taken <= MAX_BODY + (1 << 16)


@pytest.mark.parametrize("packing", ["br", "zstd", "gzip, gzip", "compress"])
def test_a_packing_that_was_not_asked_for_is_refused(packing: str) -> None:
    with pytest.raises(UnreadBodyError, match="was not asked for"):
        read(Parts([b"x"]), packing)


def test_the_stream_is_of_the_library_that_the_response_is_of() -> None:
    class Response(SimpleNamespace):
        headers: dict[str, str]

    Response.__module__ = "httpx._models"
    response: Any = Response(headers={}, stream=Parts([b"x"]))
    anyio.run(bound_body, response)
    assert isinstance(response.stream, httpx.AsyncByteStream)
    assert sys.modules["httpx"].AsyncByteStream is httpx.AsyncByteStream
