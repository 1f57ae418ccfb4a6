import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.transport import protocol
from reviewstream.core.transport.protocol import (
    HEADER,
    MAX_CHUNK,
    MAX_REPLY,
    MAX_REQUEST,
    Data,
    End,
    Error,
    ErrorCode,
    Heartbeat,
    Hello,
    HelloRequest,
    Latest,
    LatestRequest,
    MessageDecoder,
    ReadRequest,
    Reply,
    Request,
    TailRequest,
    data_header,
    reply_decoder,
    request_decoder,
)
from reviewstream.errors import ProtocolError

offsets = st.integers(0, (1 << 63) - 1)
limits = st.none() | st.integers(1, (1 << 63) - 1)
texts = st.text(max_size=50)
requests: st.SearchStrategy[Request] = st.one_of(
    st.builds(HelloRequest, version=st.integers(-5, 1 << 40), fingerprint=st.none() | texts),
    st.builds(LatestRequest, start=offsets, max_rows=limits, max_bytes=limits),
    st.builds(ReadRequest, start=offsets, end=offsets),
    st.builds(TailRequest, start=offsets),
)
replies: st.SearchStrategy[Reply] = st.one_of(
    st.builds(Hello, source=texts, size=offsets, fingerprint=texts, follow=st.booleans()),
    st.builds(Latest, offset=offsets, head=offsets),
    st.builds(Data, offset=offsets, data=st.binary(max_size=100)),
    st.builds(End, lines=offsets, crc32=st.integers(0, (1 << 32) - 1)),
    st.builds(Heartbeat, head=offsets),
    st.builds(Error, code=st.sampled_from(ErrorCode), message=texts),
)


def drain(decoder: MessageDecoder[protocol.MessageT]) -> list[protocol.MessageT]:
    return list(iter(decoder.next_message, None))


def frame(kind: bytes, payload: bytes) -> bytes:
    return kind + len(payload).to_bytes(4, "big") + payload


@given(st.lists(requests), st.integers(1, 60))
def test_requests_come_out_as_they_went_in_however_the_stream_was_cut(
    messages: list[Request], size: int
) -> None:
    stream = b"".join(message.encode() for message in messages)
    decoder = request_decoder()
    found: list[Request] = []
    for start in range(0, len(stream), size):
        decoder.feed(stream[start : start + size])
        found += drain(decoder)
    assert found == messages
    assert decoder.held == 0


@given(st.lists(replies), st.integers(1, 60))
def test_replies_come_out_as_they_went_in_however_the_stream_was_cut(
    messages: list[Reply], size: int
) -> None:
    stream = b"".join(message.encode() for message in messages)
    decoder = reply_decoder()
    found: list[Reply] = []
    for start in range(0, len(stream), size):
        decoder.feed(stream[start : start + size])
        found += drain(decoder)
    assert found == messages
    assert decoder.held == 0


# Random bytes alone hardly ever look like a frame: begin some as one.
frames = st.builds(
    lambda kind, size, payload: kind + size.to_bytes(4, "big") + payload,
    st.sampled_from([b"h", b"l", b"r", b"t", b"H", b"L", b"D", b"E", b"B", b"X"]),
    st.integers(0, 40) | st.sampled_from([MAX_REQUEST + 1, MAX_REPLY + 1, (1 << 32) - 1]),
    st.binary(max_size=60) | st.just(b"[" * 60) | st.just(b'{"start": 1}'),
)


@given(st.binary() | frames | st.lists(frames).map(b"".join), st.integers(1, 20))
@example(b"GET / HTTP/1.1\r\n\r\n", 20)
@example(b"HTTP/1.1 400 Bad Request\r\n\r\n", 20)
@example(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 20)
@example(b'{"review_id": "1"}\n', 20)
@example(b"D\xff\xff\xff\xff", 5)
@example(frame(b"r", b'{"start": 1, "end": 1' + b"0" * 400 + b"}"), 20)
@example(frame(b"X", b'{"code": "NEW", "message": ""}'), 20)
@example(frame(b"h", b'{"fingerprint": "\xff"}'), 20)
@example(frame(b"h", b'{"fingerprint": "\\ud800"}'), 20)
@example(frame(b"l", b'{"start": 0, "max_rows": 0}'), 20)
@example(frame(b"l", b'{"x":' + b"[" * 4000), 4000)
def test_garbage_is_refused_and_never_held(stream: bytes, size: int) -> None:
    chunks = [stream[start : start + size] for start in range(0, len(stream), size)]
    never_holds_more(MAX_REQUEST, request_decoder(), chunks)
    never_holds_more(MAX_REPLY, reply_decoder(), chunks)


