"""A budget is never exceeded by the bill, and is used up to the last request that fits."""

import asyncio
import random
import re
from decimal import Decimal
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reviewstream.app import label_policy, limit_key
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.costs import MILLION, Prices, cost_micro_usd
from reviewstream.core.labelling.labeller import Labeller
from reviewstream.core.labelling.limits.shared_limiter import SharedLimiter
from reviewstream.errors import BudgetExceededError, RateLimitError, UnknownOutcomeError
from reviewstream.settings import LimitsSettings, OpenAISettings
from reviewstream.testing import FakeChatModel, FakeClock, MemoryLimits, NoLedger
from tests.contract.case_endpoint import (
    Reply,
    Request,
    case_endpoint,
    reply,
    right_answer,
    rows,
    wired,
)

pytestmark = pytest.mark.model

PRICES: Final[dict[str, Any]] = {
    "input_usd_per_million": 2.5,
    "cached_input_usd_per_million": 1.25,
    "output_usd_per_million": 10.0,
}
FULL: Final = Prices.from_usd(prompt=2.5, cached=1.25, completion=10.0)
ADDED: Final = 900  # tokens that an endpoint adds of itself
RARE: Final = "\U00012345\u0f3a\ua9c4"  # each a token for every byte
_NEXT: Final = re.compile(r"the next request may cost \$([\d.]+)")


class Biller:
    """A model that bills as much as it may: a token for each byte, and all of its room, or nearly.

    Attributes:
        bill: Micro-dollars, those of requests without an answer included.
    """

    def __init__(self, seed: int, *, prices: Prices, trouble: float) -> None:
        self._chance = random.Random(seed)  # noqa: S311 - repeatable, not secret
        self._prices = prices
        self._trouble = trouble
        self.bill = 0

    def __call__(self, request: ChatRequest) -> ChatAnswer | Exception:
        if self._chance.random() < self._trouble:
            return RateLimitError("HTTP 429: slow down", retry_after=1.0)
        sent = (
            f"{request.system}{request.user}{msgspec.json.encode(request.answer_schema).decode()}"
        )
        asked = len(sent.encode()) + self._chance.randrange(ADDED)
        cached = self._chance.choice([0, asked // 2])
        said = int(request.max_output_tokens * self._chance.uniform(0.2, 1))
        self.bill += cost_micro_usd(asked, said, self._prices, cached_tokens=cached)
        if self._chance.random() < self._trouble:
            return UnknownOutcomeError("cut")
        return ChatAnswer(
            text=right_answer({"messages": [{"content": request.user}]}),
            prompt_tokens=asked,
            cached_tokens=cached,
            completion_tokens=said,
            reasoning_tokens=said // 2,
            service_tier=request.options.service_tier or "default",
        )


def _left(err: BudgetExceededError, budget: float, spent: int) -> tuple[int, int]:
    """Return what is left of a budget, and what the next request might have cost."""
    found = _NEXT.search(str(err))
    assert found, err
    return int(Decimal(repr(budget)) * MILLION) - spent, int(Decimal(found[1]) * MILLION)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 10**6),
    budget=st.floats(0.0, 4.0),
    pack=st.sampled_from([1, 7, 20]),
    tier=st.sampled_from([None, "flex"]),
    trouble=st.sampled_from([0.0, 0.2]),
    length=st.sampled_from([5, 400, 2_000]),
)
def test_no_budget_is_exceeded_and_less_than_a_request_is_left(  # noqa: PLR0913 - what is drawn
    *, seed: int, budget: float, pack: int, tier: str | None, trouble: float, length: int
) -> None:
    given_settings = OpenAISettings(
        base_url="http://127.0.0.1:9/v1",
        model="gpt-5-mini",
        concurrency=16,
        pack=pack,
        service_tier=tier,
        **PRICES,
    )
    clock = FakeClock(most=10**6)
    store = MemoryLimits(clock)
    terms = limit_key(given_settings, LimitsSettings(budget_usd=budget))
    policy = label_policy(given_settings)
    biller = Biller(seed, prices=policy.prices_of(tier or "default"), trouble=trouble)
    labeller = Labeller(
        FakeChatModel(biller), NoLedger(), SharedLimiter(store, terms, clock), clock, policy
    )
    texts = [f"good {number} {RARE * (length // 3)}" for number in range(150)]
    ended: BudgetExceededError | None = None
    try:
        outcomes = asyncio.run(labeller.label(rows(texts)))
        assert len(outcomes) == len(texts)
    except BudgetExceededError as err:
        ended = err
    spent = store.spent.get("", 0)
    assert biller.bill <= spent <= budget * MILLION
    if ended is not None:
        left, needed = _left(ended, budget, spent)
        assert 0 <= left < needed


@pytest.mark.anyio
async def test_over_http_the_endpoint_bills_no_more_than_the_budget() -> None:
    bill = 0

    def answer(_: int, request: Request) -> Reply:
        nonlocal bill
        asked, said = len(str(request["messages"]).encode()), request["max_completion_tokens"]
        bill += cost_micro_usd(asked, said, FULL)
        usage = {"prompt_tokens": asked, "completion_tokens": said}
        return reply({"usage": usage}, request)

    texts = [f"good {number} {RARE * 200}" for number in range(300)]
    with case_endpoint(answer) as endpoint:
        async with wired(endpoint.url, budget_usd=1.0, pack=5, **PRICES) as on:
            with pytest.raises(BudgetExceededError) as raised:
                await on.label(texts)
    left, needed = _left(raised.value, 1.0, on.spent)
    assert bill <= on.spent <= MILLION
    assert 0 <= left < needed
