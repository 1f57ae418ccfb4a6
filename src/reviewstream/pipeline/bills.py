"""What each review of a pack cost: its fair share, the answers that were thrown away included."""

from collections.abc import Sequence

from msgspec import Struct

from reviewstream.core.chat import ChatAnswer
from reviewstream.core.costs import Prices, cost_micro_usd
from reviewstream.core.packs import shares


class Bill(Struct, frozen=True, kw_only=True):
    """A review's share of what was asked for its sake.

    Attributes:
        attempts: Requests that it was part of.
    """

    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0

    def __add__(self, other: "Bill") -> "Bill":
        return Bill(
            attempts=self.attempts + other.attempts,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_micro_usd=self.cost_micro_usd + other.cost_micro_usd,
        )


def share(
    answers: Sequence[ChatAnswer], prices: Prices, *, attempts: int, reviews: int
) -> list[Bill]:
    """Return the bill of each review of a pack; together they are the whole.

    Args:
        answers: All that were paid for.
        prices: Of their tokens.
        attempts: Requests made; some may have had no answer.
        reviews: In the pack.
    """
    prompt = sum(one.prompt_tokens for one in answers)
    completion = sum(one.completion_tokens for one in answers)
    cost = sum(cost_micro_usd(one.prompt_tokens, one.completion_tokens, prices) for one in answers)
    parts = zip(
        shares(prompt, reviews), shares(completion, reviews), shares(cost, reviews), strict=True
    )
    return [
        Bill(attempts=attempts, prompt_tokens=asked, completion_tokens=said, cost_micro_usd=paid)
        for asked, said, paid in parts
    ]
