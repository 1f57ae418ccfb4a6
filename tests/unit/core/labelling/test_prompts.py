"""Prompts: numbered, never edited, and data stays data."""

import json
import math
import shutil
from fractions import Fraction
from hashlib import sha256
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.labelling.chat import ChatOptions
from reviewstream.core.labelling.prompts import (
    BYTES_PER_TOKEN,
    MAX_TEXT_TOKENS,
    PROMPT_VERSION,
    PROMPT_VERSIONS,
    TOKENS_PER_ANSWER,
    as_sent,
    build_prompt,
    estimate_tokens,
    expected_answer_tokens,
    is_truncated,
    known_version,
    question_tokens,
)
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import ConfigError
from reviewstream.settings import OpenAISettings

GOLDEN = Path(__file__).with_name("golden")
CEILING = MAX_TEXT_TOKENS * BYTES_PER_TOKEN

texts = st.text(st.characters(codec="utf-8"), max_size=200)
any_text = st.text(st.characters(), max_size=200)  # lone surrogates too

versions = st.sampled_from(PROMPT_VERSIONS)

every_version = pytest.mark.parametrize("version", PROMPT_VERSIONS)


def drift(folder: Path) -> tuple[str, ...]:
    """Return what differs from the pins, one sentence for each file."""
    lines = (folder / "SHA256SUMS").read_text("ascii").splitlines()
    pins = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    there = {path.name: sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.json")}
    return (
        *(
            f"{name} was changed: labels were bought with it, so make it a new version"
            for name in sorted(pins.keys() & there.keys())
            if pins[name] != there[name]
        ),
        *(f"{name} is gone: labels were bought with it" for name in sorted(pins.keys() - there)),
        *(f"{name} is not pinned: add it to SHA256SUMS" for name in sorted(there.keys() - pins)),
    )


@every_version
def test_a_version_asks_what_it_always_asked(version: int) -> None:
    # A prompt that differs is another version: give it the next number, and a golden file.
    reviews = ["The soup was cold.\n“Never again” 🙁", ""]
    asked = msgspec.structs.asdict(build_prompt(reviews, version=version).request)
    assert asked.pop("options") == ChatOptions()  # the endpoint's business, not the version's
    golden = json.loads((GOLDEN / f"prompt_v{version}.json").read_text("utf-8"))
    assert asked == golden


def test_every_version_has_a_golden_request_and_no_other_has() -> None:
    names = sorted(path.name for path in GOLDEN.glob("prompt_v*.json"))
    assert names == sorted(f"prompt_v{number}.json" for number in PROMPT_VERSIONS)


def test_no_golden_request_was_ever_changed() -> None:
    assert drift(GOLDEN) == ()


def test_a_golden_request_that_changes_goes_or_comes_is_seen(tmp_path: Path) -> None:
    folder = shutil.copytree(GOLDEN, tmp_path / "golden")
    changed = folder / "prompt_v1.json"
    changed.write_bytes(changed.read_bytes() + b"\n")
    (folder / "prompt_v2.json").rename(folder / "prompt_v999.json")
    assert drift(folder) == (
        "prompt_v1.json was changed: labels were bought with it, so make it a new version",
        "prompt_v2.json is gone: labels were bought with it",
        "prompt_v999.json is not pinned: add it to SHA256SUMS",
    )


def test_an_unknown_version_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"openai.prompt_version .* is 99: there are 1, 2$"):
        known_version(99)


def test_versions_are_numbered_without_a_gap_and_the_default_is_one_of_them() -> None:
    assert tuple(range(1, len(PROMPT_VERSIONS) + 1)) == PROMPT_VERSIONS
    assert known_version(PROMPT_VERSION) == PROMPT_VERSION
    assert OpenAISettings().prompt_version == PROMPT_VERSION


@given(st.lists(texts, min_size=1, max_size=5), versions)
def test_the_user_message_is_json_that_holds_every_text_under_its_id(
    given_texts: list[str], version: int
) -> None:
    prompt = build_prompt(given_texts, version=version)
    asked = json.loads(prompt.request.user)
    assert asked == {
        "reviews": [
            {"id": name, "text": text} for name, text in zip(prompt.ids, given_texts, strict=True)
        ]
    }
    assert len(set(prompt.ids)) == len(given_texts)


@given(any_text)
@example("\ud800")
def test_a_prompt_is_made_of_any_text(text: str) -> None:
    request = build_prompt([text]).request
    assert (
        json.loads(request.user.encode())["reviews"][0]["text"]
        == text.encode(errors="replace").decode()
    )


