"""What an answer costs, in whole millionths of a US dollar."""

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Self

from msgspec import Struct

MILLION = 1_000_000


class Prices(Struct, frozen=True, kw_only=True):
    """Prices of tokens, in micro-dollars per million tokens.

    Attributes:
        prompt: What a million prompt tokens cost.
        completion: What a million completion tokens cost.
    """

    prompt: int = 0
    completion: int = 0

    @classmethod
    def from_usd(cls, *, prompt: float, completion: float) -> Self:
        """Return the prices for US dollars per million tokens, a broken micro-dollar rounded up."""
        return cls(prompt=_micro_usd(prompt), completion=_micro_usd(completion))


def cost_micro_usd(prompt_tokens: int, completion_tokens: int, prices: Prices) -> int:
    """Return the cost in micro-dollars, rounded up: a budget is never overdrawn unseen."""
    total = prompt_tokens * prices.prompt + completion_tokens * prices.completion
    return -(-total // MILLION)


def budget_micro_usd(usd: float) -> int:
    """Return a budget in micro-dollars, a broken one left out."""
    return _micro_usd(usd, ROUND_FLOOR)


def _micro_usd(usd: float, rounding: str = ROUND_CEILING) -> int:
    # By way of the decimal that a person wrote: 0.15 is not a binary fraction.
    return int((Decimal(repr(usd)) * MILLION).to_integral_value(rounding=rounding))
