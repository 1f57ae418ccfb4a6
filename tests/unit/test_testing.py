"""The fakes for users do what they say."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from reviewstream.core.labelling.chat import ChatAnswer, RateLimits
from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.ports import (
    ChatModel,
    LabelLedger,
    LedgerEntry,
    LedgerKey,
    RateLimiter,
)
from reviewstream.core.labelling.prompts import build_prompt
from reviewstream.core.records.reviews import Sentiment
from reviewstream.core.retry.ports import Clock
from reviewstream.testing import FakeChatModel, FakeClock, MemoryLedger, NoLedger, NoLimit, judging

REQUEST = build_prompt(["fine", "bad"]).request
KEY = LedgerKey(model="m", prompt_version=1, text_sha256=bytes(32))
ENTRY = LedgerEntry(
    sentiment=Sentiment.NEUTRAL,
    confidence=None,
    model="m",
    prompt_tokens=1,
    completion_tokens=1,
    cost_micro_usd=1,
    request_id=None,
    labelled_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.mark.anyio
async def test_a_fake_model_says_positive_unless_it_is_told_otherwise() -> None:
    model: ChatModel = FakeChatModel()
    assert (await model.answer(REQUEST)).text.count("POSITIVE") == 2


@pytest.mark.anyio
async def test_a_fake_model_judges_as_it_is_told() -> None:
    model = FakeChatModel(
        judging(lambda text: Sentiment.NEGATIVE if text == "bad" else Sentiment.NEUTRAL)
    )
    text = (await model.answer(REQUEST)).text
    assert text == (
        '{"labels":[{"id":"0","sentiment":"NEUTRAL","confidence":1.0},'
        '{"id":"1","sentiment":"NEGATIVE","confidence":1.0}]}'
    )


@pytest.mark.anyio
async def test_a_fake_model_raises_the_error_it_is_given_and_remembers_the_request() -> None:
    model = FakeChatModel(lambda _: OSError("away"))
    with pytest.raises(OSError, match="away"):
        await model.answer(REQUEST)
    assert model.requests == [REQUEST]
    assert model.in_flight == 0


@pytest.mark.anyio
async def test_a_fake_model_counts_what_is_in_flight_and_knows_when_it_is_closed() -> None:
    model = FakeChatModel(lambda _: ChatAnswer(text=""))
    await asyncio.gather(*(model.answer(REQUEST) for _ in range(5)))
    assert model.peak == 5
    assert not model.closed
    await model.aclose()
    assert model.closed


def test_a_memory_ledger_finds_what_was_recorded() -> None:
    ledger: LabelLedger = MemoryLedger()
    assert ledger.find([KEY]) == {}
    ledger.record({KEY: ENTRY})
    assert ledger.find([KEY]) == {KEY: ENTRY}


def test_no_ledger_finds_nothing() -> None:
    ledger: LabelLedger = NoLedger()
    ledger.record({KEY: ENTRY})
    assert ledger.find([KEY]) == {}


@pytest.mark.anyio
async def test_no_limit_lets_everything_through() -> None:
    limiter: RateLimiter = NoLimit()
    limiter.learn(RateLimits(requests_per_minute=1.0))
    limiter.throttled(3600.0)
    await limiter.acquire(Amount(tokens=10**9, micro_usd=10**12))
    limiter.settle(Amount(tokens=1), Amount(tokens=1, micro_usd=10**12))


@pytest.mark.anyio
async def test_what_waits_on_a_fake_clock_for_ever_fails() -> None:
    fake = FakeClock(most=2)
    await fake.sleep(1)
    await fake.sleep(1)
    with pytest.raises(AssertionError, match="2 waits"):
        await fake.sleep(1)


@pytest.mark.anyio
async def test_a_fake_clocks_time_passes_in_its_sleep_only() -> None:
    fake = FakeClock(jitter=0.25)
    clock: Clock = fake
    before = clock.now()
    await clock.sleep(3600)
    assert clock.now() - before == timedelta(hours=1)
    assert fake.sleeps == [3600]
    assert clock.jitter() == 0.25