@pytest.mark.parametrize("character", ["a", "é", "語", "😀"])
def test_a_long_text_is_cut_between_two_characters(character: str) -> None:
    text = character * (CEILING // len(character.encode()) + 1)
    sent = json.loads(build_prompt([text]).request.user)["reviews"][0]["text"]
    assert is_truncated(text)
    assert CEILING - 4 < len(sent.encode()) <= CEILING
    assert text.startswith(sent)


def test_a_text_of_just_the_limit_is_sent_whole() -> None:
    text = "a" * CEILING
    assert json.loads(build_prompt([text]).request.user)["reviews"][0]["text"] == text
    assert not is_truncated(text)


@every_version
def test_the_schema_allows_the_labels_and_nothing_else(version: int) -> None:
    schema = build_prompt(["fine"], version=version).request.answer_schema
    item = schema["properties"]["labels"]["items"]
    assert item["properties"]["sentiment"]["enum"] == [one.value for one in Sentiment]
    assert item["additionalProperties"] is False
    assert schema["additionalProperties"] is False


@given(st.lists(texts, min_size=1, max_size=5))
def test_the_estimate_covers_question_and_answer(given_texts: list[str]) -> None:
    prompt = build_prompt(given_texts)
    question = estimate_tokens(prompt.request.system) + estimate_tokens(prompt.request.user)
    assert abs(prompt.tokens - prompt.request.max_output_tokens - question) <= 1


@given(any_text)
def test_tokens_are_a_quarter_of_the_bytes_rounded_up(text: str) -> None:
    size = len(text.encode(errors="replace"))
    assert estimate_tokens(text) == math.ceil(Fraction(size, BYTES_PER_TOKEN))


@given(any_text)
@example("a" * CEILING + "\ud800")
def test_what_is_sent_of_a_text_is_told(text: str) -> None:
    sent = json.loads(build_prompt([text]).request.user)["reviews"][0]["text"]
    assert as_sent(text) == sent


@given(st.lists(texts, min_size=1, max_size=5), texts)
def test_version_2_calls_reviews_what_none_of_them_can_know(
    given_texts: list[str], neighbour: str
) -> None:
    ids = build_prompt(given_texts, version=2).ids
    assert ids == build_prompt(given_texts, version=2).ids
    others = {build_prompt([*given_texts, f"{neighbour}{n}"], version=2).ids[0] for n in range(40)}
    assert len(others) > 10
    assert all(len(name) == 2 and name.isalpha() and name.islower() for name in {*ids, *others})


@pytest.mark.parametrize(("reviews", "length"), [(26, 2), (27, 3), (676, 3), (677, 4)])
def test_version_2_has_an_id_for_every_review_of_a_large_pack(reviews: int, length: int) -> None:
    ids = build_prompt(["fine"] * reviews, version=2).ids
    assert len(set(ids)) == reviews
    assert {len(name) for name in ids} == {length}


def test_version_2_takes_fewer_tokens_of_question_and_answer() -> None:
    reviews = ["The soup was cold, and the waiter said that it always is."] * 20
    first, second = (build_prompt(reviews, version=number) for number in (1, 2))
    assert second.tokens < first.tokens
    assert expected_answer_tokens(20, version=2) <= 0.7 * expected_answer_tokens(20, version=1)


@given(st.integers(1, 100), versions)
def test_what_an_answer_is_expected_to_take_is_within_what_it_may_take(
    reviews: int, version: int
) -> None:
    request = build_prompt([""] * reviews, version=version).request
    assert 0 < expected_answer_tokens(reviews, version=version) < request.max_output_tokens


@given(st.lists(texts, min_size=1, max_size=5), st.integers(1, 10_000), versions)
def test_what_an_answer_may_take_is_a_setting(
    given_texts: list[str], each: int, version: int
) -> None:
    prompt = build_prompt(given_texts, version=version, tokens_per_label=each)
    usual = build_prompt(given_texts, version=version)
    ceiling = prompt.request.max_output_tokens
    assert ceiling == TOKENS_PER_ANSWER + each * len(given_texts)
    assert prompt.tokens - ceiling == usual.tokens - usual.request.max_output_tokens


@given(st.lists(texts, min_size=1, max_size=5), versions)
def test_a_question_takes_what_its_messages_take_and_three_tokens_for_each(
    given_texts: list[str], version: int
) -> None:
    request = build_prompt(given_texts, version=version).request
    apart = estimate_tokens(request.system) + estimate_tokens(request.user)
    assert question_tokens(request) == apart + 2 * 3
