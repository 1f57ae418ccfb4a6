"""What is shared: every operation on it, and a budget that is kept, and used up."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

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
from reviewstream.core.labelling.limits.pace import MARGIN, MINUTE

NOW = 1_800_000_000.0
TERMS = LimitKey(model="m", limits=RateLimits(requests_per_minute=60.0), budget_micro_usd=1_000)
NEW = Shared()
GAP = MINUTE / (60 * MARGIN)


def done(
    *operations: Operation, terms: LimitKey = TERMS, now: float = NOW, shared: Shared = NEW
) -> list[Reply]:
    replies = []
    for operation in operations:
        shared, reply = apply(shared, operation, terms, now)
        replies.append(reply)
    return replies


def test_whoever_takes_is_told_his_place_and_his_wait() -> None:
    first, second = done(Reserve(tokens=5, micro_usd=10), Reserve(tokens=7, micro_usd=20))
    assert (first.place.requests, first.place.tokens, first.wait) == (1.0, 5.0, 0.0)
    assert (second.place.requests, second.place.tokens) == (2.0, 12.0)
    assert second.wait == pytest.approx(GAP)
    assert second.spacing == pytest.approx(GAP)
    assert (first.spent, second.spent) == (10, 30)


def test_a_look_at_a_place_says_how_long_it_waits_now() -> None:
    take = Reserve(tokens=0, micro_usd=1)
    _, place = (reply.place for reply in done(take, take))
    *_, look = done(take, take, Throttled(retry_after=20.0), Poll(place=place))
    assert look.place == place
    assert look.wait > 20 + GAP
    assert look.spent == 2


def test_what_is_given_back_is_had_by_the_next() -> None:
    take = Reserve(tokens=5, micro_usd=600)
    _, back, third = done(take, Release(requests=1, tokens=5, micro_usd=600), take)
    assert back.spent == 0
    assert (third.wait, third.spent) == (0.0, 600)


def test_what_the_budget_may_hold_later_leaves_everything_as_it_was() -> None:
    take = Reserve(tokens=5, micro_usd=600)
    _, pending, last = done(take, take, Reserve(tokens=5, micro_usd=400))
    assert pending == Reply(spent=600, reserved=600, is_pending=True)
    assert (last.spent, last.reserved, last.place.requests) == (1_000, 1_000, 2.0)


def test_what_the_budget_will_never_hold_leaves_everything_as_it_was() -> None:
    take = Reserve(tokens=5, micro_usd=600)
    settle = Release(micro_usd=100, reserved=600)
    _, _, spent, last = done(take, settle, take, Reserve(tokens=5, micro_usd=500))
    assert spent == Reply(spent=500, is_spent=True)
    assert (last.spent, last.reserved, last.place.requests) == (1_000, 500, 2.0)


@pytest.mark.parametrize(
    ("cost", "said"), [(400, ("is_pending", False)), (401, ("is_spent", True))]
)
def test_what_is_in_flight_is_waited_for_only_where_it_matters(
    cost: int, said: tuple[str, bool]
) -> None:
    settled, flight = Reserve(tokens=1, micro_usd=600), Reserve(tokens=1, micro_usd=300)
    *_, reply = done(settled, Release(reserved=600), flight, Reserve(tokens=1, micro_usd=cost))
    name, is_spent = said
    assert getattr(reply, name)
    assert (reply.is_spent, reply.is_pending) == (is_spent, not is_spent)


@pytest.mark.parametrize(
    "operation", [Reserve(tokens=1, micro_usd=5_000), Reserve(tokens=1, micro_usd=1)]
)
def test_time_passes_for_whoever_is_refused_by_the_budget_too(operation: Reserve) -> None:
    shared, _ = apply(Shared(spent=1_000), Release(), TERMS, NOW)
    shared, reply = apply(shared, operation, TERMS, NOW + 5)
    assert reply.is_spent
    assert shared.pace.at == NOW + 5


def test_what_an_earlier_version_kept_has_nothing_in_flight() -> None:
    assert done(Reserve(tokens=1, micro_usd=1), shared=Shared(spent=1_000))[0].is_spent


def test_a_reservation_is_taken_for_spent_when_no_request_can_be_alive() -> None:
    shared = Shared()
    for micro_usd in (300, 200):  # the second one renews the lease of both
        shared, _ = apply(shared, Reserve(tokens=0, micro_usd=micro_usd, lease=20.0), TERMS, NOW)
    wait = GAP + 20.0
    next_one = Reserve(tokens=0, micro_usd=501)
    shared, reply = apply(shared, next_one, TERMS, NOW + wait - 0.01)
    assert (reply.is_pending, reply.reserved) == (True, 500)
    shared, reply = apply(shared, next_one, TERMS, NOW + wait)
    assert (reply.is_spent, reply.reserved, reply.spent) == (True, 0, 500)
    shared, reply = apply(shared, Release(micro_usd=100, reserved=300), TERMS, NOW + wait)
    assert (reply.reserved, reply.spent) == (0, 400), "one that was alive is settled all the same"


def test_a_shorter_lease_does_not_shorten_that_of_others() -> None:
    shared = Shared()
    for lease in (90.0, 5.0):
        shared, _ = apply(shared, Reserve(tokens=0, micro_usd=400, lease=lease), TERMS, NOW)
    assert apply(shared, Reserve(tokens=0, micro_usd=400), TERMS, NOW + 80)[1].is_pending


def test_a_clock_that_is_set_back_does_not_hold_a_reservation_for_longer() -> None:
    shared, _ = apply(Shared(), Reserve(tokens=0, micro_usd=1_000, lease=20.0), TERMS, NOW)
    take = Reserve(tokens=0, micro_usd=1)
    shared, reply = apply(shared, take, TERMS, NOW - 3_600)
    assert reply.is_pending
    assert apply(shared, take, TERMS, NOW - 3_580)[1].is_spent


@pytest.mark.parametrize(
    "operation", [Poll(place=Reply().place), Release(), Observe(limits=RateLimits()), Abort()]
)
def test_where_nothing_is_in_flight_no_time_is_kept(operation: Operation) -> None:
    take, settle = Reserve(tokens=0, micro_usd=5), Release(micro_usd=5, reserved=5)
    shared = Shared()
    for each in (take, settle, operation, Reserve(tokens=0, micro_usd=0)):
        shared, _ = apply(shared, each, TERMS, NOW)
    assert (shared.reserved.micro_usd, shared.reserved.lease) == (0, 0.0)


def test_a_limit_that_is_learned_is_kept() -> None:
    free = structs.replace(TERMS, limits=RateLimits())
    learn = Observe(limits=RateLimits(requests_per_minute=60.0))
    assert [reply.spacing for reply in done(Reserve(tokens=1, micro_usd=0), learn, terms=free)] == [
        0.0,
        pytest.approx(GAP),
    ]


@pytest.mark.parametrize(
    ("own", "told", "in_force"),
    [(None, None, 0.0), (5.0, None, 5.0), (None, 6.0, 6.0), (5.0, 6.0, 5.0), (7.0, 6.0, 6.0)],
)
def test_the_smaller_limit_of_tokens_is_told_with_each_reply(
    own: float | None, told: float | None, in_force: float
) -> None:
    terms = structs.replace(TERMS, limits=RateLimits(tokens_per_minute=own))
    learn = Observe(limits=RateLimits(tokens_per_minute=told))
    replies = done(
        learn,
        Reserve(tokens=1, micro_usd=1),
        Reserve(tokens=1, micro_usd=5_000),
        Abort(),
        terms=terms,
    )
    assert [reply.tokens_per_minute for reply in replies] == [in_force] * 4


costs = st.integers(0, 400)


@given(
    moves=st.lists(st.tuples(costs, costs), max_size=30), budget=st.none() | st.integers(0, 2_000)
)
def test_who_asks_alone_is_let_through_while_the_budget_lasts(
    moves: list[tuple[int, int]], budget: int | None
) -> None:
    terms, shared, spent = structs.replace(TERMS, budget_micro_usd=budget), Shared(), 0
    for reserved, used in moves:
        shared, reply = apply(shared, Reserve(tokens=1, micro_usd=reserved), terms, NOW)
        assert not reply.is_pending
        assert reply.is_spent == (budget is not None and spent + reserved > budget)
        if reply.is_spent:
            continue
        back = Release(micro_usd=reserved - min(used, reserved), reserved=reserved)
        shared, reply = apply(shared, back, terms, NOW)
        spent += min(used, reserved)
        assert (reply.spent, reply.reserved) == (spent, 0)
        assert budget is None or spent <= budget


class Account:
    """An account, and what is known of its requests by one who sees them all."""

    def __init__(self, budget: int) -> None:
        self.terms = LimitKey(model="m", budget_micro_usd=budget)
        self.shared, self.now = Shared(), NOW
        self.flying: list[tuple[int, float]] = []  # what was reserved, and when it is dead
        self.settled = self.killed = 0

    def take(self, cost: int) -> Reply:
        self.shared, reply = apply(
            self.shared, Reserve(tokens=1, micro_usd=cost), self.terms, self.now
        )
        if not (reply.is_spent or reply.is_pending):
            self.flying.append((cost, self.now + LEASE))
        return reply

    def end(self, which: int, used: int | None) -> None:
        """Settle a request in flight, or with None kill it."""
        if not self.flying:
            return
        reserved, _ = self.flying.pop(which % len(self.flying))
        if used is None:
            self.killed += reserved
            return
        used = min(used, reserved)
        self.settled += used
        back = Release(micro_usd=reserved - used, reserved=reserved)
        self.shared, _ = apply(self.shared, back, self.terms, self.now)

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.killed += sum(cost for cost, dead in self.flying if dead <= self.now)
        self.flying = [one for one in self.flying if one[1] > self.now]


moves = st.one_of(
    st.tuples(st.just("take"), st.integers(0, 400)),
    st.tuples(st.just("settle"), st.integers(0, 400)),
    st.tuples(st.just("kill"), st.just(0)),
    st.tuples(st.just("wait"), st.sampled_from([0, 1, 40, 100])),
)


@given(
    moves=st.lists(st.tuples(moves, st.integers(0, 10)), max_size=60),
    budget=st.integers(0, 2_000),
)
def test_a_budget_is_never_overdrawn_and_spent_only_when_it_is(
    moves: list[tuple[tuple[str, int], int]], budget: int
) -> None:
    account = Account(budget)
    for (kind, number), which in moves:
        if kind == "take":
            reply = account.take(number)
            known = account.settled + account.killed
            assert not reply.is_spent or budget - known < number
        elif kind == "wait":
            account.wait(number)
        else:
            account.end(which, number if kind == "settle" else None)
        assert account.settled + account.killed + sum(c for c, _ in account.flying) <= budget
    for _ in range(len(account.flying)):
        account.end(0, None)
    account.wait(2 * LEASE)
    assert not account.take(400).is_pending, "what the dead had reserved is waited for no more"


def test_nothing_is_reserved_that_is_not_spent() -> None:
    take = Reserve(tokens=1, micro_usd=5)
    reply = done(take, Release(micro_usd=3, reserved=0))[-1]
    assert (reply.spent, reply.reserved) == (2, 2)


def test_nobody_gives_back_more_than_was_spent() -> None:
    assert done(Reserve(tokens=1, micro_usd=5), Release(micro_usd=50))[-1].spent == 0
