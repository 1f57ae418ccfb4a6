"""The circuit breaker: whether the endpoint answers at all."""

import asyncio
from contextlib import suppress
from datetime import timedelta
from functools import partial

import pytest

from reviewstream.core.labelling.chat import ChatAnswer
from reviewstream.core.labelling.circuit_breaker import (
    OUTAGE,
    Circuit,
    CircuitBreaker,
    CircuitOpenError,
)
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.health import Health
from reviewstream.core.labelling.limits.turns import Turns
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.probe import Probe
from reviewstream.core.labelling.rate_limited_model import RateLimitedModel
from reviewstream.core.labelling.shutdown import Shutdown
from reviewstream.core.labelling.wait_log import WaitLog
from reviewstream.errors import (
    CapacityError,
    FatalError,
    PermanentError,
    RateLimitError,
    TransientError,
)
from reviewstream.testing import FakeChatModel, FakeClock, NoLimit

POLICY = LabelPolicy(model="m", endpoint="https://model.example/v1", startup_timeout=600)
REQUEST = POLICY.prompt(["a review"]).request
FINE = ChatAnswer(text="", prompt_tokens=1, completion_tokens=1)
AWAY = TransientError("HTTP 503: overloaded")


def breaker(
    *answers: ChatAnswer | Exception,
    clock: FakeClock | None = None,
    negotiation: Negotiation | None = None,
) -> tuple[CircuitBreaker, Circuit]:
    rest, shutdown, clock = iter(answers), Shutdown(), clock or FakeClock()
    negotiation = negotiation or Negotiation(POLICY.options)
    model = FakeChatModel(lambda _: next(rest, AWAY))
    turns = Turns(NoLimit(), shutdown)
    rate_limited = partial(RateLimitedModel, model, turns, POLICY, negotiation)
    probe = Probe(rate_limited, POLICY, negotiation, Health())
    log = WaitLog(clock)
    circuit = Circuit(
        probe, clock, policy=POLICY, negotiation=negotiation, shutdown=shutdown, log=log
    )
    return CircuitBreaker(rate_limited([], 1), circuit), circuit


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "is_answering"),
    [
        (FINE, True),
        (PermanentError("HTTP 400"), True),
        (RateLimitError("HTTP 429"), False),
        (CapacityError("HTTP 429"), False),
        (TransientError("HTTP 503"), False),
    ],
    ids=["fine", "400", "429", "no capacity", "503"],
)
async def test_an_endpoint_that_answers_answers_the_probe(
    *, answer: ChatAnswer | Exception, is_answering: bool
) -> None:
    assert await breaker(answer)[1].is_answering() is is_answering


@pytest.mark.anyio
async def test_what_needs_a_person_is_told() -> None:
    with pytest.raises(FatalError, match="no credit"):
        await breaker(FatalError("no credit"))[1].is_answering()


@pytest.mark.anyio
async def test_an_answer_ends_an_outage_for_all() -> None:
    clock = FakeClock()
    model, circuit = breaker(*[AWAY] * OUTAGE, FINE, FINE, clock=clock)
    for _ in range(OUTAGE):
        with pytest.raises(TransientError):
            await model.answer(REQUEST)
    assert await circuit.is_answering()
    await model.answer(REQUEST)
    assert clock.sleeps == []


@pytest.mark.anyio
@pytest.mark.parametrize("between", [FINE, PermanentError("HTTP 400"), RateLimitError("HTTP 429")])
async def test_failures_that_are_not_in_a_row_open_no_circuit(
    between: ChatAnswer | Exception,
) -> None:
    clock = FakeClock()
    answers = [*[AWAY] * (OUTAGE - 1), between] * 5
    model, _ = breaker(*answers, FINE, clock=clock)
    for _ in answers:
        with suppress(TransientError, PermanentError):
            await model.answer(REQUEST)
    await model.answer(REQUEST)
    assert clock.sleeps == []


@pytest.mark.anyio
async def test_a_request_that_fails_in_an_open_circuit_is_not_blamed_for_it() -> None:
    model, _ = breaker()
    calls = (model.answer(REQUEST) for _ in range(OUTAGE + 2))
    failures = [type(one) for one in await asyncio.gather(*calls, return_exceptions=True)]
    assert failures == [TransientError] * OUTAGE + [CircuitOpenError] * 2


@pytest.mark.anyio
async def test_no_capacity_in_a_tier_opens_no_circuit() -> None:
    clock = FakeClock()
    model, _ = breaker(*[CapacityError("HTTP 498")] * 50, FINE, clock=clock)
    for _ in range(50):
        with pytest.raises(CapacityError):
            await model.answer(REQUEST)
    await model.answer(REQUEST)
    assert clock.sleeps == []


@pytest.mark.anyio
async def test_an_endpoint_that_never_answers_ends_the_run_and_says_why() -> None:
    clock = FakeClock()
    begun, (model, _) = clock.now(), breaker(clock=clock)
    with pytest.raises(FatalError, match=r"has not answered once in 600 s.*HTTP 503.*base_url"):
        for _ in range(100):
            with pytest.raises(TransientError):
                await model.answer(REQUEST)
    assert timedelta(seconds=600) <= clock.now() - begun < timedelta(seconds=700)


@pytest.mark.anyio
async def test_the_end_of_a_run_is_no_answer_of_its_endpoint() -> None:
    negotiation = Negotiation(POLICY.options)
    with pytest.raises(FatalError, match="limits"):
        model, _ = breaker(FatalError("the limits stay away"), negotiation=negotiation)
        await model.answer(REQUEST)
    assert not negotiation.has_answered


@pytest.mark.anyio
async def test_an_endpoint_that_has_answered_this_process_is_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock, negotiation = FakeClock(), Negotiation(POLICY.options)
    model, _ = breaker(FINE, negotiation=negotiation)
    await model.answer(REQUEST)
    answers = [AWAY] * (OUTAGE + 60)
    model, _ = breaker(*answers, FINE, FINE, clock=clock, negotiation=negotiation)
    begun = clock.now()
    for _ in range(OUTAGE):
        with pytest.raises(TransientError):
            await model.answer(REQUEST)
    await model.answer(REQUEST)
    minutes = (clock.now() - begun) / timedelta(minutes=1)
    assert minutes > 30
    told = [one.getMessage() for one in caplog.records]
    assert minutes - 2 < len(told) <= minutes + 1, "at once, and every minute"
    assert all("HTTP 503: overloaded" in one and POLICY.endpoint in one for one in told)


@pytest.mark.anyio
@pytest.mark.parametrize("asked", [0.0, -1.0, 0.0001])
async def test_an_endpoint_that_asks_for_no_wait_is_not_asked_in_a_loop(asked: float) -> None:
    clock = FakeClock()
    away = TransientError("HTTP 503", retry_after=asked)
    model, _ = breaker(*[away] * (OUTAGE + 5), FINE, FINE, clock=clock)
    for _ in range(OUTAGE):
        with pytest.raises(TransientError):
            await model.answer(REQUEST)
    await model.answer(REQUEST)
    assert clock.sleeps == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0]
