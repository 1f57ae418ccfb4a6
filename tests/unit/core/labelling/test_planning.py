"""Planning: what would be asked, without asking."""

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.costs import Prices
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.labelling.limits.operations import LimitKey
from reviewstream.core.labelling.limits.shared_limiter import SharedLimiter
from reviewstream.core.labelling.null_objects import NoLedger
from reviewstream.core.labelling.planning import (
    ENOUGH,
    SAMPLE,
    AnswerTokens,
    Plan,
    Planner,
    TierPrices,
    answer_tokens,
    minutes,
)
from reviewstream.core.labelling.ports import LedgerEntry
from reviewstream.core.labelling.prompts import MAX_TEXT_TOKENS
from reviewstream.core.records.reviews import Origin, Review, Sentiment
from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.testing import FakeChatModel, FakeClock, MemoryLedger, MemoryLimits

POLICY = LabelPolicy(
    model="m", pack=3, concurrency=2, prices=Prices.from_usd(prompt=1, completion=2)
)
ANSWERS = AnswerTokens(per_label=10.0, per_answer=4.0)
ALL = {"max_rows": 1_000, "partitions": 1}

texts = st.lists(st.sampled_from(["a", "b", "c", "d", "e", ""]), max_size=40)


class SharedClock(FakeClock):
    """Its time passes for all who sleep at once."""

    def __init__(self) -> None:
        super().__init__()
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []

    async def sleep(self, seconds: float) -> None:
        woken = asyncio.get_running_loop().create_future()
        wake = self.now() + timedelta(seconds=seconds)
        heappush(self._sleepers, (wake, id(woken), woken))
        await woken

    async def pass_time(self) -> None:
        while True:
            for _ in range(100):  # whoever is awake goes on until he sleeps
                await asyncio.sleep(0)
            if self._sleepers:
                self._now, _, woken = heappop(self._sleepers)
                if not woken.done():
                    woken.set_result(None)


def _line(text: str) -> Line:
    fields = {"review_id": "r", "user_id": "u", "business_id": "b", "stars": 3.0, "text": text}
    return Line(0, json.dumps(fields | {"date": "2020-01-01 00:00:00"}).encode())


def _plan(*given_texts: str, read: Mapping[str, int] = ALL, memory: bool = True) -> Plan:
    planner = Planner(POLICY, NoLedger(), ANSWERS, remembers=memory)
    return planner.plan(map(_line, given_texts), **read)


