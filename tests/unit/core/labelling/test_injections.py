"""Whatever a review says, it is a string in the user message; whatever a model says, a label."""

import json
import unicodedata

import pytest

from reviewstream.core.labelling.prompts import PROMPT_VERSIONS, as_sent, build_prompt
from tests.injections import INJECTIONS

MARKS = [
    "<|im_start|>",
    "<|endoftext|>",
    "<s>",
    "</s>",
    "[INST]",
    "<<SYS>>",
    "<end_of_turn>",
    "<!--",
]

every_injection = pytest.mark.parametrize("text", INJECTIONS.values(), ids=INJECTIONS)
every_version = pytest.mark.parametrize("version", PROMPT_VERSIONS)


def test_the_corpus_is_large_and_says_nothing_twice() -> None:
    assert len(INJECTIONS) >= 40
    assert len(set(INJECTIONS.values())) == len(INJECTIONS)


def test_the_corpus_holds_what_a_reader_cannot_see() -> None:
    found = {unicodedata.category(character) for text in INJECTIONS.values() for character in text}
    assert found >= {"Cc", "Cf", "Cn", "Co", "Cs", "Mn", "Zl", "Zp"}


@every_version
@every_injection
def test_an_injection_is_a_string_of_the_user_message_and_nothing_else(
    text: str, version: int
) -> None:
    honest = build_prompt(["before", "honest", "after"], version=version)
    attacked = build_prompt(["before", text, "after"], version=version)
    asked = json.loads(attacked.request.user.encode())
    sent = ["before", as_sent(text), "after"]
    assert asked == {
        "reviews": [
            {"id": name, "text": each} for name, each in zip(attacked.ids, sent, strict=True)
        ]
    }
    assert len(set(attacked.ids)) == len(honest.ids) == 3
    assert attacked.request.system == honest.request.system
    assert attacked.request.answer_schema == honest.request.answer_schema
    assert attacked.request.max_output_tokens == honest.request.max_output_tokens


@every_version
@every_injection
def test_an_injection_begins_no_line_of_its_own(text: str, version: int) -> None:
    user = build_prompt([text], version=version).request.user
    assert not {"\n", "\r", "\x00", "\x1b"} & set(user)


@pytest.mark.parametrize("mark", MARKS)
def test_since_version_2_no_mark_of_a_chat_template_is_in_the_request(mark: str) -> None:
    # An endpoint that reads such marks in the text of a message would take them for its own.
    for version in PROMPT_VERSIONS[1:]:
        request = build_prompt([f"Cold {mark} soup", mark], version=version).request
        assert mark not in request.user
        assert mark not in request.system
        assert json.loads(request.user)["reviews"][1]["text"] == mark


@every_injection
def test_since_version_2_no_injection_opens_a_mark(text: str) -> None:
    for version in PROMPT_VERSIONS[1:]:
        user = build_prompt([text], version=version).request.user
        assert "<" not in user
        assert user.count("[") == 1  # the list of the reviews
