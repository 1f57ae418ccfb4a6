"""What an answer says that it cost: in a dialect's shape, or wrongly."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from reviewstream_testbed.openai_endpoint.bill import Tokens
from reviewstream_testbed.openai_endpoint.dialects import UsageShape

COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
MICRO: Final = 1_000_000
_WRONG: Final[Mapping[str, Callable[[int], object]]] = {
    "usage_zero": lambda _: 0,
    "usage_negative": lambda count: -1 - count,
    "usage_huge": lambda count: 10**30 + count,
    "usage_strings": str,
    "usage_floats": float,
}
# These tell a client less, or something else, than what is billed.
UNTRUE: Final = frozenset(
    {"usage_zero", "usage_negative", "usage_huge", "usage_absent", "usage_strings"}
)


def shown(tokens: Tokens, shape: UsageShape, cost: int | None) -> dict[str, Any]:
    """Return what is said about tokens.

    Args:
        tokens: That are billed.
        shape: How it is said.
        cost: Micro-dollars, if it is to be told.
    """
    beside = shape.reasoning == "beside"
    told: dict[str, Any] = {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.visible if beside else tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
    }
    if shape.has_details:
        told["prompt_tokens_details"] = {"cached_tokens": tokens.cached, "audio_tokens": 0}
        told["completion_tokens_details"] = {
            "reasoning_tokens": tokens.hidden,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
    if shape.cached == "hit":
        told["prompt_cache_hit_tokens"] = tokens.cached
        told["prompt_cache_miss_tokens"] = tokens.prompt - tokens.cached
    if shape.has_cost and cost is not None:
        told["cost"] = cost / MICRO  # its digits are exact: six after the point
    return {**told, **shape.more}


def spoilt(usage: dict[str, Any], fault: str) -> dict[str, Any] | None:
    """Return what is said about tokens under a fault; None: nothing."""
    if fault == "usage_absent":
        return None
    if fault not in _WRONG:
        return usage
    return usage | {name: _WRONG[fault](usage[name]) for name in COUNTS}
