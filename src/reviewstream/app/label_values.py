# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""Settings of the model and its limits as values of `core.labelling`."""

from typing import TYPE_CHECKING, Any

from reviewstream.core.labelling.chat import ChatOptions, RateLimits
from reviewstream.core.labelling.costs import Prices, budget_micro_usd, tier_factor
from reviewstream.core.labelling.endpoint.dialects import dialect_of
from reviewstream.core.labelling.endpoint.requested_options import RequestedOptions
from reviewstream.core.labelling.limits.budget import no_price
from reviewstream.core.labelling.limits.operations import LimitKey
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.prompts import known_version
from reviewstream.errors import ConfigError
from reviewstream.settings import LimitsSettings, OpenAISettings

if TYPE_CHECKING:
    from reviewstream.core.labelling.capabilities.trials import Capabilities
    from reviewstream.core.labelling.planning import TierPrices


def label_policy(settings: OpenAISettings) -> LabelPolicy:
    """Return the policy that the settings describe.

    Raises:
        ConfigError: Unknown prompt version or dialect.
    """
    from reviewstream.adapters.openai.model_names import ledger_name

    return LabelPolicy(
        model=settings.model,
        endpoint=settings.base_url.partition("?")[0],  # a query may contain a key
        ledger_name=ledger_name(settings),
        prompt_version=known_version(settings.prompt_version),
        tokens_per_label=settings.max_output_tokens_per_label,
        generation=settings.generation,
        concurrency=settings.concurrency,
        pack=settings.pack,
        max_pack_tokens=settings.max_pack_tokens,
        max_attempts=settings.max_attempts,
        max_wait=settings.max_wait,
        startup_timeout=settings.startup_timeout,
        controls=settings.controls,
        prices=known_prices(settings) or Prices(),
        price_factor=tier_factor(settings.service_tier, settings.tier_price_factor),
        options=first_options(settings),
        auto=_requested_options(settings).auto,
    )


def first_options(settings: OpenAISettings) -> ChatOptions:
    """Return the options of the first request: from the settings, or else for dialect and model.

    Raises:
        ConfigError: Unknown dialect.
    """
    dialect = dialect_of(settings.base_url, settings.dialect)
    return _requested_options(settings).first(settings.model, dialect)


def _requested_options(settings: OpenAISettings) -> RequestedOptions:
    return RequestedOptions(
        response_format=settings.response_format,
        max_tokens_field=settings.max_tokens_field,
        reasoning_effort=settings.reasoning_effort,
        temperature=settings.temperature,
        service_tier=settings.service_tier,
        extra_body=settings.extra_body,
        is_ceiling_set="max_output_tokens_per_label" in settings.model_fields_set,
    )


def suggested_settings(found: "Capabilities", settings: OpenAISettings) -> dict[str, Any]:
    """Return suggested settings; see `core.labelling.capabilities.suggested_settings`."""
    from reviewstream.core.labelling.capabilities.suggested_settings import suggested

    return suggested(
        found,
        label_policy(settings),
        _requested_options(settings),
        base_url=settings.base_url,
        dialect=settings.dialect,
    )


def known_prices(settings: OpenAISettings) -> Prices | None:
    """Return the prices of the standard tier, or None if the settings do not hold them.

    `priced` fills in listed prices.
    """
    prompt, completion = settings.input_usd_per_million, settings.output_usd_per_million
    if prompt is None or completion is None:
        return None
    return Prices.from_usd(
        prompt=prompt,
        cached=settings.cached_input_usd_per_million,
        written=settings.cache_write_usd_per_million,
        completion=completion,
    )


def tier_prices(settings: OpenAISettings) -> "TierPrices":
    """Return the prices at the service tiers; 0 if the settings do not hold them."""
    from reviewstream.core.labelling.planning import TierPrices

    return TierPrices.of(
        known_prices(settings) or Prices(),
        tier=settings.service_tier,
        tier_price_factor=settings.tier_price_factor,
        flex_factor=dialect_of(settings.base_url, settings.dialect).flex_factor,
    )


def rate_limits(settings: LimitsSettings) -> RateLimits:
    """Return the rate limits of the settings."""
    return RateLimits(
        requests_per_minute=settings.requests_per_minute,
        tokens_per_minute=settings.tokens_per_minute,
    )


def limit_key(model: OpenAISettings, limits: LimitsSettings) -> LimitKey:
    """Return the limit key that the settings describe.

    Raises:
        ConfigError: There is a budget, but the model's price is unknown.
    """
    from reviewstream.adapters.openai.model_names import ledger_name

    budget = limits.budget_usd
    if budget is not None and known_prices(model) is None:
        raise ConfigError(f"limits.budget_usd is set, and {no_price(model.model)}")
    return LimitKey(
        model=ledger_name(model),
        account=limits.account or "",
        limits=rate_limits(limits),
        budget_micro_usd=None if budget is None else budget_micro_usd(budget),
    )
