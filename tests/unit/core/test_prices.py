"""Prices: listed ones, and the user's, which win."""

from datetime import date

import pytest

from reviewstream.core.costs import Prices
from reviewstream.core.prices import AS_OF, USD_PER_MILLION, prices_of


@pytest.mark.parametrize("model", [*USD_PER_MILLION, "gpt-4o-mini-2024-07-18"])
def test_a_listed_model_has_prices_of_a_certain_day(model: str) -> None:
    prices = prices_of(model, prompt=None, completion=None)
    assert prices is not None
    assert 0 < prices.prompt < prices.completion
    assert date(2024, 1, 1) < AS_OF


def test_a_dated_model_costs_what_its_name_does() -> None:
    dated = prices_of("gpt-4o-mini-2024-07-18", prompt=None, completion=None)
    assert dated == Prices(prompt=150_000, completion=600_000)


@pytest.mark.parametrize("model", ["llama-3", "gpt-4o-mini-tuned", "gpt-4o-2024-01-01-mini", ""])
def test_nothing_is_guessed_of_an_unknown_model(model: str) -> None:
    assert prices_of(model, prompt=None, completion=None) is None
    assert prices_of(model, prompt=1.0, completion=None) is None
    assert prices_of(model, prompt=None, completion=1.0) is None
    assert prices_of(model, prompt=0.0, completion=0.0) == Prices()


def test_what_the_user_says_wins() -> None:
    assert prices_of("gpt-4o", prompt=1.0, completion=None) == Prices(
        prompt=1_000_000, completion=10_000_000
    )
    assert prices_of("gpt-4o", prompt=None, completion=0.0) == Prices(
        prompt=2_500_000, completion=0
    )
