"""Costs of requests, and each review's share of them."""

from collections.abc import Sequence

from msgspec import Struct

from reviewstream.core.labelling.packs import shares


class Charge(Struct, frozen=True, kw_only=True):
    """Cost of one request, or its ceiling if the endpoint does not report it.

    Attributes:
        prompt_tokens: Tokens of the request.
        completion_tokens: Tokens of the answer, hidden reasoning included.
        micro_usd: Millionths of a US dollar.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    micro_usd: int = 0


class Usage(Struct, frozen=True, kw_only=True):
    """A review's share of the requests made for it.

    Attributes:
        attempts: Requests that included the review.
    """

    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            attempts=self.attempts + other.attempts,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cost_micro_usd=self.cost_micro_usd + other.cost_micro_usd,
        )


def split_usage(charges: Sequence[Charge], *, attempts: int, reviews: int) -> list[Usage]:
    """Return the usage of each review of a pack; the sum equals the total.

    Args:
        charges: Costs of all requests for the pack, unusable answers included.
        attempts: Requests made; some may have cost nothing.
        reviews: Number of reviews in the pack.
    """
    parts = zip(
        shares(sum(one.prompt_tokens for one in charges), reviews),
        shares(sum(one.completion_tokens for one in charges), reviews),
        shares(sum(one.micro_usd for one in charges), reviews),
        strict=True,
    )
    return [
        Usage(attempts=attempts, prompt_tokens=asked, completion_tokens=said, cost_micro_usd=paid)
        for asked, said, paid in parts
    ]
