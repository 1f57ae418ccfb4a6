"""Costs in whole micro-dollars."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.costs import (
    MILLION,
    TIER_FACTORS,
    Prices,
    budget_micro_usd,
    cost_micro_usd,
    tier_factor,
)

counts = st.integers(0, 10**12)
amounts = st.integers(0, 10**12)
prices = st.builds(
    Prices,
    prompt=amounts,
    cached=st.none() | amounts,
    written=st.none() | amounts,
    completion=amounts,
)
factors = st.fractions(0, 10)


def exact(prompt: int, completion: int, prices: Prices, cached: int, written: int) -> Fraction:
    """Return the cost as a fraction; cached and written tokens are at most those of the prompt."""
    of_cached = prices.prompt if prices.cached is None else prices.cached
    of_written = prices.prompt if prices.written is None else prices.written
    plain = prompt - cached - written
    asked = plain * prices.prompt + cached * of_cached + written * of_written
    return Fraction(asked + completion * prices.completion, MILLION)


def test_a_million_tokens_cost_what_the_price_list_says() -> None:
    prices = Prices.from_usd(prompt=0.15, cached=0.075, written=0.2, completion=0.60)
    assert cost_micro_usd(1_000_000, 0, prices) == 150_000
    assert cost_micro_usd(1_000_000, 0, prices, cached_tokens=1_000_000) == 75_000
    assert cost_micro_usd(1_000_000, 0, prices, written_tokens=1_000_000) == 200_000
    assert cost_micro_usd(0, 1_000_000, prices) == 600_000


def test_a_broken_micro_dollar_is_rounded_up() -> None:
    assert cost_micro_usd(1, 0, Prices.from_usd(prompt=0.15, completion=0)) == 1


def test_nothing_costs_nothing() -> None:
    assert cost_micro_usd(0, 0, Prices.from_usd(prompt=0.15, completion=0.60)) == 0


@pytest.mark.parametrize(
    ("usd", "micro"), [(0.15, 150_000), (0.1, 100_000), (1e-7, 1), (0, 0), (2.5, 2_500_000)]
)
def test_a_price_is_the_decimal_that_was_written(usd: float, micro: int) -> None:
    assert Prices.from_usd(prompt=usd, completion=0).prompt == micro
    assert Prices.from_usd(prompt=0, cached=usd, completion=0).cached == micro
    assert Prices.from_usd(prompt=0, written=usd, completion=0).written == micro


@pytest.mark.parametrize(("usd", "micro"), [(0.1, 100_000), (0.29, 290_000), (1.9e-6, 1), (0, 0)])
def test_a_budget_is_the_decimal_that_was_written_and_never_rounded_up(
    usd: float, micro: int
) -> None:
    assert budget_micro_usd(usd) == micro


@given(counts, counts, prices, st.data())
def test_a_cost_is_never_below_the_exact_one_nor_a_micro_dollar_above(
    prompt: int, completion: int, prices: Prices, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    cost = cost_micro_usd(prompt, completion, prices, cached_tokens=cached, written_tokens=written)
    least = exact(prompt, completion, prices, cached, written)
    assert 0 <= least <= cost < least + 1


@given(counts, counts, counts, counts, prices)
def test_more_cached_or_written_tokens_than_the_prompt_has_are_not_counted(
    prompt: int, completion: int, cached: int, written: int, prices: Prices
) -> None:
    cost = cost_micro_usd(
        prompt, completion, prices, cached_tokens=prompt + cached, written_tokens=written
    )
    assert cost == cost_micro_usd(prompt, completion, prices, cached_tokens=prompt)


@given(counts, counts, prices, counts, counts)
def test_more_tokens_never_cost_less(
    prompt: int, completion: int, prices: Prices, more_asked: int, more_said: int
) -> None:
    cost = cost_micro_usd(prompt, completion, prices)
    assert cost <= cost_micro_usd(prompt + more_asked, completion, prices)
    assert cost <= cost_micro_usd(prompt, completion + more_said, prices)


@given(counts, counts, counts, prices)
def test_two_requests_never_cost_less_than_one_of_their_size(
    one: int, other: int, completion: int, prices: Prices
) -> None:
    apart = cost_micro_usd(one, completion, prices) + cost_micro_usd(other, 0, prices)
    assert apart >= cost_micro_usd(one + other, completion, prices)


@given(counts, counts, counts, prices, amounts)
def test_cached_tokens_never_make_a_request_dearer_if_they_are_not_dearer(
    prompt: int, completion: int, cached: int, prices: Prices, discount: int
) -> None:
    cheaper = Prices(
        prompt=prices.prompt,
        cached=max(prices.prompt - discount, 0),
        completion=prices.completion,
    )
    cost = cost_micro_usd(prompt, completion, cheaper, cached_tokens=cached)
    assert cost <= cost_micro_usd(prompt, completion, cheaper)


@given(counts, counts, prices, st.data())
def test_no_answer_costs_more_than_its_ceiling(
    prompt: int, completion: int, prices: Prices, data: st.DataObject
) -> None:
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    cost = cost_micro_usd(prompt, completion, prices, cached_tokens=cached, written_tokens=written)
    assert cost <= cost_micro_usd(prompt, completion, prices.ceiling())


@given(counts, counts, prices, factors)
def test_a_scaled_price_never_undercharges(
    prompt: int, completion: int, prices: Prices, factor: Fraction
) -> None:
    scaled = prices.scaled(factor)
    for before, after in (
        (prices.prompt, scaled.prompt),
        (prices.cached, scaled.cached),
        (prices.written, scaled.written),
        (prices.completion, scaled.completion),
    ):
        assert (before is None) == (after is None)
        assert (before or 0) * factor <= (after or 0) < (before or 0) * factor + 1
    cost = cost_micro_usd(prompt, completion, scaled)
    assert cost >= exact(prompt, completion, prices, 0, 0) * factor


@pytest.mark.parametrize("tier", [None, "", "auto", "default", "standard"])
@pytest.mark.parametrize("given_factor", [None, 0.7])
def test_the_standard_tier_has_the_prices_themselves(
    tier: str | None, given_factor: float | None
) -> None:
    assert tier_factor(tier, given_factor) == 1


@pytest.mark.parametrize("tier", ["flex", "batch"])
def test_a_slow_tier_costs_half_unless_the_user_says_otherwise(tier: str) -> None:
    assert tier_factor(tier) == Fraction(1, 2)
    assert tier_factor(tier, 0.7) == Fraction(7, 10)
    assert tier_factor(tier, 0) == 0


@given(st.text().filter(lambda tier: tier and tier not in TIER_FACTORS), st.floats(0, 100))
def test_nothing_is_guessed_of_another_tier(tier: str, given_factor: float) -> None:
    assert tier_factor(tier) is None
    assert tier_factor(tier, given_factor) == Fraction(Decimal(repr(given_factor)))
