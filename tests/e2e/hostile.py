"""A file with every kind of bad line, and what must become of each."""

import json
from collections import Counter
from dataclasses import dataclass, field

GOOD = {
    "review_id": "good",
    "user_id": "u",
    "business_id": "b",
    "stars": 4.0,
    "useful": 0,
    "funny": 0,
    "cool": 0,
    "text": "A lovely place, great food.",
    "date": "2020-01-02 03:04:05",
}
MIB = 1 << 20


def line_of(**changes: object) -> bytes:
    return json.dumps(GOOD | changes, ensure_ascii=False).encode()


def without(name: str) -> bytes:
    return json.dumps({key: value for key, value in GOOD.items() if key != name}).encode()


ACCEPTED = {
    "plain": line_of(review_id="plain"),
    "crlf": line_of(review_id="crlf") + b"\r",
    "unknown field": line_of(review_id="unknown-field", extra={"a": [1, None]}),
    "empty text": line_of(review_id="empty-text", text=""),
    "no votes": without("useful").replace(b'"good"', b'"no-votes"'),
    "whole number": line_of(review_id="whole", useful=1e2),
    "years": line_of(review_id="year-1", date="0001-01-01 00:00:00"),
    "more years": line_of(review_id="year-9999", date="9999-12-31 23:59:59"),
    "before 1970": line_of(review_id="before-1970", date="1969-12-31 23:59:59"),
    "nul and controls": line_of(review_id="controls", text="a\x00b\x1b[31mc\u202ed"),
    "longest text": line_of(review_id="longest", text="é" * 32_768),
    "emoji": line_of(review_id="emoji-😀", text="😀 שלום 你好"),
    "key twice": b'{"stars":"x",' + line_of(review_id="key-twice")[1:],
    "same id, older": line_of(review_id="same", text="old", date="2019-01-01 00:00:00"),
    "same id, newest": line_of(review_id="same", text="new", date="2021-01-01 00:00:00"),
    "same id, middle": line_of(review_id="same", text="middle", date="2020-01-01 00:00:00"),
}
REJECTED = {
    "not JSON": (b"{not json", "NOT_JSON"),
    "two objects": (line_of() + line_of(), "NOT_JSON"),
    "NaN": (line_of().replace(b"4.0", b"NaN"), "NOT_JSON"),
    "lone surrogate": (line_of().replace(b"lovely", rb"\ud800"), "NOT_JSON"),
    "byte order mark": (b"\xef\xbb\xbf" + line_of(), "NOT_JSON"),
    "nesting": (line_of()[:-1] + b',"x":' + b"[" * 100_000 + b"}", "NOT_JSON"),
    "not UTF-8": (line_of().replace(b"lovely", b"\xff\xfe"), "NOT_UTF8"),
    "array": (b"[1, 2]", "NOT_AN_OBJECT"),
    "null": (b"null", "NOT_AN_OBJECT"),
    "no id": (without("review_id"), "MISSING_FIELD"),
    "no text": (without("text"), "MISSING_FIELD"),
    "number as string": (line_of(stars="4"), "WRONG_TYPE"),
    "null votes": (line_of(useful=None), "WRONG_TYPE"),
    "stars": (line_of(stars=6), "OUT_OF_RANGE"),
    "votes": (line_of(cool=-1), "OUT_OF_RANGE"),
    "blank id": (line_of(review_id="   "), "OUT_OF_RANGE"),
    "long text": (line_of(text="x" * 65_537), "OUT_OF_RANGE"),
    "no such day": (line_of(date="2020-02-30 00:00:00"), "OUT_OF_RANGE"),
    "huge number": (line_of().replace(b"4.0", b"1e400"), "OUT_OF_RANGE"),
    "too long": (line_of(x="y" * MIB), "LINE_TOO_LONG"),
}
BLANK = (b"", b"  \t", b"\r")


@dataclass(frozen=True)
class HostileFile:
    """Good, bad and blank lines, mixed; the first line has a byte order mark, the last no newline.

    Attributes:
        reasons: How often each reason must be given.
        offsets: Where each rejected line starts, with its reason.
    """

    data: bytes
    accepted: int
    blank: int
    distinct: int
    reasons: Counter[str] = field(default_factory=Counter)
    offsets: dict[int, str] = field(default_factory=dict)


def hostile_file(filler: list[bytes]) -> HostileFile:
    """Spread the bad lines among the good ones of `filler`."""
    lines: list[tuple[bytes, str | None]] = [(line, None) for line in ACCEPTED.values()]
    lines += [(line, reason) for line, reason in REJECTED.values()]
    lines += [(line, None) for line in (*BLANK, *filler)]
    lines.sort(key=lambda pair: hash_of(pair[0]))
    lines = [(b"\xef\xbb\xbf" + line_of(review_id="first"), None), *lines]
    lines.append((line_of(review_id="last"), None))
    offsets: dict[int, str] = {}
    position = 0
    for line, reason in lines:
        if reason is not None:
            offsets[position] = reason
        position += len(line) + 1
    return HostileFile(
        data=b"\n".join(line for line, _ in lines),
        accepted=len(ACCEPTED) + len(filler) + 2,
        blank=len(BLANK),
        distinct=len(ACCEPTED) - 2 + len(filler) + 2,
        reasons=Counter(offsets.values()),
        offsets=offsets,
    )


def hash_of(line: bytes) -> int:
    """Mix the lines the same way each time, but keep those of one id in their order."""
    return 0 if b'"same"' in line else sum(line[:2000]) * 7919 % 10_007
