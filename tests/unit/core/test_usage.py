"""What an endpoint reports is charged, but for nonsense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.chat import ChatAnswer
from reviewstream.core.prompts import build_prompt
from reviewstream.core.usage import FRAME, MAX_OVER, clamp_usage

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
