"""A model that reasons: the default settings label everything, and waste little."""

from collections.abc import Iterator
from typing import Any

import pytest

from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.parsing import parse_review
from reviewstream.core.records.reviews import LabelledReview
from reviewstream.errors import FatalError
from reviewstream.samples import expand
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.case_endpoint import wired

pytestmark = [pytest.mark.model, pytest.mark.anyio]

REVIEWS = 1_000
MOST = 1.3  # times the tokens of a right setting
CONCURRENCY = 16  # requests in flight, by default
PACK = 20  # reviews in a request, by default
KNOWN, UNKNOWN = "gpt-5-mini", "acme/thinker-9b"


def _texts(count: int) -> list[str]:
    parsed = [parse_review(line.rstrip(b"\n")) for line in expand(count, seed=13)]
    return [
        f"{number}. {one.value.text}" for number, one in enumerate(parsed) if isinstance(one, Ok)
    ]


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def _reason(endpoint: OpenAIEndpoint, model: str, hidden: int) -> None:
    """Let the endpoint serve a model that reasons, and takes no notice of the effort."""
    endpoint.reset()
    endpoint.dialect("openai" if model == KNOWN else "vllm")
    endpoint.options(hidden_tokens=hidden, effort="ignored")


async def _billed(endpoint: OpenAIEndpoint, model: str, **settings: Any) -> int:
    """Label all reviews, and return the tokens on the bill."""
    async with wired(endpoint.base_url, api_key=endpoint.api_key, model=model, **settings) as on:
        outcomes = await on.label(_texts(REVIEWS))
    assert len(outcomes) == REVIEWS
    assert all(isinstance(one, LabelledReview) for one in outcomes)
    totals = endpoint.bill()["totals"]
    return int(totals["prompt_tokens"] + totals["completion_tokens"])


def _hidden_of(endpoint: OpenAIEndpoint) -> int:
    return sum(int(one["reasoning_tokens"]) for one in endpoint.bill()["entries"])


@pytest.mark.parametrize("model", [KNOWN, UNKNOWN])
@pytest.mark.parametrize("hidden", [100, 300])
async def test_the_defaults_label_everything_for_little_more_than_a_right_setting(
    endpoint: OpenAIEndpoint, model: str, hidden: int
) -> None:
    _reason(endpoint, model, hidden)
    room = {"max_output_tokens_per_label": 64 + 2 * hidden, "max_pack_tokens": 100_000}
    right = await _billed(endpoint, model, **room)
    assert _hidden_of(endpoint) >= hidden * REVIEWS
    _reason(endpoint, model, hidden)
    default = await _billed(endpoint, model)
    assert _hidden_of(endpoint) >= hidden * REVIEWS
    assert default <= MOST * right, f"{default:,} tokens in place of {right:,}"
    if model == KNOWN:
        assert endpoint.requests()["requests"] == REVIEWS / PACK, "full packs, none cut"


async def test_a_model_that_heeds_the_effort_is_asked_for_the_least(
    endpoint: OpenAIEndpoint,
) -> None:
    endpoint.options(hidden_tokens=300)
    await _billed(endpoint, KNOWN)
    assert _hidden_of(endpoint) < 20 * REVIEWS


@pytest.mark.parametrize("model", [KNOWN, UNKNOWN])
async def test_a_room_that_the_user_set_too_small_ends_the_run_by_its_name(
    endpoint: OpenAIEndpoint, model: str
) -> None:
    _reason(endpoint, model, hidden=300)
    async with wired(
        endpoint.base_url, api_key=endpoint.api_key, model=model, max_output_tokens_per_label=100
    ) as on:
        with pytest.raises(FatalError, match=r"openai\.max_output_tokens_per_label"):
            await on.label(_texts(REVIEWS))
    assert endpoint.requests()["requests"] <= 2 * CONCURRENCY


@pytest.mark.parametrize("model", [KNOWN, UNKNOWN])
async def test_reasoning_without_an_end_ends_the_run_and_rejects_nothing(
    endpoint: OpenAIEndpoint, model: str
) -> None:
    _reason(endpoint, model, hidden=100_000)
    async with wired(endpoint.base_url, api_key=endpoint.api_key, model=model) as on:
        with pytest.raises(FatalError, match=r"openai\.reasoning_effort"):
            await on.label(_texts(REVIEWS))
    assert endpoint.requests()["requests"] <= 5 * CONCURRENCY
