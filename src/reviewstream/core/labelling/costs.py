"""Prices of tokens and costs of answers, in whole millionths of a US dollar.

Every price and every request's cost is rounded up, so that rounding cannot overdraw a budget.
"""

from collections.abc import Mapping
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from fractions import Fraction
from math import ceil
from types import MappingProxyType
from typing import Final, Self

from msgspec import Struct

MILLION = 1_000_000
STANDARD: Final = Fraction(1)
# Factors to the standard price. `auto` occurs in requests only; answers name the tier used.
TIER_FACTORS: Final[Mapping[str, Fraction]] = MappingProxyType(
    {
        "auto": STANDARD,
        "default": STANDARD,
        "standard": STANDARD,
        "flex": Fraction(1, 2),
        "batch": Fraction(1, 2),
    }
)


class Prices(Struct, frozen=True, kw_only=True):
    """Prices of tokens, in micro-dollars per million tokens.

    Attributes:
        prompt: Price of prompt tokens.
        cached: Price of prompt tokens that the endpoint read from its cache; None: as `prompt`.
        written: Price of prompt tokens that the endpoint wrote to its cache; None: as `prompt`.
        completion: Price of completion tokens, hidden reasoning included.
    """

    prompt: int = 0
    cached: int | None = None
    written: int | None = None
    completion: int = 0

    @classmethod
    def from_usd(
        cls,
        *,
        prompt: float,
        completion: float,
        cached: float | None = None,
        written: float | None = None,
    ) -> Self:
        """Return the prices for US dollars per million tokens, rounded up to a micro-dollar."""
        return cls(
            prompt=_micro_usd(prompt),
            cached=None if cached is None else _micro_usd(cached),
            written=None if written is None else _micro_usd(written),
            completion=_micro_usd(completion),
        )

    def scaled(self, factor: Fraction) -> Self:
        """Return these prices times a factor, each rounded up."""
        return type(self)(
            prompt=ceil(self.prompt * factor),
            cached=None if self.cached is None else ceil(self.cached * factor),
            written=None if self.written is None else ceil(self.written * factor),
            completion=ceil(self.completion * factor),
        )

    def ceiling(self) -> Self:
        """Return prices for a reservation: a prompt token costs its highest possible price."""
        possible = (self.prompt, self.cached or 0, self.written or 0)
        return type(self)(prompt=max(possible), completion=self.completion)


def tier_factor(tier: str | None, given: float | None = None) -> Fraction | None:
    """Return the price factor of a service tier relative to the standard tier; None if unknown.

    Args:
        tier: Name of the tier in the request or the answer; None: the standard tier.
        given: Factor from the settings; overrides that of every tier except the standard one.
    """
    known = TIER_FACTORS.get(tier or "default")
    if given is None or known == STANDARD:
        return known
    return Fraction(Decimal(repr(given)))


def cost_micro_usd(
    prompt_tokens: int,
    completion_tokens: int,
    prices: Prices,
    *,
    cached_tokens: int = 0,
    written_tokens: int = 0,
) -> int:
    """Return the cost in micro-dollars, rounded up.

    Args:
        prompt_tokens: All tokens of the request, cached and written ones included.
        completion_tokens: Tokens of the answer, hidden reasoning included.
        prices: Prices of the tier that answered.
        cached_tokens: Prompt tokens that the endpoint read from its cache.
        written_tokens: Prompt tokens that the endpoint wrote to its cache.
    """
    cached_price = prices.prompt if prices.cached is None else prices.cached
    written_price = prices.prompt if prices.written is None else prices.written
    cached = min(cached_tokens, prompt_tokens)
    written = min(written_tokens, prompt_tokens - cached)
    plain = prompt_tokens - cached - written
    asked = plain * prices.prompt + cached * cached_price + written * written_price
    return -(-(asked + completion_tokens * prices.completion) // MILLION)


def budget_micro_usd(usd: float) -> int:
    """Return a budget in micro-dollars, rounded down."""
    return _micro_usd(usd, ROUND_FLOOR)


def _micro_usd(usd: float, rounding: str = ROUND_CEILING) -> int:
    # Convert through the decimal text, because 0.15 is not exact in binary.
    return int((Decimal(repr(usd)) * MILLION).to_integral_value(rounding=rounding))
