"""Parser for the `usage` of a completion: tokens and cost that an endpoint bills."""

from collections.abc import Mapping
from decimal import ROUND_CEILING, Decimal
from typing import Any, Final

from msgspec import Struct

from reviewstream.core.labelling.costs import MILLION
from reviewstream.core.records.json_values import as_count, as_mapping, as_number

MAX_COST_USD: Final = 100.0  # of one request; higher reports are ignored to protect a budget


class Billed(Struct, frozen=True, kw_only=True):
    """Usage that an endpoint reports for one request.

    Attributes:
        prompt_tokens: Prompt tokens, cached ones included.
        completion_tokens: Completion tokens, reasoning included.
        cached_tokens: Read from the cache, at most `prompt_tokens`.
        written_tokens: Written to the cache, at most `prompt_tokens`.
        reasoning_tokens: At most `completion_tokens`.
        is_known: Whether token counts are reported; if False, the counts are meaningless.
        cost_micro_usd: Millionths of a US dollar, rounded up; None: not reported.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    reasoning_tokens: int = 0
    is_known: bool = False
    cost_micro_usd: int | None = None


def read_usage(value: object, *, has_text: bool) -> Billed:
    """Return the billed usage. Never raises.

    A count that is missing, negative or implausible is computed from the other two, or else
    unknown. A completion of 0 tokens for an answer with text is unknown, too.

    Args:
        value: `usage` of a completion.
        has_text: Whether the answer has text.
    """
    usage = as_mapping(value)
    prompt, completion = (
        as_count(usage.get("prompt_tokens")),
        as_count(usage.get("completion_tokens")),
    )
    total = as_count(usage.get("total_tokens"))
    reasoning = _detail(usage, "completion_tokens_details", "reasoning_tokens")
    if prompt is None and total is not None and completion is not None:
        prompt = max(total - completion, 0)
    if completion is not None and reasoning > completion:  # then reasoning is counted separately
        completion += reasoning
    if prompt is not None and total is not None:
        completion = max(completion or 0, total - prompt)
    if prompt is None or completion is None or (has_text and not completion):
        return Billed(cost_micro_usd=_cost(usage))
    return Billed(
        prompt_tokens=prompt,
        completion_tokens=completion,
        cached_tokens=min(_cached(usage), prompt),
        written_tokens=min(_detail(usage, "prompt_tokens_details", "cache_write_tokens"), prompt),
        reasoning_tokens=min(reasoning, completion),
        is_known=True,
        cost_micro_usd=_cost(usage),
    )


def _detail(usage: Mapping[str, Any], group: str, name: str) -> int:
    return as_count(as_mapping(usage.get(group)).get(name)) or as_count(usage.get(name)) or 0


def _cached(usage: Mapping[str, Any]) -> int:
    """Return the cached tokens, by OpenAI's field name or by DeepSeek's."""
    told = _detail(usage, "prompt_tokens_details", "cached_tokens")
    return told or as_count(usage.get("prompt_cache_hit_tokens")) or 0


def _cost(usage: Mapping[str, Any]) -> int | None:
    """Return the reported cost in micro-dollars.

    If the user's own key for the provider behind a gateway is used (`is_byok`), that provider bills
    separately, and its cost is added.
    """
    cost = as_number(usage.get("cost"))
    if cost is not None and usage.get("is_byok") is True:
        upstream = as_mapping(usage.get("cost_details")).get("upstream_inference_cost")
        behind = as_number(upstream)
        cost = None if behind is None else cost + behind
    if cost is None or not 0 <= cost <= MAX_COST_USD:
        return None
    return int((Decimal(repr(cost)) * MILLION).to_integral_value(rounding=ROUND_CEILING))
