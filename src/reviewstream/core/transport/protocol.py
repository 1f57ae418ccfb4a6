"""The resumable TCP protocol, without sockets; `docs/reference/protocol.md` specifies it.

A frame is a type (1 byte), the payload's size (4 bytes, big-endian) and the payload. The payload is
JSON, except for DATA, which has an offset (8 bytes, big-endian) and raw bytes of the file.
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import Annotated, ClassVar, Final, Generic, Self, TypeAlias, TypeVar

import msgspec
from msgspec import Meta, Struct

from reviewstream.errors import ProtocolError

VERSION: Final = 1
HEADER: Final = 5  # bytes before the payload
OFFSET: Final = 8  # bytes before the raw bytes of DATA
MAX_REQUEST: Final = 4 << 10  # bytes of a request's payload
MAX_CHUNK: Final = 1 << 20  # bytes of the file in one DATA
MAX_REPLY: Final = OFFSET + MAX_CHUNK  # bytes of a reply's payload

MAX_OFFSET: Final = (1 << 63) - 1
MAX_SOURCE: Final = 1 << 10  # characters of a file's name
MAX_FINGERPRINT: Final = 1 << 10  # characters

Offset: TypeAlias = Annotated[int, Meta(ge=0, le=MAX_OFFSET)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=MAX_OFFSET)]
Source: TypeAlias = Annotated[str, Meta(max_length=MAX_SOURCE)]
Fingerprint: TypeAlias = Annotated[str, Meta(max_length=MAX_FINGERPRINT)]
Checksum: TypeAlias = Annotated[int, Meta(ge=0, le=(1 << 32) - 1)]


class ErrorCode(StrEnum):
    """The reason of a refused request."""

    BAD_REQUEST = "BAD_REQUEST"
    VERSION = "VERSION"
    REPLACED = "REPLACED"
    BEYOND_END = "BEYOND_END"
    UNAVAILABLE = "UNAVAILABLE"
    UNAUTHORIZED = "UNAUTHORIZED"


class _Message(Struct, frozen=True, kw_only=True):
    TYPE: ClassVar[bytes]

    def encode(self) -> bytes:
        """Return the frame."""
        payload = msgspec.json.encode(self)
        return self.TYPE + len(payload).to_bytes(HEADER - 1, "big") + payload

    @classmethod
    def decode(cls, payload: memoryview) -> Self:
        """Decode a payload.

        Raises:
            ProtocolError: The payload is malformed.
        """
        try:
            return msgspec.json.decode(payload, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as err:
            raise ProtocolError(f"malformed {cls.__name__}: {err}") from err


class HelloRequest(_Message, frozen=True, kw_only=True):
    """A request to open a session.

    Attributes:
        fingerprint: Fingerprint of the file that the client began with; None if it has none yet.
        token: Access token, if the server requires one.
    """

    TYPE: ClassVar = b"h"
    version: int = VERSION
    fingerprint: str | None = None
    token: str | None = None

    def __repr__(self) -> str:
        """Omit the token, which must not get into a log."""
        return f"HelloRequest(version={self.version}, fingerprint={self.fingerprint!r})"


class LatestRequest(_Message, frozen=True, kw_only=True):
    """A request for the end of the lines that a reader at `start` may read, within the limits."""

    TYPE: ClassVar = b"l"
    start: Offset
    max_rows: Limit | None = None
    max_bytes: Limit | None = None


class ReadRequest(_Message, frozen=True, kw_only=True):
    """A request for every line that starts in [start, end)."""

    TYPE: ClassVar = b"r"
    start: Offset
    end: Offset


class TailRequest(_Message, frozen=True, kw_only=True):
    """A request for every line that starts at or after `start`, future lines included."""

    TYPE: ClassVar = b"t"
    start: Offset


class Hello(_Message, frozen=True, kw_only=True):
    """A description of the file.

    Attributes:
        source: Name of the file.
        size: Bytes of the complete lines at present.
        fingerprint: Fingerprint of the file's beginning; unchanged when the file grows.
        follow: Whether the file may grow.
    """

    TYPE: ClassVar = b"H"
    version: int = VERSION
    source: Source
    size: Offset
    fingerprint: Fingerprint
    follow: bool = False


class Latest(_Message, frozen=True, kw_only=True):
    """The range that the reader may read.

    Attributes:
        offset: End of the admitted lines: the start of a line, or the end of the file.
        start: Start of the admitted lines: before the reader's offset if its last line has grown
            since. None: an older server, which does not send it.
        head: End of the data available at present.
        fingerprint: Fingerprint of the file's beginning and of the data before `offset`; a client
            that resumes there sends it in its next HELLO.
    """

    TYPE: ClassVar = b"L"
    offset: Offset
    head: Offset
    fingerprint: Fingerprint = ""
    start: Offset | None = None


class Data(Struct, frozen=True, kw_only=True):
    """A piece of the file, cut at any byte.

    Attributes:
        offset: Bytes from the start of the file to `data`.
    """

    TYPE: ClassVar = b"D"
    offset: int
    data: bytes

    def encode(self) -> bytes:
        """Return the frame."""
        return data_header(self.offset, len(self.data)) + self.data

    @classmethod
    def decode(cls, payload: memoryview) -> Self:
        """Decode a payload.

        Raises:
            ProtocolError: The payload is too short for an offset.
        """
        if len(payload) < OFFSET:
            raise ProtocolError(f"malformed Data: {len(payload)} bytes (at least {OFFSET})")
        return cls(offset=int.from_bytes(payload[:OFFSET], "big"), data=bytes(payload[OFFSET:]))


class End(_Message, frozen=True, kw_only=True):
    """The end of the reply to a READ, or to a TAIL of a file that does not grow.

    Attributes:
        lines: Lines sent since the request.
        crc32: CRC-32 of the bytes sent since the request.
    """

    TYPE: ClassVar = b"E"
    lines: Offset
    crc32: Checksum


class Heartbeat(_Message, frozen=True, kw_only=True):
    """A sign of life without new data. `head` is the end of the data available at present."""

    TYPE: ClassVar = b"B"
    head: Offset


class Error(_Message, frozen=True, kw_only=True):
    """The reply to a refused request. `message` is one sentence for display."""

    TYPE: ClassVar = b"X"
    code: ErrorCode
    message: str


Request: TypeAlias = HelloRequest | LatestRequest | ReadRequest | TailRequest
Reply: TypeAlias = Hello | Latest | Data | End | Heartbeat | Error
MessageT = TypeVar("MessageT", Request, Reply)


def data_header(offset: int, size: int) -> bytes:
    """Return the header for `size` raw bytes, so that they need not be copied."""
    return Data.TYPE + (OFFSET + size).to_bytes(HEADER - 1, "big") + offset.to_bytes(OFFSET, "big")


class MessageDecoder(Generic[MessageT]):
    """An incremental decoder of one connection's bytes into messages.

    Pass the result of each `recv` to `feed`, then call `next_message` until it returns None. After
    that at most one unfinished frame is held; its size is checked before its payload arrives.
    """

    def __init__(self, types: Iterable[type[MessageT]], *, max_payload: int) -> None:
        self._types: dict[int, type[MessageT]] = {kind.TYPE[0]: kind for kind in types}
        self._max_payload = max_payload
        self._buffer = bytearray()

    @property
    def held(self) -> int:
        """Number of bytes held."""
        return len(self._buffer)

    def feed(self, data: bytes) -> None:
        """Add received bytes."""
        self._buffer += data

    def next_message(self) -> MessageT | None:
        """Return the next message, or None if it is incomplete.

        Raises:
            ProtocolError: The bytes are not a message; the connection cannot be decoded further.
        """
        if not self._buffer:
            return None
        kind = self._types.get(self._buffer[0])
        if kind is None:
            raise ProtocolError(f"{bytes(self._buffer[:16])!r} is not of the reviewstream protocol")
        if len(self._buffer) < HEADER:
            return None
        size = int.from_bytes(self._buffer[1:HEADER], "big")
        if size > self._max_payload:
            raise ProtocolError(f"{kind.__name__} of {size} bytes (limit {self._max_payload})")
        if len(self._buffer) < HEADER + size:
            return None
        with memoryview(self._buffer) as view, view[HEADER : HEADER + size] as payload:
            message: MessageT = kind.decode(payload)
        del self._buffer[: HEADER + size]
        return message


def request_decoder() -> MessageDecoder[Request]:
    """Return the decoder of a server."""
    types = (HelloRequest, LatestRequest, ReadRequest, TailRequest)
    return MessageDecoder(types, max_payload=MAX_REQUEST)


def reply_decoder() -> MessageDecoder[Reply]:
    """Return the decoder of a client."""
    types = (Hello, Latest, Data, End, Heartbeat, Error)
    return MessageDecoder(types, max_payload=MAX_REPLY)
