"""Whether the model answers at all, asked before anything is done that would be paid for."""

import pytest

from reviewstream.core.chat import ChatAnswer
from reviewstream.errors import PermanentError, StopError, ThrottledError, TransientError
from reviewstream.pipeline.breaker import OUTAGE, SteadyModel
from reviewstream.pipeline.halt import Halt
from reviewstream.pipeline.metering import MeteredModel
from reviewstream.pipeline.policy import LabelPolicy
from reviewstream.testing import FakeChatModel, FakeClock, NoLimit

POLICY = LabelPolicy(model="m")
PROMPT = POLICY.prompt(["a review"])
FINE = ChatAnswer(text="", prompt_tokens=1, completion_tokens=1)


def steady(*answers: ChatAnswer | Exception, clock: FakeClock | None = None) -> SteadyModel:
    rest, halt = iter(answers), Halt()
    metered = MeteredModel(FakeChatModel(lambda _: next(rest)), NoLimit(), POLICY, halt)
    return SteadyModel(metered, clock or FakeClock(), POLICY, halt)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "is_answering"),
    [
        (FINE, True),
        (PermanentError("HTTP 400"), True),
        (ThrottledError("HTTP 429"), False),
        (TransientError("HTTP 503"), False),
    ],
    ids=["fine", "400", "429", "503"],
)
async def test_a_model_that_answers_answers_the_canary(
    *, answer: ChatAnswer | Exception, is_answering: bool
) -> None:
    assert await steady(answer).is_answering() is is_answering


@pytest.mark.anyio
async def test_what_nobody_can_wait_out_is_told() -> None:
    with pytest.raises(StopError, match="no credit"):
        await steady(StopError("no credit")).is_answering()


@pytest.mark.anyio
async def test_an_answer_ends_an_outage_for_all() -> None:
    clock = FakeClock()
    model = steady(*[TransientError("HTTP 503")] * OUTAGE, FINE, FINE, clock=clock)
    for _ in range(OUTAGE):
        with pytest.raises(TransientError):
            await model.answer(PROMPT)
    assert await model.is_answering()
    await model.answer(PROMPT)
    assert clock.sleeps == []
