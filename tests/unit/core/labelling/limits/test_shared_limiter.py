"""The limiter over a store: it waits for its turn, looks again, and gives back what it must."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeAlias, TypeVar

import pytest
from msgspec import structs

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.operations import (
    Amount,
    LimitKey,
    Operation,
    Reply,
    Throttled,
)
from reviewstream.core.labelling.limits.pace import CUT, MARGIN, MINUTE
from reviewstream.core.labelling.limits.shared_limiter import (
    JITTER,
    NAP,
    RELEARN,
    SETTLING,
    SharedLimiter,
)
from reviewstream.core.labelling.offload import Inline
from reviewstream.core.labelling.wait_log import SOON
from reviewstream.core.retry.waits import STORE
from reviewstream.errors import BudgetExceededError, ConfigError, FatalError, TransientError
from reviewstream.testing import FakeClock, MemoryLimits

T = TypeVar("T")
ALL = Amount(tokens=9, micro_usd=5)
GAP = MINUTE / (60 * MARGIN)
TERMS = LimitKey(model="m", limits=RateLimits(requests_per_minute=60.0), budget_micro_usd=1_000)


class _Failing(MemoryLimits):
    """A store that fails when it is told to."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.failures: list[Exception] = []
        self.operations: list[str] = []

    def apply(self, operation: Operation, terms: LimitKey) -> Reply:
        self.operations.append(type(operation).__name__)
        if self.failures:
            raise self.failures.pop(0)
        return super().apply(operation, terms)


def _limiter(clock: FakeClock, terms: LimitKey = TERMS) -> tuple[SharedLimiter, _Failing]:
    store = _Failing(clock)
    return SharedLimiter(store, terms, clock), store


async def _ask(limiter: SharedLimiter, *, cost: int = 0) -> None:
    await limiter.acquire(Amount(tokens=10, micro_usd=cost))


@pytest.mark.anyio
async def test_whoever_must_wait_makes_two_trips_and_no_more() -> None:
    limiter, store = _limiter(clock := FakeClock())
    await _ask(limiter)
    assert (clock.sleeps, store.operations) == ([], ["Reserve"])
    await _ask(limiter)
    assert clock.sleeps == [pytest.approx(GAP)]
    assert store.operations == ["Reserve", "Reserve", "Poll"]


@pytest.mark.anyio
@pytest.mark.parametrize(("rate", "most"), [(60.0, JITTER), (600.0, GAP / 10)])
async def test_jitter_is_a_little_and_never_more_than_a_turn(rate: float, most: float) -> None:
    terms = LimitKey(model="m", limits=RateLimits(requests_per_minute=rate))
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
    limiter.settle(Amount(tokens=10, micro_usd=900), Amount(tokens=4, micro_usd=850))
    await _ask(limiter, cost=150)
    assert store.spent == {"": 1_000}
    limiter.settle(Amount(tokens=10, micro_usd=150), Amount(tokens=10, micro_usd=150))
    with pytest.raises(
        BudgetExceededError, match=r"the budget is spent: \$0\.001 of \$0\.001, and"
    ):
        await _ask(limiter, cost=1)


class _Settling(FakeClock):
    """A clock at whose third wait the requests in flight are settled."""

    limiter: SharedLimiter
    used = Amount()

    async def sleep(self, seconds: float) -> None:
        await super().sleep(seconds)
        if len(self.sleeps) == 3:
            self.limiter.settle(Amount(micro_usd=900), self.used)


FREE = structs.replace(TERMS, limits=RateLimits(requests_per_minute=60_000.0))


@pytest.mark.anyio
async def test_what_is_in_flight_is_waited_for_before_the_budget_is_called_spent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limiter, store = _limiter(clock := _Settling(), FREE)
    clock.limiter = limiter
    await _ask(limiter, cost=900)
    await asyncio.gather(_ask(limiter, cost=200), _ask(limiter, cost=300))
    assert clock.sleeps == [SETTLING] * 3
    assert (store.spent, store.reserved[""].micro_usd) == ({"": 500}, 500)
    [said] = caplog.messages
    assert said == (
        "waiting until requests in flight are settled: $0.00 of $0.001, and the next request may"
        " cost $0.0002 ($0.0009 more is reserved for requests in flight)"
    )


