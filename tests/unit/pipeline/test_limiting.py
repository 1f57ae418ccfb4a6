"""The limiter over a store: it waits for its turn, looks again, and gives back what it must."""

import asyncio
from collections.abc import Callable

import pytest
from msgspec import structs

from reviewstream.core.chat import RateLimits
from reviewstream.core.limits import Amount, Operation, Refusal, Reply, Terms
from reviewstream.core.pace import CUT, MARGIN, MINUTE
from reviewstream.errors import ConfigError, LimitError, StopError, TransientError
from reviewstream.pipeline.limiting import JITTER, NAP, RELEARN, SharedLimiter, terms_of
from reviewstream.settings import LimitsSettings, OpenAISettings
from reviewstream.testing import FakeClock, MemoryLimits

ALL = Amount(tokens=9, micro_usd=5)
GAP = MINUTE / (60 * MARGIN)
TERMS = Terms(model="m", limits=RateLimits(requests_per_minute=60.0), budget_micro_usd=1_000)


class _Failing(MemoryLimits):
    """A store that fails when it is told to."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.failures: list[Exception] = []
        self.operations: list[str] = []

    def apply(self, operation: Operation, terms: Terms) -> Reply:
        self.operations.append(type(operation).__name__)
        if self.failures:
            raise self.failures.pop(0)
        return super().apply(operation, terms)


def _limiter(
    clock: FakeClock, terms: Terms = TERMS, *, attempts: int = 3
) -> tuple[SharedLimiter, _Failing]:
    store = _Failing(clock)
    return SharedLimiter(store, terms, clock, attempts=attempts), store


async def _ask(limiter: SharedLimiter, *, cost: int = 0) -> None:
    await limiter.acquire(Amount(tokens=10, micro_usd=cost))


@pytest.mark.anyio
async def test_whoever_must_wait_makes_two_trips_and_no_more() -> None:
    limiter, store = _limiter(clock := FakeClock())
    await _ask(limiter)
    assert (clock.sleeps, store.operations) == ([], ["Take"])
    await _ask(limiter)
    assert clock.sleeps == [pytest.approx(GAP)]
    assert store.operations == ["Take", "Take", "Look"]


@pytest.mark.anyio
@pytest.mark.parametrize(("rate", "most"), [(60.0, JITTER), (600.0, GAP / 10)])
async def test_jitter_is_a_little_and_never_more_than_a_turn(rate: float, most: float) -> None:
    terms = Terms(model="m", limits=RateLimits(requests_per_minute=rate))
    limiter, _ = _limiter(clock := FakeClock(jitter=0.5), terms)
    while not clock.sleeps:
        await _ask(limiter)
    spacing = MINUTE / (rate * MARGIN)
    assert clock.sleeps[0] == pytest.approx(spacing + most / 2, rel=0.5)
    assert clock.sleeps[0] <= spacing + most / 2 + 1e-9


@pytest.mark.anyio
async def test_a_pause_that_comes_while_one_waits_is_waited_for() -> None:
    class Pausing(FakeClock):
        async def sleep(self, seconds: float) -> None:
            if not self.sleeps:
                limiter.throttled(20.0)
            await super().sleep(seconds)

    limiter, _ = _limiter(clock := Pausing())
    await _ask(limiter)
    await _ask(limiter)
    assert len(clock.sleeps) == 2
    assert sum(clock.sleeps) > 20


@pytest.mark.anyio
async def test_whoever_is_cancelled_while_waiting_gives_everything_back() -> None:
    asleep = asyncio.Event()

    class Endless(FakeClock):
        async def sleep(self, seconds: float) -> None:
            del seconds
            asleep.set()
            await asyncio.Event().wait()

    limiter, store = _limiter(Endless())
    await _ask(limiter, cost=100)
    waiting = asyncio.create_task(_ask(limiter, cost=100))
    await asleep.wait()
    assert store.spent == {"": 200}
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert store.spent == {"": 100}
    pace = store.paces["m"]
    assert pace.requests.released == pace.requests.issued


@pytest.mark.anyio
async def test_what_is_settled_can_be_spent() -> None:
    limiter, store = _limiter(FakeClock())
    await _ask(limiter, cost=900)
    with pytest.raises(LimitError, match=r"the budget is spent: \$0\.0009 of \$0\.001, and"):
        await _ask(limiter, cost=101)
    limiter.settle(Amount(tokens=10, micro_usd=900), Amount(tokens=4, micro_usd=850))
    await _ask(limiter, cost=101)
    assert store.spent == {"": 951}


RUN = structs.replace(TERMS, run="this one")


@pytest.mark.anyio
async def test_who_finds_the_budget_spent_ends_the_others_of_his_run_in_his_words() -> None:
    limiter, store = _limiter(clock := FakeClock(), RUN)
    await _ask(limiter, cost=900)
    limiter.check()
    with pytest.raises(LimitError, match="the budget is spent") as first:
        await _ask(limiter, cost=101)
    limiter.settle(Amount(micro_usd=900), Amount())
    other = SharedLimiter(store, RUN, clock, attempts=1)
    for meet in (other.check, lambda: asyncio.run(_ask(other))):
        with pytest.raises(LimitError) as second:
            await asyncio.to_thread(meet)
        assert str(second.value) == str(first.value)
    assert store.spent == {"": 0}
    richer = structs.replace(RUN, run="the next one", budget_micro_usd=2_000)
    await _ask(SharedLimiter(store, richer, clock, attempts=1), cost=101)


@pytest.mark.anyio
async def test_an_end_is_seen_within_a_second_by_who_waits_and_gives_everything_back() -> None:
    class Ending(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if len(self.sleeps) == 2:
                limiter.end("no quota")

    slow = structs.replace(RUN, limits=RateLimits(requests_per_minute=1.0))
    limiter, store = _limiter(clock := Ending(), slow)
    await _ask(limiter, cost=100)
    with pytest.raises(LimitError, match="no quota"):
        await _ask(limiter, cost=100)
    assert clock.sleeps == [NAP, NAP]
    assert store.spent == {"": 100}


@pytest.mark.anyio
async def test_who_belongs_to_no_run_asks_nobody_for_its_end() -> None:
    limiter, store = _limiter(FakeClock())
    limiter.end("no quota")
    limiter.check()
    assert store.operations == []


@pytest.mark.anyio
async def test_an_end_that_the_store_does_not_tell_is_none() -> None:
    limiter, store = _limiter(FakeClock(), RUN)
    store.failures = [AWAY]
    limiter.check()
    assert store.operations == ["End"]


def test_where_everything_was_used_there_is_no_trip_to_settle() -> None:
    limiter, store = _limiter(FakeClock())
    limiter.learn(RateLimits())
    limiter.settle(ALL, ALL)
    assert store.operations == ["Learn"]


def test_a_refusal_slows_everybody_down() -> None:
    limiter, store = _limiter(clock := FakeClock())
    limiter.throttled(None)
    assert (store.paces["m"].factor, store.paces["m"].pause) == (CUT, 0)
    limiter.throttled(7.5)
    other = SharedLimiter(store, TERMS, clock, attempts=1)
    asyncio.run(_ask(other))
    assert sum(clock.sleeps) >= 7.5


@pytest.mark.anyio
async def test_what_is_learned_is_told_once_in_a_while() -> None:
    limiter, store = _limiter(clock := FakeClock(), Terms(model="m"))
    told = RateLimits(requests_per_minute=500.0)
    limiter.learn(told)
    limiter.learn(told)
    limiter.learn(RateLimits())
    assert store.operations == ["Learn"]
    assert store.paces["m"].requests_limit == 500.0
    limiter.learn(RateLimits(requests_per_minute=60.0))
    assert store.paces["m"].requests_limit == 60.0
    await clock.sleep(RELEARN.total_seconds())
    limiter.learn(RateLimits(requests_per_minute=60.0))
    assert store.operations == ["Learn"] * 3


@pytest.mark.anyio
async def test_that_nothing_is_said_of_limits_is_told_once() -> None:
    limiter, store = _limiter(FakeClock(), Terms(model="m"))
    limiter.learn(RateLimits())
    limiter.learn(RateLimits())
    assert store.operations == ["Learn"]
    limiter.learn(RateLimits(requests_per_minute=60.0))
    assert store.operations == ["Learn"] * 2


@pytest.mark.anyio
async def test_whoever_asks_first_and_fails_lets_the_next_one_ask() -> None:
    limiter, store = _limiter(clock := FakeClock(), Terms(model="m"))
    await _ask(limiter)
    limiter.settle(ALL, ALL)
    await _ask(limiter)
    assert (clock.sleeps, store.operations) == ([], ["Take", "GiveBack", "Take"])


AWAY = TransientError("the ledger is away")


@pytest.mark.anyio
async def test_a_store_that_is_away_for_a_moment_is_waited_for() -> None:
    limiter, store = _limiter(clock := FakeClock())
    store.failures = [AWAY, AWAY]
    await _ask(limiter)
    assert len(clock.sleeps) == 2


@pytest.mark.anyio
async def test_without_its_store_nobody_is_let_through() -> None:
    limiter, store = _limiter(FakeClock())
    store.failures = [AWAY] * 3
    with pytest.raises(
        StopError, match=r"nobody may ask .* without its limits: the ledger is away"
    ):
        await _ask(limiter)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "tell",
    [
        lambda limiter: limiter.throttled(1.0),
        lambda limiter: limiter.learn(RateLimits(requests_per_minute=1.0)),
        lambda limiter: limiter.settle(ALL, Amount()),
    ],
)
async def test_what_cannot_be_told_is_no_reason_to_stop_but_a_damaged_store_is(
    tell: Callable[[SharedLimiter], None],
) -> None:
    limiter, store = _limiter(FakeClock())
    store.failures = [AWAY]
    tell(limiter)
    limiter, store = _limiter(FakeClock())
    store.failures = [ConfigError("damaged")]
    with pytest.raises(ConfigError):
        tell(limiter)


def test_the_terms_are_those_of_the_settings() -> None:
    assert terms_of(OpenAISettings(), LimitsSettings()) == Terms(model="gpt-4o-mini")
    limits = LimitsSettings(
        requests_per_minute=500, tokens_per_minute=2e5, budget_usd=0.1, account="me"
    )
    model = OpenAISettings(base_url="http://127.0.0.1:8089/v1")
    assert terms_of(model, limits) == Terms(
        model="gpt-4o-mini at 127.0.0.1:8089/v1",
        account="me",
        limits=RateLimits(requests_per_minute=500.0, tokens_per_minute=2e5),
        budget_micro_usd=100_000,
    )


@pytest.mark.anyio
async def test_a_refusal_is_told_as_seconds() -> None:
    limiter, store = _limiter(FakeClock())
    limiter.throttled(0.25)
    assert store.operations == [Refusal.__name__]
    assert store.paces["m"].pause == 0.25
