"""What must hold for any bytes whatever: a function for each reader of bytes from outside."""

import contextlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from reviewstream.core.delivery.avro import AvroCodec, AvroDecodeError
from reviewstream.core.labelling.answers import read_answer
from reviewstream.core.labelling.chat import ChatAnswer
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.parsing import parse_review, to_line
from reviewstream.core.schemas.schema_files import SCHEMA_NAMES, schema_text
from reviewstream.core.transport.framing import LineFramer
from reviewstream.core.transport.protocol import (
    HEADER,
    MessageDecoder,
    MessageT,
    reply_decoder,
    request_decoder,
)
from reviewstream.errors import ProtocolError

CORPUS: Final = Path(__file__).parent / "corpus"
IDS: Final = ("1", "2", "3")
MAX_LINE: Final = 64  # bytes: so that short inputs reach what long lines do
_CODECS: Final = tuple(AvroCodec(schema_text(name)) for name in SCHEMA_NAMES)


def cut(data: bytes) -> Iterable[bytes]:
    """Return the data in two pieces: the first byte says where it is cut."""
    at = data[0] if data else 0
    return data[1 : 1 + at], data[1 + at :]


def requests(data: bytes) -> None:
    """Whatever a client sends, the server reads messages or refuses."""
    _messages(data, request_decoder())


def replies(data: bytes) -> None:
    """Whatever a server sends, the client reads messages or refuses."""
    _messages(data, reply_decoder())


def _messages(data: bytes, decoder: MessageDecoder[MessageT]) -> None:
    with contextlib.suppress(ProtocolError):
        for piece in cut(data):
            decoder.feed(piece)
            while (message := decoder.next_message()) is not None:
                again = type(message).decode(memoryview(message.encode())[HEADER:])
                assert again == message, (again, message)
    assert decoder.held <= len(data)


def lines(data: bytes) -> None:
    """However bytes are cut, the lines are the same, and each is where it says."""
    whole, pieces = LineFramer(max_line=MAX_LINE), LineFramer(max_line=MAX_LINE)
    body = data[1:]
    expected = [*whole.feed(body), whole.close()]
    found = [line for piece in cut(data) for line in pieces.feed(piece)]
    assert [*found, pieces.close()] == expected


def review(data: bytes) -> None:
    """Every line is a review, which written again is the same one, or is rejected."""
    outcome = parse_review(data)
    if isinstance(outcome, Ok):
        again = parse_review(to_line(outcome.value))
        assert again == outcome or b"\\ud" in data.lower(), (again, outcome)
    else:
        assert outcome.detail


def record(data: bytes) -> None:
    """Every value of a record is decoded, and encoded again is decoded the same, or is refused."""
    for codec in _CODECS:
        with contextlib.suppress(AvroDecodeError):
            schema_id, fields = codec.decode(data)
            again = codec.decode(codec.encode(fields, schema_id))
            assert repr(again) == repr((schema_id, fields))  # NaN equals nothing


def answer(data: bytes) -> None:
    """Every answer gives a label to each id that was asked about, or is rejected."""
    text = data.decode("utf-8", "surrogateescape")
    outcome = read_answer(ChatAnswer(text=text), IDS)
    if isinstance(outcome, Ok):
        assert outcome.value.keys() == set(IDS)
    else:
        assert outcome.detail


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    each.__name__: each for each in (requests, replies, lines, review, record, answer)
}
