"""Settings of the model and its limits, as core gets them."""

from typing import Any

import pytest

from reviewstream.app import known_prices, label_policy, limit_key, tier_prices
from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.costs import Prices
from reviewstream.core.labelling.limits.operations import LimitKey
from reviewstream.errors import ConfigError
from reviewstream.settings import LimitsSettings, OpenAISettings


def test_a_policy_is_what_the_settings_say() -> None:
    given_settings = OpenAISettings(
        model="x",
        ledger_name="y",
        concurrency=3,
        max_attempts=2,
        max_wait=9,
        input_usd_per_million=0.15,
        output_usd_per_million=0.6,
    )
    policy = label_policy(given_settings)
    assert (policy.model, policy.concurrency, policy.max_attempts, policy.max_wait) == (
        *("x", 3, 2),
        9.0,
    )
    assert policy.ledger_name == "y"
    assert policy.prices == Prices(prompt=150_000, completion=600_000)
    assert label_policy(OpenAISettings(model="x")).prices == Prices()


def test_the_terms_are_those_of_the_settings() -> None:
    assert limit_key(OpenAISettings(), LimitsSettings()) == LimitKey(model="gpt-6-luna")
    limits = LimitsSettings(
        requests_per_minute=500, tokens_per_minute=2e5, budget_usd=0.1, account="me"
    )
    model = OpenAISettings(
        base_url="http://127.0.0.1:8089/v1", input_usd_per_million=1, output_usd_per_million=2
    )
    assert limit_key(model, limits) == LimitKey(
        model="gpt-6-luna at 127.0.0.1:8089/v1",
        account="me",
        limits=RateLimits(requests_per_minute=500.0, tokens_per_minute=2e5),
        budget_micro_usd=100_000,
    )


def test_a_budget_without_a_price_is_an_error_that_says_what_to_set() -> None:
    limits = LimitsSettings(budget_usd=1)
    with pytest.raises(ConfigError, match="no price of llama is known: set"):
        limit_key(OpenAISettings(model="llama"), limits)
    free = OpenAISettings(model="llama", input_usd_per_million=0, output_usd_per_million=0)
    assert limit_key(free, limits).budget_micro_usd == 1_000_000
    assert limit_key(OpenAISettings(model="llama"), LimitsSettings()).budget_micro_usd is None


def priced(**given: Any) -> OpenAISettings:
    return OpenAISettings(input_usd_per_million=1, output_usd_per_million=2, **given)


def test_flex_costs_what_the_endpoint_takes_for_it() -> None:
    groq = tier_prices(priced(base_url="https://api.groq.com/openai/v1"))
    assert groq.flex == groq.standard == Prices(prompt=1_000_000, completion=2_000_000)
    openai = tier_prices(priced(service_tier="flex"))
    assert openai.asked == openai.flex == Prices(prompt=500_000, completion=1_000_000)
    unknown = tier_prices(OpenAISettings(service_tier="priority"))
    assert (unknown.asked, unknown.standard) == (None, Prices())
    dear = tier_prices(priced(service_tier="priority", tier_price_factor=2))
    assert dear.asked == Prices(prompt=2_000_000, completion=4_000_000)


def test_a_price_is_known_if_both_are_set() -> None:
    assert known_prices(OpenAISettings(input_usd_per_million=1)) is None
    assert known_prices(OpenAISettings(output_usd_per_million=1)) is None


def test_the_address_of_a_policy_has_no_query_as_that_may_be_a_key() -> None:
    settings = OpenAISettings(base_url="https://gate.example/v1?key=secret")
    assert label_policy(settings).endpoint == "https://gate.example/v1"