def _entry(tokens: int) -> LedgerEntry:
    return LedgerEntry(
        sentiment=Sentiment.NEUTRAL,
        confidence=None,
        model="m",
        prompt_tokens=1,
        completion_tokens=tokens,
        cost_micro_usd=1,
        request_id=None,
        labelled_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


def test_an_empty_file_takes_nothing() -> None:
    assert _plan() == Plan()
    assert minutes(Plan(), RateLimits(requests_per_minute=1)) == 0


def test_lines_that_are_no_reviews_cost_nothing() -> None:
    lines: list[Line | Oversized] = [
        Line(0, b"{"),
        Line(1, b" \t\r"),
        Oversized(2, 9_999_999, b""),
        _line("fine"),
    ]
    plan = Planner(POLICY, NoLedger(), ANSWERS, remembers=True).plan(lines, **ALL)
    assert (plan.lines, plan.bad_lines, plan.to_ask, plan.requests) == (3, 2, 1, 1)


@given(texts, st.sampled_from([True, False]), st.integers(1, 12), st.integers(1, 3))
def test_every_line_is_counted_in_one_place(
    given_texts: list[str],
    memory: Any,
    rows: int,
    partitions: int,
) -> None:
    read = {"max_rows": rows, "partitions": partitions}
    plan = _plan(*given_texts, read=read, memory=memory)
    assert plan.lines == len(given_texts) == plan.copies + plan.to_ask
    assert plan.to_ask >= len(set(given_texts))
    assert plan.to_ask == len(set(given_texts)) or not memory
    assert plan.to_ask / POLICY.pack <= plan.requests <= plan.to_ask


def test_a_text_that_is_cut_is_told_and_goes_alone_if_it_is_large() -> None:
    plan = _plan("a", "x" * 4 * (MAX_TEXT_TOKENS + 1), "b")
    assert (plan.truncated, plan.requests) == (1, 1)
    small = LabelPolicy(model="m", pack=3, max_pack_tokens=2_000)
    lines = [_line("a"), _line("x" * 20_000), _line("b")]
    assert Planner(small, NoLedger(), ANSWERS, remembers=True).plan(lines, **ALL).requests == 3


def test_what_the_ledger_knows_is_free() -> None:
    ledger = MemoryLedger()
    ledger.record({POLICY.key("a"): _entry(9)})
    planner = Planner(POLICY, ledger, ANSWERS, remembers=True)
    plan = planner.plan(map(_line, "aab"), **ALL)
    assert (plan.in_ledger, plan.copies, plan.to_ask) == (1, 1, 1)


def test_the_price_is_that_of_questions_and_answers() -> None:
    plan = _plan("a", "b", "c", "d")
    assert plan.requests == 2
    assert plan.completion_tokens == 2 * 4 + 4 * 10
    assert plan.cost_micro_usd == plan.prompt_tokens + 2 * plan.completion_tokens


@pytest.mark.parametrize(
    ("tier", "factor", "asked", "flex"),
    [
        (None, None, 2, 1),
        ("default", 3, 2, 1),
        ("flex", None, 1, 1),
        ("flex", 1.5, 3, 3),
        ("priority", 2, 4, 1),
        ("priority", None, None, 1),
    ],
)
def test_each_tier_has_its_price(
    tier: str | None, factor: float | None, asked: int | None, flex: int
) -> None:
    prices = TierPrices.of(
        Prices(prompt=2, completion=2), tier=tier, tier_price_factor=factor, flex_factor=0.5
    )
    assert prices.asked == (None if asked is None else Prices(prompt=asked, completion=asked))
    assert prices.standard == Prices(prompt=2, completion=2)
    assert prices.flex == Prices(prompt=flex, completion=flex)


def test_a_plan_has_the_cost_of_each_tier() -> None:
    prices = TierPrices.of(POLICY.prices, tier="priority", tier_price_factor=2)
    planner = Planner(POLICY, NoLedger(), ANSWERS, remembers=True, prices=prices)
    plan = planner.plan(map(_line, "abcd"), **ALL)
    standard = plan.prompt_tokens + 2 * plan.completion_tokens
    assert (plan.standard_micro_usd, plan.cost_micro_usd) == (standard, 2 * standard)
    assert standard / 2 <= plan.flex_micro_usd <= standard / 2 + plan.requests


@pytest.mark.parametrize(("labels", "known"), [(ENOUGH - 1, 0), (ENOUGH, ENOUGH)])
def test_what_a_label_takes_is_learnt_from_enough_of_them(labels: int, known: int) -> None:
    ledger = MemoryLedger()
    ledger.record({POLICY.key(str(number)): _entry(100 + number % 2) for number in range(labels)})
    answers = answer_tokens(ledger, POLICY)
    assert answers.labels == known
    assert answers.per_label == (100.5 if known else 15)


@pytest.mark.parametrize(
    ("policy", "tokens"),
    [
        (LabelPolicy(model="other"), 50),
        (LabelPolicy(model="m", prompt_version=2), 50),
        (POLICY, 0),
    ],
)
def test_nothing_is_learnt_from_another_model_another_prompt_or_no_figures(
    policy: LabelPolicy, tokens: int
) -> None:
    ledger = MemoryLedger()
    ledger.record({policy.key(str(number)): _entry(tokens) for number in range(2 * ENOUGH)})
    assert answer_tokens(ledger, POLICY).labels == 0


def test_of_a_large_ledger_a_sample_is_enough() -> None:
    ledger = MemoryLedger()
    ledger.record({POLICY.key(str(number)): _entry(7) for number in range(SAMPLE + 1)})
    assert answer_tokens(ledger, POLICY) == AnswerTokens(per_label=7.0, labels=SAMPLE)


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, None),
        ({"requests_per_minute": 10}, 10 / 0.97),
        ({"tokens_per_minute": 1_000}, 5 / 0.97),
        ({"requests_per_minute": 10, "tokens_per_minute": 1_000}, 10 / 0.97),
        ({"requests_per_minute": 100, "tokens_per_minute": 1_000}, 5 / 0.97),
    ],
)
def test_the_limit_that_is_met_first_says_how_long_it_takes(
    limits: dict[str, Any], expected: float | None
) -> None:
    plan = Plan(requests=100, prompt_tokens=4_000, completion_tokens=1_000)
    assert minutes(plan, RateLimits(**limits)) == (
        None if expected is None else pytest.approx(expected)
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    "shared", [RateLimits(requests_per_minute=60), RateLimits(tokens_per_minute=20_000)]
)
async def test_a_run_under_a_limit_takes_the_minutes_that_were_planned(
    shared: RateLimits,
) -> None:
    policy = LabelPolicy(model="m", pack=5, concurrency=8)
    distinct = [f"The soup was cold, {number} times." for number in range(1_000)]
    planner = Planner(policy, NoLedger(), answer_tokens(None, policy), remembers=True)
    plan = planner.plan(map(_line, distinct), **ALL)

    clock = SharedClock()
    limiter = SharedLimiter(MemoryLimits(clock), LimitKey(model="m", limits=shared), clock)
    labeller = Labeller(FakeChatModel(), NoLedger(), limiter, clock, policy)
    began = clock.now()
    async with asyncio.TaskGroup() as group:
        passing = group.create_task(clock.pass_time())
        await labeller.label([(_review(text), Origin(source="s", offset=0)) for text in distinct])
        passing.cancel()
    taken = (clock.now() - began).total_seconds() / 60
    assert minutes(plan, shared) == pytest.approx(taken, rel=0.1)


def _review(text: str) -> Review:
    return Review(
        review_id="r",
        user_id="u",
        business_id="b",
        stars=3.0,
        text=text,
        written_at=datetime(2020, 1, 1, tzinfo=UTC),
    )
