"""What files that hold no review are said to be."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.records.file_kinds import seems_to_be

ROW = {
    "review_id": "a",
    "user_id": "b",
    "business_id": "c",
    "stars": 4,
    "text": "fine",
    "date": "2018-01-01 00:00:00",
}
VOTES = {"funny": 0, "useful": 2, "cool": 1}
WIDE = {f"f{number}": 1 for number in range(11)}


def written(value: object, indent: int | None = None) -> bytes:
    return json.dumps(value, indent=indent).encode() + b"\n"


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf \n\n", "empty"),
        (b"\x1f\x8b\x08", "gzip inside"),
        (b"PAR1\x15", "a Parquet file"),
        (b"%PDF-1.7", "a PDF"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"\n<!DOCTYPE html>\n", "a web page"),
        (written(ROW).decode().encode("utf-16"), "text in UTF-16"),
        (written(ROW).decode().encode("utf-16-le"), "text in UTF-16"),
        (bytes(range(1, 99)) + b"\0", "binary"),
        ('{"text": "café"}\n'.encode("latin-1"), "no text in UTF-8"),
        ("café".encode()[:-1], "plain text"),
        (written([ROW]), "a JSON array"),
        (written([ROW], indent=2), "a JSON array"),
        (b"[" + written(ROW).strip() + b",\n", "a JSON array"),
        (written(ROW, indent=2), "JSON over several lines"),
        (written({"reviews": [ROW]}), "an object around an array.*'.\"reviews\"\\[]'"),
        (written({"reviews": [ROW]}, indent=2), "an object around an array"),
        (written({"reviews": [ROW] * 9_000})[:60_000], "an object around an array"),
        (written(7), "JSON, but no objects"),
        (written(ROW | {"votes": VOTES, "date": "2007-05-17"}), "the old form of Yelp's data"),
        (
            written({"id": 1, "rating": 5, "body": "x"}),
            r"JSON lines without review_id, .* \(they have id, rating, body\).*review_id: \.OTHER",
        ),
        (written({"votes": VOTES}), "JSON lines without"),
        (written(WIDE), r"JSON lines .*they have f0, f1, .*, f7 and 3 more\)"),
        (written(ROW | {"stars": 9}), "reviews with values that are not taken"),
        (b'review_id,"stars",text\n1,2,3\n', "CSV with columns review_id, stars, text:"),
        (b"review_id\tstars\ttext\n", "TSV"),
        (b"review_id;stars;text\n", "CSV with semicolons"),
        (b"hello, you\n", "plain text"),
        (b"Well, {x}, there\n", "plain text"),
    ],
)
def test_a_file_is_known_by_its_beginning(start: bytes, kind: str) -> None:
    assert re.match(kind, seems_to_be(start))


@given(st.binary() | st.text().map(lambda text: text.encode(errors="replace")))
def test_any_beginning_gets_one_line(start: bytes) -> None:
    assert seems_to_be(start)