@pytest.mark.anyio
async def test_the_budget_is_spent_if_what_was_in_flight_has_spent_it() -> None:
    limiter, _ = _limiter(clock := _Settling(), FREE)
    clock.limiter, clock.used = limiter, Amount(micro_usd=801)
    await _ask(limiter, cost=900)
    with pytest.raises(
        BudgetExceededError, match=r"\$0\.000801 of \$0\.001, and .* may cost \$0\.0002;"
    ):
        await _ask(limiter, cost=200)
    assert clock.sleeps == [SETTLING] * 3


@pytest.mark.anyio
async def test_what_a_killed_process_reserved_is_waited_for_as_long_as_the_patience() -> None:
    store = MemoryLimits(clock := FakeClock())
    await _ask(SharedLimiter(store, FREE, clock, patience=20.0), cost=900)
    with pytest.raises(BudgetExceededError, match=r"\$0\.0009 of \$0\.001, and"):
        await _ask(SharedLimiter(store, FREE, clock, patience=70.0), cost=200)
    assert sum(clock.sleeps) == pytest.approx(20.0, abs=SETTLING)


@pytest.mark.anyio
async def test_a_request_that_waits_for_its_turn_is_not_taken_for_dead() -> None:
    slow = structs.replace(TERMS, limits=RateLimits(requests_per_minute=1.0), run="this one")
    store = MemoryLimits(clock := FakeClock())
    limiter = SharedLimiter(store, slow, clock, patience=20.0)
    await _ask(limiter, cost=100)
    await _ask(limiter, cost=900)
    assert sum(clock.sleeps) > 60
    assert store.reserved[""].lease == pytest.approx(20.0)


@pytest.mark.anyio
async def test_a_request_whose_turn_comes_later_than_it_was_told_is_not_taken_for_dead() -> None:
    class Pausing(FakeClock):
        async def sleep(self, seconds: float) -> None:
            if not self.sleeps:
                limiter.throttled(300.0)
            await super().sleep(seconds)

    store = MemoryLimits(clock := Pausing())
    limiter = SharedLimiter(store, TERMS, clock, patience=20.0)
    await _ask(limiter, cost=100)
    await _ask(limiter, cost=100)
    assert sum(clock.sleeps) >= 300
    assert store.reserved[""].lease == pytest.approx(20.0)


