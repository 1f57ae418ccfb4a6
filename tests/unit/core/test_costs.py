"""Costs in whole micro-dollars."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.costs import MILLION, Prices, budget_micro_usd, cost_micro_usd

counts = st.integers(0, 10**12)
prices = st.builds(Prices, prompt=st.integers(0, 10**12), completion=st.integers(0, 10**12))


def test_a_million_tokens_cost_what_the_price_list_says() -> None:
    prices = Prices.from_usd(prompt=0.15, completion=0.60)
    assert cost_micro_usd(1_000_000, 0, prices) == 150_000
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


@pytest.mark.parametrize(("usd", "micro"), [(0.1, 100_000), (0.29, 290_000), (1.9e-6, 1), (0, 0)])
def test_a_budget_is_the_decimal_that_was_written_and_never_rounded_up(
    usd: float, micro: int
) -> None:
    assert budget_micro_usd(usd) == micro


@given(counts, counts, prices)
def test_a_cost_is_never_below_the_exact_one_nor_a_micro_dollar_above(
    prompt: int, completion: int, prices: Prices
) -> None:
    exact = Fraction(prompt * prices.prompt + completion * prices.completion, MILLION)
    assert exact <= cost_micro_usd(prompt, completion, prices) < exact + 1


@given(counts, counts, counts, prices)
def test_two_requests_never_cost_less_than_one_of_their_size(
    one: int, other: int, completion: int, prices: Prices
) -> None:
    apart = cost_micro_usd(one, completion, prices) + cost_micro_usd(other, 0, prices)
    assert apart >= cost_micro_usd(one + other, completion, prices)
