"""The books equal the bill: what is booked in the records is what the endpoint bills."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pytest

from reviewstream.core.records.reviews import LabelledReview, RejectedReview
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.mock_openai.dialect_table import DIALECTS
from tests.contract.case_endpoint import Wired, wired

pytestmark = [pytest.mark.model, pytest.mark.anyio]

REVIEWS: Final = 3_000
RATE: Final = 0.2  # of the requests meet a fault
MODEL: Final = "gpt-5-mini"
PRICES: Final[dict[str, Any]] = {
    "input_usd_per_million": 0.25,
    "cached_input_usd_per_million": 0.025,
    "output_usd_per_million": 2.0,
}
WITH_FLEX: Final = sorted(name for name, one in DIALECTS.items() if one.flex is not None)

# The client is told what each of them costs, or that it costs nothing.
KNOWN_BILL: Final = (
    *("rate_429", "500", "503", "502", "424", "413", "400", "error_200_429"),
    *("moderation_403", "content_filter_400", "context_400", "json_validate_400"),
    *("empty_choices", "finish_error", "refusal", "length", "content_filter"),
    *("not_json", "fence_crlf", "think_block", "content_parts", "reasoning_content", "blanks"),
    *("off_list_label", "wrong_id", "missing_id", "extra_id", "doubled_id"),
    *("usage_floats", "usage_beside", "odd_limits"),
)
# The request may have been billed, and the client is not told how much.
UNKNOWN_BILL: Final = ("html", "cut", "truncated_json", "reset", "usage_absent")


# Each of these is met by one review, whenever it is asked about: it is rejected.
POISON: Final = ("moderation_403", "context_400", "refusal", "length", "missing_id", "finish_error")


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def booked(outcomes: Sequence[LabelledReview | RejectedReview]) -> int:
    """Return what records say that a run cost, in micro-dollars."""
    return sum(
        one.cost_micro_usd if isinstance(one, RejectedReview) else one.provenance.cost_micro_usd
        for one in outcomes
        if isinstance(one, RejectedReview) or not one.provenance.from_ledger
    )


def _misbehave(endpoint: OpenAIEndpoint, dialect: str, faults: tuple[str, ...]) -> None:
    endpoint.reset()
    endpoint.dialect(dialect)
    endpoint.judge("hash")
    endpoint.options(hidden_tokens=40, cached_share="0.37", prices="0.25,0.025,2")
    always = [{"kind": kind, "words": [f"Review {at}:"]} for at, kind in enumerate(POISON, 500)]
    # Not the probe: it is refused twice in a row by chance now and then, and that ends a run.
    ours = "lovely place"
    endpoint.fault(rate=RATE, faults=faults, match=ours, seed=len(dialect), always=always)


async def _run(endpoint: OpenAIEndpoint, **settings: Any) -> Wired:
    """Label all reviews; what is booked is what the account has spent."""
    texts = [f"Review {number}: lovely place" for number in range(REVIEWS)]
    async with wired(
        endpoint.base_url, api_key=endpoint.api_key, model=MODEL, **PRICES, **settings
    ) as on:
        outcomes = await on.label([*texts, *texts[498:508]])
    assert len(outcomes) == REVIEWS + 10
    refused = [one for one in outcomes if isinstance(one, RejectedReview)]
    assert 0 < len(refused) < REVIEWS / 2
    assert any(one.cost_micro_usd for one in refused)
    assert booked(outcomes) == on.spent
    return on


def _bill(endpoint: OpenAIEndpoint) -> int:
    total: int = endpoint.bill()["totals"]["cost_micro_usd"]
    return total


@pytest.mark.parametrize(
    ("dialect", "tier"),
    [*((name, None) for name in DIALECTS), *((name, "flex") for name in WITH_FLEX)],
)
async def test_what_is_booked_is_the_bill_to_the_micro_dollar(
    endpoint: OpenAIEndpoint, dialect: str, tier: str | None
) -> None:
    _misbehave(endpoint, dialect, KNOWN_BILL)
    factor = {"tier_price_factor": 1.0} if (tier, dialect) == ("flex", "groq") else {}
    on = await _run(endpoint, service_tier=tier, **factor)
    assert on.spent == _bill(endpoint) > 0


@pytest.mark.parametrize("dialect", ["openai", "vllm"])
async def test_what_no_one_tells_stays_charged_as_it_was_reserved(
    endpoint: OpenAIEndpoint, dialect: str
) -> None:
    _misbehave(endpoint, dialect, UNKNOWN_BILL)
    on = await _run(endpoint)
    unknown = [one for one in endpoint.bill()["entries"] if one["fault"] in UNKNOWN_BILL]
    kept = [reserved for reserved, used in on.limiter.settled if used == reserved]
    assert len(kept) == len(unknown) >= 30
    reserved = sum(one.micro_usd for one in kept)
    assert on.spent - _bill(endpoint) == reserved - sum(one["cost_micro_usd"] for one in unknown)
    assert on.spent > _bill(endpoint)
