"""What is shared: every operation on it, and the budget that is never overdrawn."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.core.chat import RateLimits
from reviewstream.core.limits import (
    GiveBack,
    Learn,
    Look,
    Operation,
    Refusal,
    Reply,
    Shared,
    Take,
    Terms,
    apply,
    spent_sentence,
)
from reviewstream.core.pace import MARGIN, MINUTE

NOW = 1_800_000_000.0
TERMS = Terms(model="m", limits=RateLimits(requests_per_minute=60.0), budget_micro_usd=1_000)
GAP = MINUTE / (60 * MARGIN)


def done(*operations: Operation, terms: Terms = TERMS, now: float = NOW) -> list[Reply]:
    shared, replies = Shared(), []
    for operation in operations:
        shared, reply = apply(shared, operation, terms, now)
        replies.append(reply)
    return replies


def test_whoever_takes_is_told_his_place_and_his_wait() -> None:
    first, second = done(Take(tokens=5, micro_usd=10), Take(tokens=7, micro_usd=20))
    assert (first.place.requests, first.place.tokens, first.wait) == (1.0, 5.0, 0.0)
    assert (second.place.requests, second.place.tokens) == (2.0, 12.0)
    assert second.wait == pytest.approx(GAP)
    assert second.spacing == pytest.approx(GAP)
    assert (first.spent, second.spent) == (10, 30)


def test_a_look_at_a_place_says_how_long_it_waits_now() -> None:
    take = Take(tokens=0, micro_usd=1)
    _, place = (reply.place for reply in done(take, take))
    *_, look = done(take, take, Refusal(retry_after=20.0), Look(place=place))
    assert look.place == place
    assert look.wait > 20 + GAP
    assert look.spent == 2


def test_what_is_given_back_is_had_by_the_next() -> None:
    take = Take(tokens=5, micro_usd=600)
    _, back, third = done(take, GiveBack(requests=1, tokens=5, micro_usd=600), take)
    assert back.spent == 0
    assert (third.wait, third.spent) == (0.0, 600)


def test_what_the_budget_does_not_hold_leaves_everything_as_it_was() -> None:
    take = Take(tokens=5, micro_usd=600)
    _, refused, last = done(take, take, Take(tokens=5, micro_usd=400))
    assert refused == Reply(spent=600, is_spent=True)
    assert (last.spent, last.place.requests) == (1_000, 2.0)


def test_time_passes_for_whoever_is_refused_by_the_budget_too() -> None:
    shared, _ = apply(Shared(), GiveBack(), TERMS, NOW)
    shared, reply = apply(shared, Take(tokens=1, micro_usd=5_000), TERMS, NOW + 5)
    assert reply.is_spent
    assert shared.pace.at == NOW + 5


def test_a_limit_that_is_learned_is_kept() -> None:
    free = structs.replace(TERMS, limits=RateLimits())
    learn = Learn(limits=RateLimits(requests_per_minute=60.0))
    assert [reply.spacing for reply in done(Take(tokens=1, micro_usd=0), learn, terms=free)] == [
        0.0,
        pytest.approx(GAP),
    ]


costs = st.integers(0, 400)


@given(
    moves=st.lists(st.tuples(costs, costs), max_size=30), budget=st.none() | st.integers(0, 2_000)
)
def test_no_request_is_let_through_that_overdraws_the_budget(
    moves: list[tuple[int, int]], budget: int | None
) -> None:
    terms, shared, spent = structs.replace(TERMS, budget_micro_usd=budget), Shared(), 0
    for reserved, used in moves:
        shared, reply = apply(shared, Take(tokens=1, micro_usd=reserved), terms, NOW)
        assert reply.is_spent == (budget is not None and spent + reserved > budget)
        if reply.is_spent:
            continue
        back = reserved - min(used, reserved)
        shared, reply = apply(shared, GiveBack(micro_usd=back), terms, NOW)
        spent += min(used, reserved)
        assert reply.spent == spent
        assert budget is None or spent <= budget


def test_nobody_gives_back_more_than_was_spent() -> None:
    assert done(Take(tokens=1, micro_usd=5), GiveBack(micro_usd=50))[-1].spent == 0


@pytest.mark.parametrize(
    ("spent", "budget", "cost", "said"),
    [
        (9_800, 10_000, 400, "$0.0098 of $0.01, and the next request may cost $0.0004;"),
        (12_000_000, 12_300_000, 300_001, "$12.00 of $12.30, and the next request may cost $0.30"),
        (0, 0, 1, "$0.00 of $0.00, and the next request may cost $0.000001;"),
    ],
)
def test_whoever_has_spent_all_is_told_of_what_and_how_to_go_on(
    spent: int, budget: int, cost: int, said: str
) -> None:
    terms = structs.replace(TERMS, budget_micro_usd=budget)
    sentence = spent_sentence(terms, Reply(spent=spent, is_spent=True), cost)
    assert sentence.startswith(f"the budget is spent: {said}")
    assert sentence.endswith(
        "raise --budget-usd (limits.budget_usd) and start again: nothing is lost"
    )
