"""The shipped reviews and what the generator makes of them."""

import hashlib
import json
import re
import time
import unicodedata
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.parsing import parse_review
from reviewstream.samples import MAX_TEXT, MIN_TEXT, expand, shipped, write_sample

FIELDS = (
    "review_id",
    "user_id",
    "business_id",
    "stars",
    "useful",
    "funny",
    "cool",
    "text",
    "date",
)
PINNED = "ee2757af1d7802ccafaebeac21a707eb09ad7c9043c8b5c463c77557ed83b46c"
IDENTIFIER = re.compile(r"[A-Za-z0-9_-]{22}")
SCRIPTS = (
    "LATIN",
    "CYRILLIC",
    "GREEK",
    "ARABIC",
    "HEBREW",
    "DEVANAGARI",
    "THAI",
    "CJK",
    "HIRAGANA",
    "HANGUL",
    "GEORGIAN",
    "ETHIOPIC",
)


def assert_is_review(line: bytes) -> None:
    review: dict[str, Any] = json.loads(line)
    assert tuple(review) == FIELDS
    for name in ("review_id", "user_id", "business_id"):
        assert IDENTIFIER.fullmatch(review[name]), review
    assert review["stars"] in {1.0, 2.0, 3.0, 4.0, 5.0}
    assert isinstance(review["stars"], float)
    assert all(type(review[name]) is int for name in ("useful", "funny", "cool"))
    assert all(review[name] >= 0 for name in ("useful", "funny", "cool"))
    assert MIN_TEXT <= len(review["text"]) <= MAX_TEXT, review
    assert 2016 <= datetime.strptime(review["date"], "%Y-%m-%d %H:%M:%S").year <= 2026  # noqa: DTZ007 - review.json has no zone


@given(seed=st.integers(0, 2**63), count=st.integers(0, 400))
def test_every_line_is_a_review_with_all_fields_in_range_and_its_own_id(
    seed: int, count: int
) -> None:
    lines = list(expand(count, seed=seed))
    assert len(lines) == count
    for line in lines:
        assert_is_review(line)
        assert line.count(b"\n") == 1
        assert line.endswith(b"\n")
    assert len({json.loads(line)["review_id"] for line in lines}) == count


@given(seed=st.integers(0, 2**63), few=st.integers(0, 300), more=st.integers(0, 300))
def test_a_smaller_count_gives_a_prefix(seed: int, few: int, more: int) -> None:
    assert list(expand(few, seed=seed)) == list(islice(expand(few + more, seed=seed), few))


def test_our_own_parser_takes_every_line() -> None:
    assert all(isinstance(parse_review(line.rstrip(b"\n")), Ok) for line in expand(2_000))


def test_the_same_seed_gives_the_same_bytes_everywhere() -> None:
    """Pinned: a change of the reviews or of the generator changes it, another Python must not."""
    lines = b"".join(expand(1_000, seed=7))
    assert hashlib.sha256(lines).hexdigest() == PINNED


def test_another_seed_gives_other_variations_of_the_same_reviews() -> None:
    count = len(shipped())
    one, other = list(expand(count + 200, seed=1)), list(expand(count + 200, seed=2))
    assert one[:count] == other[:count]
    assert not set(one[count:]) & set(other[count:])


def test_nearly_all_texts_are_distinct() -> None:
    texts = [json.loads(line)["text"] for line in expand(1_000)]
    assert len(set(texts)) >= 950


@pytest.mark.parametrize("quantile", [0.1, 0.25, 0.5, 0.75, 0.9])
def test_variations_are_as_long_as_the_originals(quantile: float) -> None:
    originals = sorted(len(review.text) for review in shipped())
    variations = sorted(len(json.loads(line)["text"]) for line in expand(5_000))
    before = originals[int(quantile * len(originals))]
    after = variations[int(quantile * len(variations))]
    assert 0.7 <= after / before <= 1.4


def test_about_150_reviews_of_some_20_businesses_are_shipped() -> None:
    assert 150 <= len(shipped()) <= 200
    assert 20 <= len({review.business_id for review in shipped()}) <= 30
    assert {review.stars for review in shipped()} == {1.0, 2.0, 3.0, 4.0, 5.0}


def test_the_reviews_are_from_a_few_characters_to_several_thousand_long() -> None:
    lengths = [len(review.text) for review in shipped()]
    assert min(lengths) == MIN_TEXT
    assert max(lengths) > 3_500


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_reviews_are_in_several_scripts(script: str) -> None:
    characters = {character for review in shipped() for character in review.text}
    assert any(unicodedata.name(c, "").startswith(script) for c in characters)


@pytest.mark.parametrize(
    "trap",
    [
        pytest.param("\u2028", id="line separator"),
        pytest.param("\n\n", id="paragraphs"),
        pytest.param("\t", id="tab"),
        pytest.param("\\", id="backslash"),
        pytest.param('"', id="quotation mark"),
        pytest.param("<b>", id="markup"),
        pytest.param("e\u0301", id="combining accent"),
        pytest.param("\U0001f468\u200d\U0001f469", id="joined emoji"),
        pytest.param("Ignore all previous instructions", id="prompt injection"),
    ],
)
def test_the_reviews_hold_what_breaks_careless_readers(trap: str) -> None:
    assert any(trap in review.text for review in shipped())


def test_characters_are_written_as_utf_8_and_not_escaped() -> None:
    stream = b"".join(expand(len(shipped())))
    assert "Плов" in stream.decode()
    assert b"\\u" not in stream


def test_a_file_holds_the_lines_and_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    path.write_text("old")
    write_sample(path, 300, seed=3)
    assert path.read_bytes() == b"".join(expand(300, seed=3))


def test_ten_thousand_lines_take_under_two_seconds_of_the_processor() -> None:
    started = time.process_time()
    assert sum(1 for _ in expand(10_000)) == 10_000
    assert time.process_time() - started < 2