def never_holds_more(
    limit: int, decoder: MessageDecoder[protocol.MessageT], chunks: list[bytes]
) -> None:
    with contextlib.suppress(ProtocolError):
        for chunk in chunks:
            decoder.feed(chunk)
            drain(decoder)
            assert decoder.held < HEADER + limit


@pytest.mark.parametrize("kind", [b"H", b"D", b"x", b"\x00", b"{"])
def test_a_server_refuses_what_is_no_request_at_its_first_byte(kind: bytes) -> None:
    decoder = request_decoder()
    decoder.feed(kind)
    with pytest.raises(ProtocolError, match="not of the reviewstream protocol"):
        decoder.next_message()


@pytest.mark.parametrize(
    ("decoder", "kind", "limit"),
    [(request_decoder, b"r", MAX_REQUEST), (reply_decoder, b"D", MAX_REPLY)],
)
def test_a_size_over_the_limit_is_refused_before_its_payload_comes(
    decoder: type[MessageDecoder[Reply]], kind: bytes, limit: int
) -> None:
    refusing, waiting = decoder(), decoder()  # type: ignore[call-arg] # functions without arguments
    waiting.feed(kind + limit.to_bytes(4, "big"))
    assert waiting.next_message() is None
    refusing.feed(kind + (limit + 1).to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match=f"limit {limit}"):
        refusing.next_message()


def test_every_byte_of_a_size_counts() -> None:
    decoder = request_decoder()
    decoder.feed(b"t" + (1 << 24).to_bytes(4, "big"))
    with pytest.raises(ProtocolError, match=f"TailRequest of {1 << 24} bytes"):
        decoder.next_message()


def test_what_is_no_frame_is_quoted_by_its_first_16_bytes() -> None:
    decoder = request_decoder()
    decoder.feed(b"GET /reviews.json HTTP/1.1\r\n")
    with pytest.raises(ProtocolError, match=r"^b'GET /reviews\.jso' is not of the reviewstream"):
        decoder.next_message()


def test_messages_before_a_bad_one_are_not_lost() -> None:
    decoder = request_decoder()
    decoder.feed(TailRequest(start=3).encode() + b"garbage")
    assert decoder.next_message() == TailRequest(start=3)
    for _ in range(2):
        with pytest.raises(ProtocolError):
            decoder.next_message()


def test_an_unfinished_header_is_waited_for() -> None:
    decoder = request_decoder()
    decoder.feed(b"t\x00\x00")
    assert decoder.next_message() is None


@pytest.mark.parametrize("missing", range(8))
def test_data_without_a_whole_offset_is_refused(missing: int) -> None:
    decoder = reply_decoder()
    decoder.feed(frame(b"D", b"\x00" * missing))
    with pytest.raises(ProtocolError, match=f"malformed Data: {missing} bytes"):
        decoder.next_message()


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"{}",
        b"[1, 2]",
        b'{"start": -1, "end": 2}',
        b'{"start": "1", "end": 2}',
        b'{"start": 1, "end": 9223372036854775808}',
        b'{"start": 1, "end": 2.5}',
        b'{"start": 1, "end": 2} x',
    ],
)
def test_a_payload_of_the_wrong_shape_is_refused_by_name(payload: bytes) -> None:
    decoder = request_decoder()
    decoder.feed(frame(b"r", payload))
    with pytest.raises(ProtocolError, match="malformed ReadRequest"):
        decoder.next_message()


def test_a_field_that_a_later_version_added_is_ignored() -> None:
    decoder = request_decoder()
    decoder.feed(frame(b"t", b'{"start": 5, "compression": "zstd"}'))
    assert decoder.next_message() == TailRequest(start=5)


def test_the_largest_chunk_fits() -> None:
    data = b"x" * MAX_CHUNK
    decoder = reply_decoder()
    decoder.feed(data_header(7, len(data)) + data)
    assert decoder.next_message() == Data(offset=7, data=data)


def test_the_bytes_are_those_of_the_reference() -> None:
    """`docs/reference/protocol.md` shows these: another language's client relies on them."""
    assert TailRequest(start=5).encode() == b't\x00\x00\x00\x0b{"start":5}'
    assert Data(offset=258, data=b"ab").encode() == b"D\x00\x00\x00\x0a" + bytes(6) + b"\x01\x02ab"
    payload = HelloRequest().encode()[HEADER:]
    assert json.loads(payload) == {"version": 1, "fingerprint": None, "token": None}


def test_a_token_is_not_in_the_text_of_a_hello() -> None:
    shown = repr(HelloRequest(fingerprint="8-00", token="never-shown"))
    assert shown == "HelloRequest(version=1, fingerprint='8-00')"
