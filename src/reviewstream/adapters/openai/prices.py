"""Prices of models, from the list in the package `genai-prices`; nothing is downloaded.

The list is read where a command starts: `priced` writes the prices into the settings, from which
Spark's workers read them. So a run counts one price per model, the one in force at its start.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, time
from decimal import ROUND_CEILING, Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Final

from reviewstream.core.labelling.costs import MILLION, Prices
from reviewstream.core.labelling.endpoint.dialects import dialect_of
from reviewstream.core.labelling.packs import overhead
from reviewstream.core.labelling.ports import PriceList
from reviewstream.core.labelling.prompts import BYTES_PER_TOKEN, MAX_TEXT_TOKENS, known_version
from reviewstream.settings import OpenAISettings

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, TieredPrices

OPENAI: Final = "openai"  # the provider of an unknown endpoint's model names


class GenaiPrices:
    """The price list of genai-prices.

    Args:
        snapshot: The data.
        version: Version of the package.
        now: Day of the returned prices; if they vary during the day, the highest is returned.
    """

    def __init__(self, snapshot: "DataSnapshot", version: str, now: datetime) -> None:
        self._snapshot = snapshot
        self._version = version
        self._now = now.astimezone(UTC)

    @property
    def name(self) -> str:
        """See `PriceList.name`."""
        return f"genai-prices {self._version}, in force on {self._now:%Y-%m-%d}"

    def prices(
        self, model: str, provider: str | None, *, prompt_tokens: int | None = None
    ) -> Prices | None:
        """See `PriceList.prices`."""
        found = self._find(model, provider or OPENAI)
        if found is None:
            return None
        listed = list(self._listed(found))

        def highest(unit: str) -> int | None:
            values = [getattr(one, unit) for one in listed]
            known = [_micro_usd(one, prompt_tokens) for one in values if one is not None]
            return max(known, default=None)

        return Prices(
            prompt=highest("input_mtok") or 0,
            cached=highest("cache_read_mtok"),
            written=highest("cache_write_mtok"),
            completion=highest("output_mtok") or 0,
        )

    def _find(self, model: str, provider: str) -> "ModelInfo | None":
        """Return the list's entry for a model's name, by its match rules or its id."""
        try:
            return self._snapshot.find_provider_model(model, None, provider, None)[1]
        except LookupError:
            providers = (one for one in self._snapshot.providers if one.id == provider)
            return next((m for one in providers for m in one.models if m.id == model), None)

    def _listed(self, model: "ModelInfo") -> "Iterator[ModelPrice]":
        """Yield the prices that are in force at some time of the day."""
        yield model.get_prices(self._now)
        for one in model.prices if isinstance(model.prices, list) else []:
            for edge in ("start_time", "end_time"):
                hour: time | None = getattr(one.constraint, edge, None)
                if hour is not None:
                    yield model.get_prices(datetime.combine(self._now.date(), hour, tzinfo=UTC))


def _micro_usd(price: "Decimal | TieredPrices", prompt_tokens: int | None) -> int:
    """Return the highest applicable price in micro-dollars, rounded up."""
    if not isinstance(price, Decimal):
        reached = (
            tier.price
            for tier in price.tiers
            if prompt_tokens is None or tier.start < prompt_tokens
        )
        price = max((price.base, *reached))
    return int((price * MILLION).to_integral_value(rounding=ROUND_CEILING))


@cache
def open_price_list() -> PriceList | None:
    """Return the installed price list, or None if genai-prices is not installed."""
    try:
        import genai_prices  # noqa: PLC0415 - takes 0.4 s, and is an extra
        from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415
    except ImportError:
        return None
    return GenaiPrices(get_snapshot(), genai_prices.__version__, datetime.now(UTC))


def listed_prices(settings: OpenAISettings, prices: PriceList | None = None) -> Prices | None:
    """Return the listed prices of the model at its endpoint, or None if they are unknown.

    Args:
        settings: Model and endpoint. A known endpoint's model is looked up under its provider only,
            any other endpoint's under OpenAI.
        prices: The list; by default the installed one.
    """
    prices = prices or open_price_list()
    if prices is None:
        return None
    provider = dialect_of(settings.base_url, settings.dialect).provider
    return prices.prices(settings.model, provider, prompt_tokens=_longest(settings))


def priced(settings: OpenAISettings, prices: PriceList | None = None) -> OpenAISettings:
    """Return the settings with the listed prices where the user set none.

    Prices that the user set are kept. A cached token's price is taken from the list only together
    with the prompt token's: a listed discount does not apply to a price of the user's. The factor
    of flex is that of the endpoint's dialect.
    """
    if settings.service_tier == "flex" and settings.tier_price_factor is None:
        factor = dialect_of(settings.base_url, settings.dialect).flex_factor
        settings = settings.model_copy(update={"tier_price_factor": factor})
    if settings.input_usd_per_million is not None and settings.output_usd_per_million is not None:
        return settings
    found = listed_prices(settings, prices)
    if found is None:
        return settings
    listed: dict[str, Any] = {"output_usd_per_million": found.completion / MILLION}
    if settings.input_usd_per_million is None:
        listed["input_usd_per_million"] = found.prompt / MILLION
        if found.cached is not None:
            listed["cached_input_usd_per_million"] = found.cached / MILLION
        if found.written is not None:
            listed["cache_write_usd_per_million"] = found.written / MILLION
    unset = {name: usd for name, usd in listed.items() if getattr(settings, name) is None}
    return settings.model_copy(update=unset)


def _longest(settings: OpenAISettings) -> int:
    """Return the most tokens that a request can have: its number of bytes."""
    alone = overhead(known_version(settings.prompt_version)) + MAX_TEXT_TOKENS
    return BYTES_PER_TOKEN * max(settings.max_pack_tokens, alone)
