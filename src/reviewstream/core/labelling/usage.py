"""Costs of requests, and the fair share of each review in them."""

from collections.abc import Sequence

from msgspec import Struct

from reviewstream.core.labelling.packs import shares


class Charge(Struct, frozen=True, kw_only=True):
    """Cost of one request, or its ceiling where the endpoint does not report it.

    Attributes:
        prompt_tokens: Of the request.
        completion_tokens: Of the answer, hidden reasoning included.
        micro_usd: Millionths of a US dollar.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    micro_usd: int = 0


class Usage(Struct, frozen=True, kw_only=True):
    """A review's share of the requests made for it.

    Attributes:
        attempts: Requests that it was part of.
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
    """Return the bill of each review of a pack; together they are the whole.

    Args:
        charges: Of all requests made for the pack, unusable answers included.
        attempts: Requests made; some may have cost nothing.
        reviews: In the pack.
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
