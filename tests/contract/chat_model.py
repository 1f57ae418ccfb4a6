"""What every `ChatModel` must do."""

import asyncio
import json
from collections.abc import Callable

import pytest

from reviewstream.core.labelling.answers import read_answer
from reviewstream.core.labelling.ports import ChatModel
from reviewstream.core.labelling.prompts import build_prompt
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import (
    BudgetExceededError,
    FatalError,
    PermanentError,
    RateLimitError,
    TransientError,
)

Misbehave = Callable[[str], None]

JOY = "I love it, wonderful!"
GRIEF = "I hate it, horrible!"


class ChatModelContract:
    """Subclass it and provide two fixtures.

    `model` judges joyful and angry texts as such; `misbehave` makes its next answer a
    fault: `rate_429` (to be retried after 2 seconds), `500`, `reset`, `truncated_json`,
    `empty_choices`, `quota_429`, `401`, `400`, `refusal` or `length`.
    """

    @pytest.mark.anyio
    async def test_every_review_of_a_request_is_answered_under_its_id(
        self, model: ChatModel
    ) -> None:
        prompt = build_prompt([JOY, GRIEF, JOY])
        outcome = read_answer(await model.answer(prompt.request), prompt.ids)
        assert isinstance(outcome, Ok)
        labels = [outcome.value[name].sentiment for name in prompt.ids]
        assert labels == [Sentiment.POSITIVE, Sentiment.NEGATIVE, Sentiment.POSITIVE]

    @pytest.mark.anyio
    async def test_an_answer_says_who_gave_it_and_what_it_took(self, model: ChatModel) -> None:
        answer = await model.answer(build_prompt([JOY]).request)
        assert answer.model
        assert answer.finish_reason == "stop"
        assert answer.refusal is None
        assert answer.prompt_tokens > 0
        assert answer.completion_tokens > 0

    @pytest.mark.anyio
    async def test_answers_do_not_mix_under_concurrency(self, model: ChatModel) -> None:
        texts = [JOY if number % 3 else GRIEF for number in range(40)]
        prompts = [build_prompt([text]) for text in texts]
        answers = await asyncio.gather(*(model.answer(one.request) for one in prompts))
        labels = [json.loads(one.text)["labels"][0]["sentiment"] for one in answers]
        assert labels == ["POSITIVE" if text == JOY else "NEGATIVE" for text in texts]

    @pytest.mark.anyio
    async def test_a_rate_limit_passes_and_says_how_long_to_wait(
        self, model: ChatModel, misbehave: Misbehave
    ) -> None:
        misbehave("rate_429")
        with pytest.raises(RateLimitError) as caught:
            await model.answer(build_prompt([JOY]).request)
        assert caught.value.retry_after == 2.0

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", ["500", "reset", "truncated_json"])
    async def test_after_a_failure_that_passes_the_same_request_is_answered(
        self, model: ChatModel, misbehave: Misbehave, fault: str
    ) -> None:
        misbehave(fault)
        request = build_prompt([JOY]).request
        with pytest.raises(TransientError):
            await model.answer(request)
        assert (await model.answer(request)).text

    @pytest.mark.anyio
    async def test_a_refused_key_is_a_stop(self, model: ChatModel, misbehave: Misbehave) -> None:
        misbehave("401")
        with pytest.raises(FatalError) as caught:
            await model.answer(build_prompt([JOY]).request)
        assert not isinstance(caught.value, BudgetExceededError)

    @pytest.mark.anyio
    async def test_a_spent_quota_is_a_limit(self, model: ChatModel, misbehave: Misbehave) -> None:
        misbehave("quota_429")
        with pytest.raises(BudgetExceededError):
            await model.answer(build_prompt([JOY]).request)

    @pytest.mark.anyio
    async def test_a_refused_request_is_no_reason_to_stop(
        self, model: ChatModel, misbehave: Misbehave
    ) -> None:
        misbehave("400")
        with pytest.raises(PermanentError) as caught:
            await model.answer(build_prompt([JOY]).request)
        assert not isinstance(caught.value, FatalError)

    @pytest.mark.anyio
    @pytest.mark.parametrize("fault", ["refusal", "empty_choices"])
    async def test_a_refusal_is_an_answer(
        self, model: ChatModel, misbehave: Misbehave, fault: str
    ) -> None:
        misbehave(fault)
        answer = await model.answer(build_prompt([JOY]).request)
        assert answer.refusal
        assert answer.text == ""

    @pytest.mark.anyio
    async def test_an_answer_cut_short_says_so(
        self, model: ChatModel, misbehave: Misbehave
    ) -> None:
        misbehave("length")
        assert (await model.answer(build_prompt([JOY]).request)).finish_reason == "length"
