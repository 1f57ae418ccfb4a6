"""What an answer costs, in whole millionths of a US dollar."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Self

from msgspec import Struct

MILLION = 1_000_000


class Prices(Struct, frozen=True, kw_only=True):
    """Prices of tokens, in micro-dollars per million tokens.

    Attributes:
        prompt: What a million prompt tokens cost.
        cached: What a million prompt tokens cost that the endpoint had in its cache; None: the
            same as others.
        completion: What a million completion tokens cost.
    """

    prompt: int = 0
    cached: int | None = None
    completion: int = 0

    @classmethod
    def from_usd(cls, *, prompt: float, completion: float) -> Self:
        """Return the prices for US dollars per million tokens, a broken micro-dollar rounded up."""
        return cls(prompt=_micro_usd(prompt), completion=_micro_usd(completion))


def cost_micro_usd(
    prompt_tokens: int,
    completion_tokens: int,
    prices: Prices,
    *,
    cached_tokens: int = 0,
) -> int:
    """Return the cost in micro-dollars, rounded up: a budget is never overdrawn unseen.

    Args:
        prompt_tokens: All of the request, the cached ones included.
        completion_tokens: Of the answer.
        prices: Of the tokens.
        cached_tokens: Prompt tokens that the endpoint had in its cache.
    """
    cached_price = prices.prompt if prices.cached is None else prices.cached
    cached = min(cached_tokens, prompt_tokens)
    asked = (prompt_tokens - cached) * prices.prompt + cached * cached_price
    return -(-(asked + completion_tokens * prices.completion) // MILLION)


def budget_micro_usd(usd: float) -> int:
    """Return a budget in micro-dollars, a broken one left out."""
    return _micro_usd(usd, ROUND_FLOOR)


def _micro_usd(usd: float, rounding: str = ROUND_CEILING) -> int:
    # By way of the decimal that a person wrote: 0.15 is not a binary fraction.
    return int((Decimal(repr(usd)) * MILLION).to_integral_value(rounding=rounding))
