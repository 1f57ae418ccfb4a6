"""What every `LimitStore` must do."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle
from pathlib import Path
from typing import TypeAlias

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.adapters.system_clock import SystemClock
from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.operations import (
    LEASE,
    Abort,
    LimitKey,
    Observe,
    Operation,
    Poll,
    Release,
    Reply,
    Reserve,
    Shared,
    Throttled,
    apply,
)
from reviewstream.core.labelling.limits.pace import (
    BURST,
    HEARING,
    LISTEN,
    LONGEST_PAUSE,
    MARGIN,
    MINUTE,
    Ticket,
)
from reviewstream.core.labelling.limits.shared_limiter import SharedLimiter
from reviewstream.core.labelling.ports import LimitStore, RateLimiter
from reviewstream.settings import LedgerSettings
from tests.contract.limits_process import DEAREST
from tests.contract.rate_limiter import RateLimiterContract

PATIENCE = 30.0  # seconds; for the dead, and there are none
ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 12, 30, 15, tzinfo=UTC)
TERMS = LimitKey(model="m", account="/checkpoint", limits=RateLimits(requests_per_minute=60.0))
OpenAgain: TypeAlias = Callable[[], LimitStore]


class TestTime(SystemClock):
    """A clock that a test sets; `seconds` reads it as stores do."""

    __test__ = False

    def __init__(self) -> None:
        self.moment = NOW

    def now(self) -> datetime:
        return self.moment

    def seconds(self) -> float:
        return self.moment.timestamp()


# One store for all examples, which have names of their own, and one test for all stores.
SHARED = [HealthCheck.function_scoped_fixture, HealthCheck.differing_executors]
amounts = st.integers(0, 50_000)
per_minute = st.none() | st.sampled_from([0.5, 1.0, 60.0, 500.0, 1e6])
limits = st.builds(RateLimits, requests_per_minute=per_minute, tokens_per_minute=per_minute)
leases = st.sampled_from([0.0, 0.5, 20.0, LEASE])
operations = st.one_of(
    st.builds(Reserve, tokens=amounts, micro_usd=amounts, lease=leases),
    st.builds(
        Poll,
        lease=leases,
        place=st.builds(Ticket, requests=st.floats(0, 30), tokens=st.floats(0, 100_000)),
    ),
    st.builds(
        Release, requests=st.integers(0, 1), tokens=amounts, micro_usd=amounts, reserved=amounts
    ),
    st.builds(Release, tokens=amounts.map(lambda amount: -amount)),
    st.builds(Throttled, retry_after=st.sampled_from([0.0, 0.25, 7.0, 2 * LONGEST_PAUSE])),
    st.builds(Observe, limits=limits),
    st.builds(Abort, why=st.sampled_from(["", "the quota is spent", "ä\n$1"])),
)
steps = st.sampled_from([0.0, 0.0, 0.001, 0.1, 0.9, 3.0, 11.0, 25.0, 700.0, -0.5, -90.0])
numbers = iter(range(10**9))
# Nobody has heard of the endpoint: one asks, others look, it fails, another asks, is away for
# long, and those who waited are gone; the next one hears of a limit.
_TAKE, _LOOK = Reserve(tokens=9, micro_usd=1), Poll(place=Ticket(requests=2.0, tokens=18.0))
UNHEARD: list[tuple[float, Operation]] = [
    (0.0, _TAKE),
    (0.1, _TAKE),
    (0.1, _TAKE),
    (0.1, Release(requests=1, tokens=9)),
    (0.1, _LOOK),
    (0.1, Release(tokens=4)),
    (0.0, _LOOK),
    (HEARING - 0.1, _LOOK),
    (HEARING, _TAKE),
    (HEARING + 0.1, _TAKE),
    (0.1, _TAKE),
    (0.2, Observe(limits=RateLimits(requests_per_minute=60.0))),
    (0.0, _LOOK),
    (0.0, _TAKE),
]
_MEETING: list[Operation] = [_TAKE, _LOOK, Abort(), Release(tokens=3)]
# Requests are in flight when the budget is met; one is settled, and others die.
_BIG = Reserve(tokens=9, micro_usd=40_000, lease=20.0)
HELD: list[tuple[float, Operation]] = [
    (0.0, _BIG),
    (0.1, _BIG),
    (0.1, _BIG),
    (0.1, Release(tokens=3, micro_usd=5_000, reserved=40_000)),
    (0.1, _BIG),
    (0.1, _BIG),
    (11.0, Poll(place=Ticket(requests=3.0, tokens=27.0), lease=20.0)),
    (11.0, _BIG),
    (0.0, Reserve(tokens=1, micro_usd=1)),
    (25.0, _BIG),
    (0.0, _BIG),
    (0.0, Release(micro_usd=5_000, reserved=40_000)),
    (0.0, Reserve(tokens=1, micro_usd=0)),
]
# Each operation meets an end of its run, and one of another run.
ENDED: list[tuple[float, Operation]] = [
    (0.0, _TAKE),
    (0.1, Abort(why="no money")),
    (0.1, Abort(why="no quota")),
    *((0.1, each) for each in _MEETING for _ in range(3)),
]


class LimitStoreContract:
    """Subclass it and provide two fixtures.

    `time` is a `TestTime`; `store` goes by it.
    """

    @given(
        own=st.tuples(limits, st.none() | st.integers(0, 200_000)),
        runs=st.lists(st.sampled_from(["", "one", "two"]), min_size=1, max_size=3),
        history=st.lists(st.tuples(steps, operations), max_size=25),
    )
    @example(own=(RateLimits(), None), runs=[""], history=[(0.1, _TAKE)] * 20)
    @example(own=(RateLimits(), None), runs=[""], history=UNHEARD)
    @example(own=(RateLimits(), None), runs=["one", "one", "two"], history=ENDED)
    @example(own=(RateLimits(), 115_000), runs=[""], history=HELD)
    @settings(max_examples=60, suppress_health_check=SHARED, deadline=None)
    def test_it_does_what_the_arithmetic_says(
        self,
        store: LimitStore,
        time: TestTime,
        own: tuple[RateLimits, int | None],
        runs: list[str],
        history: list[tuple[float, Operation]],
    ) -> None:
        name = str(next(numbers))
        terms = LimitKey(model=name, account=name, limits=own[0], budget_micro_usd=own[1])
        kept = Shared()
        for (step, operation), run in zip(history, cycle(runs), strict=False):
            time.moment += timedelta(seconds=step)
            mine = structs.replace(terms, run=run)
            kept, expected = apply(kept, operation, mine, time.seconds())
            assert_same(store.apply(operation, mine), expected)

    def test_of_an_unknown_endpoint_one_request_is_made_and_the_next_when_it_has_failed(
        self, store: LimitStore
    ) -> None:
        terms = LimitKey(model="unheard of")
        first, second = take(store, terms, 1), take(store, terms, 1)
        assert (first.wait, second.wait) == (0.0, LISTEN)
        store.apply(Release(tokens=1), terms)
        assert store.apply(Poll(place=second.place), terms).wait == 0
        assert take(store, terms, 1).wait == LISTEN
        store.apply(Observe(limits=RateLimits()), terms)
        assert [take(store, terms, 1).wait for _ in range(9)] == [0.0] * 9

    def test_a_budget_is_spent_when_what_is_in_flight_cannot_change_that(
        self, store: LimitStore
    ) -> None:
        terms = structs.replace(TERMS, budget_micro_usd=100)
        assert (take(store, terms, 60).spent, take(store, terms, 10).reserved) == (60, 70)
        pending = take(store, terms, 41)
        assert (pending.is_pending, pending.is_spent, pending.spent) == (True, False, 70)
        assert pending.place == Reply().place
        assert take(store, terms, 101).is_spent
        assert store.apply(Release(micro_usd=9, reserved=10), terms).reserved == 60
        assert take(store, terms, 40).is_pending
        assert store.apply(Release(reserved=60), terms).reserved == 0
        reply = take(store, terms, 40)
        assert (reply.is_spent, reply.is_pending, reply.spent) == (True, False, 61)
        assert take(store, terms, 39).spent == 100

    def test_what_was_not_used_can_be_spent_and_what_was_used_beyond_is_charged(
        self, store: LimitStore
    ) -> None:
        terms = structs.replace(TERMS, budget_micro_usd=100)
        take(store, terms, 100)
        assert store.apply(Release(micro_usd=30, reserved=100), terms).spent == 70
        assert take(store, terms, 30).spent == 100
        assert store.apply(Release(micro_usd=-5, reserved=30), terms).spent == 105
        assert take(store, terms, 0).is_spent

    def test_what_a_killed_process_reserved_is_waited_for_as_long_as_a_request_takes(
        self, store: LimitStore, time: TestTime
    ) -> None:
        terms = structs.replace(TERMS, budget_micro_usd=100)
        request = Reserve(tokens=1, micro_usd=60, lease=20.0)
        store.apply(request, terms)
        time.moment += timedelta(seconds=19)
        assert store.apply(request, terms).is_pending
        time.moment += timedelta(seconds=1)
        reply = store.apply(request, terms)
        assert (reply.is_spent, reply.spent, reply.reserved) == (True, 60, 0)

    def test_a_clock_that_is_set_back_does_not_hold_a_reservation_for_longer(
        self, store: LimitStore, time: TestTime
    ) -> None:
        terms = structs.replace(TERMS, budget_micro_usd=100)
        store.apply(Reserve(tokens=1, micro_usd=60, lease=20.0), terms)
        for step, name in ((-3_600, "is_pending"), (19, "is_pending"), (1, "is_spent")):
            time.moment += timedelta(seconds=step)
            assert getattr(take(store, terms, 60), name)

    def test_nothing_is_reserved_that_is_not_spent(self, store: LimitStore) -> None:
        take(store, TERMS, 5)
        assert store.apply(Release(micro_usd=3), TERMS).reserved == 2
        assert store.apply(Release(micro_usd=9), TERMS).reserved == 0

    def test_whoever_looks_is_alive_and_asks_when_the_turn_comes(
        self, store: LimitStore, time: TestTime
    ) -> None:
        terms = structs.replace(TERMS, budget_micro_usd=100)
        place = store.apply(Reserve(tokens=1, micro_usd=60, lease=20.0), terms).place
        store.apply(Throttled(retry_after=30.0), terms)
        time.moment += timedelta(seconds=10)
        assert store.apply(Poll(place=place, lease=20.0), terms).wait == 20.0
        time.moment += timedelta(seconds=39)
        assert take(store, terms, 60).is_pending
        time.moment += timedelta(seconds=1)
        assert take(store, terms, 60).is_spent

    def test_the_tokens_limit_of_an_earlier_run_is_told_with_the_first_place(
        self, store: LimitStore
    ) -> None:
        assert take(store, TERMS, 1).tokens_per_minute == 0
        store.apply(Observe(limits=RateLimits(tokens_per_minute=6_000.0)), TERMS)
        assert take(store, TERMS, 1).tokens_per_minute == 6_000
        for own, in_force in ((5_000.0, 5_000.0), (7_000.0, 6_000.0)):
            terms = structs.replace(TERMS, limits=RateLimits(tokens_per_minute=own))
            assert take(store, terms, 1).tokens_per_minute == in_force

    def test_a_larger_budget_goes_on_where_the_smaller_ended(self, store: LimitStore) -> None:
        take(store, structs.replace(TERMS, budget_micro_usd=100), 90)
        assert take(store, structs.replace(TERMS, budget_micro_usd=120), 20).spent == 110
        assert take(store, TERMS, 1_000).spent == 1_110

    def test_each_account_has_its_budget_and_each_model_its_pace(self, store: LimitStore) -> None:
        terms = structs.replace(TERMS, budget_micro_usd=100)
        assert take(store, terms, 100).wait == 0
        other_account = structs.replace(terms, account="/checkpoint2")
        reply = take(store, other_account, 100)
        assert not reply.is_spent
        assert reply.wait > 0
        other_model = structs.replace(terms, model="n", budget_micro_usd=None)
        assert take(store, other_model, 1).wait == 0

    def test_an_ended_run_takes_nothing_and_the_next_start_does(self, store: LimitStore) -> None:
        first, second = (structs.replace(TERMS, run=run) for run in ("first", "second"))
        place = take(store, first, 5).place
        assert store.apply(Abort(), first).ended == ""
        assert store.apply(Abort(why="no money"), first).ended == "no money"
        assert store.apply(Abort(why="no quota"), first).ended == "no money", (
            "the first reason stays"
        )
        reply = take(store, first, 5)
        assert (reply.ended, reply.spent, reply.place) == ("no money", 5, Reply().place)
        assert store.apply(Poll(place=place), first).ended == "no money"
        for going_on in (second, TERMS, structs.replace(first, account="/other")):
            assert take(store, going_on, 1).ended == ""

    def test_who_belongs_to_no_run_ends_alone(self, store: LimitStore) -> None:
        assert store.apply(Abort(why="no money"), TERMS).ended == ""
        assert take(store, TERMS, 5).spent == 5

    @pytest.mark.parametrize("name", ["", "a b", "ä\n'\"", "account:", "%s"])
    def test_any_name_will_do(self, store: LimitStore, name: str) -> None:
        terms = structs.replace(TERMS, account=name, model=name)
        assert take(store, terms, 5).spent == 5
        assert take(store, terms, 5).spent == 10

    def test_a_fortune_is_counted_to_the_micro_dollar(self, store: LimitStore) -> None:
        assert take(store, TERMS, 10**15 + 1).spent == 10**15 + 1


class SharedLimitsContract(LimitStoreContract):
    """For a store that other processes use too: two more fixtures.

    `shared` are its settings, and `again` opens it anew; `store` is made by it, on its own time.
    """

    def test_what_was_spent_and_who_waits_outlives_whoever_did_it(self, again: OpenAgain) -> None:
        store = again()
        take(store, TERMS, 70)
        first = take(store, TERMS, 0)
        store.close()
        other = again()
        assert other.apply(Poll(place=first.place), TERMS).wait > 0
        assert take(other, TERMS, 0).wait > first.wait

    def test_of_many_processes_together_no_moment_has_more_than_the_limit_allows(
        self, shared: LedgerSettings
    ) -> None:
        rate, seconds = 1_200, 5.0
        with several(shared, "ask", [rate, seconds]) as processes:
            outputs = [process.communicate(timeout=60)[0] for process in processes]
        assert [process.returncode for process in processes] == [0] * len(processes)
        moments = sorted(float(line) for output in outputs for line in output.split())
        per_second = MARGIN * rate / MINUTE
        late = per_second * 0.2  # a process may be slow to begin what it was allowed
        allowed = per_second * BURST + 1 + late
        for first, moment in enumerate(moments):
            for count, later in enumerate(moments[first:], 1):
                assert count <= per_second * (later - moment) + allowed, f"{count} from {moment}"
        assert len(moments) >= 0.9 * per_second * (moments[-1] - moments[0])
        assert moments[-1] - moments[0] > seconds / 2

    def test_of_many_processes_together_none_overdraws_the_budget(
        self, shared: LedgerSettings, again: OpenAgain
    ) -> None:
        budget = 50_000
        with several(shared, "pay", [budget, PATIENCE]) as processes:
            outputs = [process.communicate(timeout=60)[0] for process in processes]
        paid = sum(int(line) for output in outputs for line in output.split())
        assert [process.returncode for process in processes] == [3] * len(processes)
        assert budget - DEAREST < paid <= budget
        reply = again().apply(Release(), LimitKey(model="m", account="a"))
        assert (reply.spent, reply.reserved) == (paid, 0)

    def test_what_a_killed_process_had_reserved_stays_charged(
        self, shared: LedgerSettings, again: OpenAgain
    ) -> None:
        budget = 10**9
        with several(shared, "pay", [budget, PATIENCE]) as processes:
            paid = 0
            for process in processes:
                assert process.stdout is not None
                paid += sum(int(process.stdout.readline()) for _ in range(20))
            for process in processes:
                process.kill()
                assert process.stdout is not None
                rest = process.stdout.read()
                paid += sum(map(int, rest[: rest.rfind("\n") + 1].split()))
        spent = again().apply(Release(), LimitKey(model="m", account="a")).spent
        assert paid <= spent <= paid + 2 * 100 * len(processes)


class StoreLimiterContract(RateLimiterContract):
    """Provide `store`, on the real time."""

    @pytest.fixture
    def limiter(self, store: LimitStore) -> RateLimiter:
        return SharedLimiter(store, LimitKey(model="m"), SystemClock())


def take(store: LimitStore, terms: LimitKey, micro_usd: int) -> Reply:
    return store.apply(Reserve(tokens=1, micro_usd=micro_usd), terms)


def assert_same(found: Reply, expected: Reply) -> None:
    assert (found.spent, found.reserved) == (expected.spent, expected.reserved)
    assert (found.is_spent, found.is_pending) == (expected.is_spent, expected.is_pending)
    assert found.tokens_per_minute == expected.tokens_per_minute
    assert found.ended == expected.ended
    assert found.place == expected.place
    assert found.wait == pytest.approx(expected.wait, rel=1e-9, abs=1e-9)
    assert found.spacing == pytest.approx(expected.spacing, rel=1e-9)


@contextmanager
def several(
    shared: LedgerSettings, role: str, numbers: list[float], count: int = 3
) -> Iterator[list["subprocess.Popen[str]"]]:
    """Run processes of `limits_process` beside the test; they are killed at the end."""
    told = shared.model_dump(mode="json")
    if shared.url is not None:
        told["url"] = shared.url.get_secret_value()
    module = f"{__package__}.limits_process"
    command = [sys.executable, "-m", module, role, json.dumps(told), *map(str, numbers)]
    processes = [
        subprocess.Popen(command, cwd=ROOT, text=True, stdout=subprocess.PIPE) for _ in range(count)
    ]
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.communicate()