@pytest.mark.anyio
async def test_whoever_waits_for_the_budget_is_told_of_an_end() -> None:
    class Ending(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            limiter.end("no quota")

    limiter, store = _limiter(Ending(), structs.replace(FREE, run="this one"))
    await _ask(limiter, cost=900)
    with pytest.raises(BudgetExceededError, match="no quota"):
        await _ask(limiter, cost=200)
    assert store.spent == {"": 900}


@pytest.mark.anyio
async def test_a_request_that_is_not_made_gives_everything_back() -> None:
    limiter, store = _limiter(FakeClock())
    await _ask(limiter, cost=50)
    limiter.settle(Amount(micro_usd=50), Amount(micro_usd=50))
    for _ in range(3):
        await _ask(limiter, cost=900)
        limiter.give_up(Amount(tokens=10, micro_usd=900))
    assert (store.spent, store.reserved[""].micro_usd) == ({"": 50}, 0)
    queue = store.paces["m"].tokens
    assert queue.released == queue.issued


@pytest.mark.anyio
async def test_the_first_request_of_all_leaves_its_turn_to_the_next_if_it_is_not_made() -> None:
    limiter, _ = _limiter(clock := FakeClock(), LimitKey(model="m"))
    await _ask(limiter)
    limiter.give_up(Amount(tokens=10))
    await _ask(limiter)
    assert clock.sleeps == []


@pytest.mark.anyio
async def test_the_limit_of_tokens_is_known_from_the_first_turn_on() -> None:
    limiter, store = _limiter(clock := FakeClock(), LimitKey(model="m"))
    assert limiter.tokens_per_minute is None
    limiter.learn(RateLimits(tokens_per_minute=6_000.0))
    assert limiter.tokens_per_minute == 6_000
    other = SharedLimiter(store, LimitKey(model="m"), clock)
    await _ask(other)
    assert other.tokens_per_minute == 6_000
    limiter.learn(RateLimits(tokens_per_minute=30_000.0))
    await _ask(other)
    assert other.tokens_per_minute == 30_000


def test_our_own_limit_of_tokens_holds_where_it_is_the_smaller() -> None:
    terms = LimitKey(model="m", limits=RateLimits(tokens_per_minute=5_000.0))
    limiter, _ = _limiter(FakeClock(), terms)
    assert limiter.tokens_per_minute == 5_000
    limiter.learn(RateLimits(tokens_per_minute=6_000.0))
    assert limiter.tokens_per_minute == 5_000
    limiter.learn(RateLimits(tokens_per_minute=4_000.0))
    assert limiter.tokens_per_minute == 4_000


def test_what_is_heard_holds_before_the_store_knows_it() -> None:
    class Later(Inline):
        def submit(self, work: Callable[[], object]) -> None:
            del work

    store = MemoryLimits(clock := FakeClock())
    for own, in_force in ((None, 6_000.0), (5_000.0, 5_000.0), (7_000.0, 6_000.0)):
        terms = LimitKey(model="m", limits=RateLimits(tokens_per_minute=own))
        limiter = SharedLimiter(store, terms, clock, offload=Later())
        limiter.learn(RateLimits(tokens_per_minute=6_000.0))
        assert limiter.tokens_per_minute == in_force


RUN = structs.replace(TERMS, run="this one")


@pytest.mark.anyio
async def test_who_finds_the_budget_spent_ends_the_others_of_his_run_in_his_words() -> None:
    limiter, store = _limiter(clock := FakeClock(), RUN)
    await _ask(limiter, cost=900)
    await limiter.check()
    with pytest.raises(BudgetExceededError, match="the budget is spent") as first:
        await _ask(limiter, cost=1_001)
    limiter.settle(Amount(micro_usd=900), Amount())
    other = SharedLimiter(store, RUN, clock)
    for meet in (other.check, partial(_ask, other)):
        with pytest.raises(BudgetExceededError) as second:
            await meet()
        assert str(second.value) == str(first.value)
    assert store.spent == {"": 0}
    richer = structs.replace(RUN, run="the next one", budget_micro_usd=2_000)
    await _ask(SharedLimiter(store, richer, clock), cost=101)


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
    with pytest.raises(BudgetExceededError, match="no quota"):
        await _ask(limiter, cost=100)
    assert clock.sleeps == [NAP, NAP]
    assert store.spent == {"": 100}


@pytest.mark.anyio
async def test_who_belongs_to_no_run_asks_nobody_for_its_end() -> None:
    limiter, store = _limiter(FakeClock())
    limiter.end("no quota")
    await limiter.check()
    assert store.operations == []


@pytest.mark.anyio
async def test_an_end_that_the_store_does_not_tell_is_none() -> None:
    limiter, store = _limiter(FakeClock(), RUN)
    store.failures = [AWAY]
    await limiter.check()
    assert store.operations == ["Abort"]


def test_where_all_tokens_were_used_and_nothing_was_paid_there_is_no_trip_to_settle() -> None:
    limiter, store = _limiter(FakeClock())
    limiter.learn(RateLimits())
    limiter.settle(Amount(tokens=9), Amount(tokens=9))
    assert store.operations == ["Observe"]


@pytest.mark.anyio
async def test_what_was_used_up_is_in_flight_no_more() -> None:
    limiter, store = _limiter(FakeClock())
    limiter.learn(RateLimits())
    await _ask(limiter, cost=5)
    limiter.settle(ALL, ALL)
    assert (store.spent, store.reserved[""].micro_usd) == ({"": 5}, 0)


def test_a_refusal_slows_everybody_down() -> None:
    limiter, store = _limiter(clock := FakeClock())
    limiter.throttled(None)
    assert (store.paces["m"].factor, store.paces["m"].pause) == (CUT, 0)
    limiter.throttled(7.5)
    other = SharedLimiter(store, TERMS, clock)
    asyncio.run(_ask(other))
    assert sum(clock.sleeps) >= 7.5


@pytest.mark.anyio
async def test_what_is_learned_is_told_once_in_a_while() -> None:
    limiter, store = _limiter(clock := FakeClock(), LimitKey(model="m"))
    told = RateLimits(requests_per_minute=500.0)
    limiter.learn(told)
    limiter.learn(told)
    limiter.learn(RateLimits())
    assert store.operations == ["Observe"]
    assert store.paces["m"].requests_limit == 500.0
    limiter.learn(RateLimits(requests_per_minute=60.0))
    assert store.paces["m"].requests_limit == 60.0
    await clock.sleep(RELEARN.total_seconds())
    limiter.learn(RateLimits(requests_per_minute=60.0))
    assert store.operations == ["Observe"] * 3


@pytest.mark.anyio
async def test_that_nothing_is_said_of_limits_is_told_once() -> None:
    limiter, store = _limiter(FakeClock(), LimitKey(model="m"))
    limiter.learn(RateLimits())
    limiter.learn(RateLimits())
    assert store.operations == ["Observe"]
    limiter.learn(RateLimits(requests_per_minute=60.0))
    assert store.operations == ["Observe"] * 2


@pytest.mark.anyio
async def test_whoever_asks_first_and_fails_lets_the_next_one_ask() -> None:
    limiter, store = _limiter(clock := FakeClock(), LimitKey(model="m"))
    await _ask(limiter)
    limiter.settle(ALL, ALL)
    await _ask(limiter)
    assert (clock.sleeps, store.operations) == ([], ["Reserve", "Release", "Reserve"])


AWAY = TransientError("the ledger in redis://h:1 is away")
DAMAGED = ConfigError("the file is damaged")


@pytest.mark.anyio
async def test_a_store_that_is_away_for_a_moment_is_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limiter, store = _limiter(clock := FakeClock(), FREE)
    for _ in range(2):
        store.failures = [AWAY, AWAY]
        await _ask(limiter)
        await clock.sleep(SOON.total_seconds())
    assert len(clock.sleeps) == 6
    said = f"waiting for the limits that all tasks share: {AWAY}"
    assert [(record.name, record.message) for record in caplog.records] == [
        ("reviewstream.labelling", said)
    ] * 2, "each wait is told at once"


@pytest.mark.anyio
async def test_a_store_that_stays_away_is_waited_for_as_long_as_a_failover_takes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    limiter, store = _limiter(clock := FakeClock())
    store.failures = [AWAY] * 1_000
    with pytest.raises(
        FatalError,
        match=r"is unavailable for \d+ s, and no request is sent without it: the ledger in redis://",
    ):
        await _ask(limiter)
    assert STORE.total <= sum(clock.sleeps) < STORE.total + STORE.longest
    assert max(clock.sleeps) == STORE.longest
    assert len(caplog.records) == 2, "at once, and after a minute"


@pytest.mark.anyio
@pytest.mark.parametrize("cost", [0, 5])
async def test_a_damaged_store_lets_nobody_through(cost: int) -> None:
    limiter, store = _limiter(FakeClock())
    store.failures = [DAMAGED]
    with pytest.raises(ConfigError, match="is damaged"):
        await _ask(limiter, cost=cost)


Tell: TypeAlias = Callable[[SharedLimiter], None]
tells = pytest.mark.parametrize(
    "tell",
    [
        lambda limiter: limiter.throttled(1.0),
        lambda limiter: limiter.learn(RateLimits(requests_per_minute=1.0)),
        lambda limiter: limiter.settle(ALL, Amount()),
        lambda limiter: limiter.give_up(ALL),
        lambda limiter: limiter.end("no quota"),
    ],
)


@pytest.mark.anyio
@tells
async def test_what_cannot_be_told_just_now_is_no_reason_to_stop(tell: Tell) -> None:
    limiter, store = _limiter(FakeClock(), RUN)
    store.failures = [AWAY]
    tell(limiter)
    await _ask(limiter)
    await limiter.check()


@pytest.mark.anyio
@tells
@pytest.mark.parametrize("fault", [DAMAGED, OSError("a disk"), KeyError("a mistake of ours")])
async def test_a_store_that_fails_when_nobody_waits_ends_the_run_at_the_next_turn(
    tell: Tell, fault: Exception
) -> None:
    limiter, store = _limiter(FakeClock(), RUN)
    store.failures = [fault]
    tell(limiter)
    for _ in range(2):
        with pytest.raises(type(fault)) as raised:
            await _ask(limiter)
        assert raised.value is fault
        with pytest.raises(type(fault)):
            await limiter.check()
    assert "Reserve" not in store.operations


@pytest.mark.anyio
async def test_a_check_is_told_of_a_damaged_store_and_of_a_fault_without_a_run_too() -> None:
    limiter, store = _limiter(FakeClock(), RUN)
    store.failures = [DAMAGED]
    with pytest.raises(ConfigError):
        await limiter.check()
    alone, store = _limiter(FakeClock())
    store.failures = [DAMAGED]
    alone.settle(ALL, Amount())
    with pytest.raises(ConfigError):
        await alone.check()


class _Queue(Inline):
    """An `Offload` that does what is submitted when it is told to."""

    def __init__(self) -> None:
        self.works: list[Callable[[], object]] = []
        self.is_closed = False

    def submit(self, work: Callable[[], object]) -> None:
        if self.is_closed:
            raise RuntimeError("closed")
        self.works.append(work)

    async def run(self, work: Callable[[], T]) -> T:
        while self.works:
            self.works.pop(0)()
        return work()


@pytest.mark.anyio
async def test_what_is_told_waits_for_its_turn_and_nobody_waits_for_it() -> None:
    store, offload = _Failing(clock := FakeClock()), _Queue()
    limiter = SharedLimiter(store, RUN, clock, offload=offload)
    limiter.learn(RateLimits())
    limiter.throttled(1.0)
    limiter.settle(ALL, Amount())
    limiter.give_up(ALL)
    limiter.end("no quota")
    assert store.operations == []
    with pytest.raises(BudgetExceededError):
        await limiter.check()
    assert store.operations == ["Observe", "Throttled", "Release", "Release", "Abort", "Abort"]


@pytest.mark.anyio
async def test_what_is_told_after_the_end_raises_nothing() -> None:
    offload = _Queue()
    limiter = SharedLimiter(MemoryLimits(clock := FakeClock()), TERMS, clock, offload=offload)
    offload.is_closed = True
    limiter.settle(ALL, Amount())
    with pytest.raises(RuntimeError, match="closed"):
        await limiter.check()


class _Slow(_Queue):
    """An `Offload` that does its work, and never says so."""

    def __init__(self, *, does: bool) -> None:
        super().__init__()
        self.begun = asyncio.Event()
        self.does = does

    async def run(self, work: Callable[[], T]) -> T:
        if self.does:
            work()
        self.begun.set()
        await asyncio.Event().wait()
        raise AssertionError("it is never done")


@pytest.mark.anyio
@pytest.mark.parametrize("does", [True, False])
@pytest.mark.parametrize("budget", [1_000, 10])
async def test_whoever_is_cancelled_while_the_store_is_asked_gives_back_what_it_gave(
    does: bool,  # noqa: FBT001
    budget: int,
) -> None:
    store, offload = _Failing(clock := FakeClock()), _Slow(does=does)
    terms = structs.replace(TERMS, budget_micro_usd=budget)
    limiter = SharedLimiter(store, terms, clock, offload=offload)
    asking = asyncio.create_task(_ask(limiter, cost=100))
    await offload.begun.wait()
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    for work in offload.works:
        work()
    gave = does and budget == 1_000
    assert store.operations == ["Reserve"] * does + ["Release"] * gave
    assert set(store.spent.values()) <= {0}


@pytest.mark.anyio
async def test_a_refusal_is_told_as_seconds() -> None:
    limiter, store = _limiter(FakeClock())
    limiter.throttled(0.25)
    assert store.operations == [Throttled.__name__]
    assert store.paces["m"].pause == 0.25


@pytest.mark.anyio
async def test_a_long_wait_for_the_rate_is_said(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    terms = LimitKey(model="m", limits=RateLimits(requests_per_minute=2.0))
    limiter = SharedLimiter(MemoryLimits(clock), terms, clock)
    for _ in range(3):
        await limiter.acquire(Amount(tokens=1))
    assert "limits.requests_per_minute" in caplog.text
