"""What an endpoint reports is charged, but for nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.core.labelling.ceilings import FRAME, MAX_OVER, clamp_usage, is_used_up
from reviewstream.core.labelling.chat import ChatAnswer
from reviewstream.core.labelling.prompts import build_prompt

TEXT = "Soup, cold. 冷たい"
PROMPT = build_prompt([TEXT])


@given(prompt=st.integers(0, MAX_OVER), completion=st.integers(0, MAX_OVER))
def test_what_can_be_true_is_charged(prompt: int, completion: int) -> None:
    answer = ChatAnswer(text="{}", prompt_tokens=prompt, completion_tokens=completion)
    assert clamp_usage(answer, PROMPT.request) == answer


@pytest.mark.parametrize("refusal", [None, "no, not that"])
def test_what_cannot_be_true_is_cut_to_what_can(refusal: str | None) -> None:
    answer = ChatAnswer(
        text="x" * 100, refusal=refusal, prompt_tokens=1 << 24, completion_tokens=1 << 24
    )
    found = clamp_usage(answer, PROMPT.request)
    request = PROMPT.request
    sent = len((request.system + request.user + str(request.answer_schema)).encode())
    assert found.prompt_tokens == sent + FRAME + MAX_OVER
    said = request.max_output_tokens + 100 + len(refusal or "")
    assert found.completion_tokens == said + MAX_OVER
    assert (found.text, found.refusal) == (answer.text, refusal)


MOST = PROMPT.request.max_output_tokens
CUT = ChatAnswer(text="", finish_reason="length", completion_tokens=MOST, reasoning_tokens=MOST)


@pytest.mark.parametrize(
    ("answer", "is_so"),
    [
        (CUT, True),
        (structs.replace(CUT, finish_reason="stop"), False),
        (structs.replace(CUT, completion_tokens=MOST // 2), False),
        (structs.replace(CUT, text='{"labels": [', reasoning_tokens=0), False),
        (structs.replace(CUT, text='{"labels": [', reasoning_tokens=MOST - 5), True),
        (structs.replace(CUT, reasoning_tokens=0), True),
        (structs.replace(CUT, completion_tokens=0, has_usage=False), True),
    ],
)
def test_an_answer_is_used_up_by_what_it_does_not_show(answer: ChatAnswer, *, is_so: bool) -> None:
    assert is_used_up(answer, PROMPT.request) is is_so
