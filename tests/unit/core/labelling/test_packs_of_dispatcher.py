"""Reviews share requests, but not each other's fate."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.costs import Prices
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.null_objects import NoLimit
from reviewstream.core.labelling.packs import overhead, tokens_of
from reviewstream.core.labelling.ports import RateLimiter
from reviewstream.core.labelling.probe import PROBE_TEXT
from reviewstream.core.labelling.prompts import PROMPT_VERSION
from reviewstream.core.records.reviews import LabelledReview, Reason, RejectedReview, Sentiment
from reviewstream.errors import (
    BudgetExceededError,
    PermanentError,
    RateLimitError,
    TransientError,
    UnknownOutcomeError,
)
from reviewstream.testing import FakeChatModel, FakeClock, MemoryLedger, judging
from tests.unit.core.labelling.test_labeller import _reviews

Outcomes = list[LabelledReview | RejectedReview]
Spoil = Callable[[ChatAnswer], ChatAnswer | Exception]

PRICES: Final = Prices.from_usd(prompt=1, completion=2)


def sentiment_of(text: str) -> Sentiment:
    return list(Sentiment)[len(text) % 3]


HONEST: Final = judging(sentiment_of)


def texts_of(request: ChatRequest) -> list[str]:
    return [one["text"] for one in msgspec.json.decode(request.user)["reviews"]]


def relabelled(change: Callable[[list[dict[str, Any]]], Any]) -> Spoil:
    """Return what spoils the list of labels in an answer."""

    def spoil(answer: ChatAnswer) -> ChatAnswer:
        content = msgspec.json.decode(answer.text)
        change(content["labels"])
        return structs.replace(answer, text=msgspec.json.encode(content).decode())

    return spoil


SPOILT: Final[dict[str, tuple[Spoil, Reason]]] = {
    "missing": (relabelled(lambda labels: labels.pop()), Reason.MODEL_BAD_ANSWER),
    "doubled": (relabelled(lambda labels: labels.append(labels[0])), Reason.MODEL_BAD_ANSWER),
    "foreign": (relabelled(lambda labels: labels[0].update(id="x")), Reason.MODEL_BAD_ANSWER),
    "off the list": (
        relabelled(lambda labels: labels[0].update(sentiment="GLAD")),
        Reason.MODEL_BAD_ANSWER,
    ),
    "cut short": (
        lambda answer: structs.replace(answer, finish_reason="length"),
        Reason.MODEL_BAD_ANSWER,
    ),
    "all reasoning": (
        lambda answer: structs.replace(
            answer,
            text="",
            finish_reason="length",
            completion_tokens=10**9,
            reasoning_tokens=10**9,
        ),
        Reason.MODEL_BAD_ANSWER,
    ),
    "refused": (lambda answer: structs.replace(answer, refusal="no"), Reason.MODEL_REFUSED),
    "too long": (lambda _: PermanentError("HTTP 400: too long"), Reason.MODEL_BAD_REQUEST),
    "fails": (lambda _: TransientError("HTTP 500"), Reason.MODEL_UNAVAILABLE),
}


def spoiling(bad: dict[str, str]) -> FakeChatModel:
    """Return a model whose every answer about a bad text is spoilt in that text's way."""

    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        honest = HONEST(request)
        assert isinstance(honest, ChatAnswer)
        for text in texts_of(request):
            if text in bad:
                return SPOILT[bad[text]][0](honest)
        return honest

    return FakeChatModel(answer)


def label(
    model: FakeChatModel,
    texts: list[str],
    *,
    ledger: MemoryLedger | None = None,
    limiter: RateLimiter | None = None,
    **policy: Any,
) -> Outcomes:
    labeller = Labeller(
        model,
        ledger or MemoryLedger(),
        limiter or NoLimit(),
        FakeClock(),
        LabelPolicy(**{"model": "m", "prices": PRICES, "startup_timeout": 1e9, **policy}),
    )
    return asyncio.run(labeller.label(_reviews(*texts)))


@pytest.mark.parametrize("way", SPOILT)
@pytest.mark.parametrize("place", [0, 7, 19])
def test_one_bad_review_is_rejected_alone(way: str, place: int) -> None:
    texts = [f"text {number}" for number in range(20)]
    model = spoiling({texts[place]: way})
    outcomes = label(model, texts)
    [rejected] = [one for one in outcomes if isinstance(one, RejectedReview)]
    assert rejected.origin.offset == place
    assert rejected.reason is SPOILT[way][1]
    labelled = [one for one in outcomes if isinstance(one, LabelledReview)]
    assert len(labelled) == 19
    assert all(one.sentiment is sentiment_of(one.text) for one in labelled)
    asked = Counter(text for request in model.requests for text in texts_of(request))
    assert rejected.attempts == asked[texts[place]]


@pytest.mark.parametrize("auto", [frozenset(), frozenset({"hidden_tokens_per_label"})])
def test_a_text_that_uses_up_all_room_by_reasoning_costs_no_other_its_label(
    auto: frozenset[str], caplog: pytest.LogCaptureFixture
) -> None:
    texts = [f"text {number}" for number in range(20)]
    outcomes = label(spoiling({"text 3": "all reasoning"}), texts, auto=auto)
    assert [one.origin.offset for one in outcomes if isinstance(one, RejectedReview)] == [3]
    assert "largest ceiling" in caplog.text
    assert "openai.reasoning_effort" in caplog.text


@given(
    texts=st.lists(st.text(max_size=8), unique=True, max_size=40),
    bad=st.dictionaries(st.integers(0, 39), st.sampled_from(sorted(SPOILT)), max_size=4),
    pack=st.integers(1, 9),
    room=st.integers(0, 300),
    concurrency=st.integers(1, 4),
)
@settings(deadline=None)
def test_every_review_comes_back_in_its_place_with_its_own_label(
    texts: list[str], bad: dict[int, str], pack: int, room: int, concurrency: int
) -> None:
    ways = {texts[place]: way for place, way in bad.items() if place < len(texts)}
    model, ledger = spoiling(ways), MemoryLedger()
    ceiling = overhead(PROMPT_VERSION) + room
    outcomes = label(
        model,
        texts,
        ledger=ledger,
        pack=pack,
        max_pack_tokens=ceiling,
        concurrency=concurrency,
    )
    assert [one.origin.offset for one in outcomes] == list(range(len(texts)))
    assert model.peak <= concurrency
    for text, outcome in zip(texts, outcomes, strict=True):
        if isinstance(outcome, LabelledReview):
            assert text not in ways
            assert (outcome.text, outcome.sentiment) == (text, sentiment_of(text))
        else:
            assert outcome.reason is SPOILT[ways[text]][1]
    for request in model.requests:
        sent = texts_of(request)
        assert len(sent) <= pack
        assert len(sent) == 1 or sum(map(tokens_of, sent)) <= room
    assert len(ledger.labels) == len(texts) - len(ways)
    assert ledger.claimed == set()


@given(
    count=st.integers(1, 40),
    pack=st.integers(1, 20),
    script=st.lists(
        st.sampled_from(["", "missing", "refused", "cut short", "too long", "lost", "no usage"]),
        max_size=60,
    ),
)
@settings(deadline=None)
def test_what_the_records_cost_adds_up_to_what_was_charged(
    count: int, pack: int, script: list[str]
) -> None:
    ways = iter(script)
    model = FakeChatModel(lambda request: _spoilt_in_turn(request, next(ways, "")))
    limiter = Counting()
    texts = [f"text {number}" for number in range(count)]
    outcomes = label(model, texts, limiter=limiter, pack=pack)
    costs = [
        one.cost_micro_usd if isinstance(one, RejectedReview) else one.provenance.cost_micro_usd
        for one in outcomes
    ]
    assert sum(costs) == limiter.micro_usd


def _spoilt_in_turn(request: ChatRequest, way: str) -> ChatAnswer | Exception:
    """Spoil an answer, but for one about the probe: if that is bad too, the run ends."""
    honest = HONEST(request)
    assert isinstance(honest, ChatAnswer)
    if way == "lost":
        return UnknownOutcomeError("no answer in 30 s")
    if way == "no usage":
        return structs.replace(honest, has_usage=False)
    return honest if not way or texts_of(request) == [PROBE_TEXT] else SPOILT[way][0](honest)


class Counting(NoLimit):
    """`RateLimiter` that adds up what is settled."""

    def __init__(self) -> None:
        self.micro_usd = 0

    def settle(self, reserved: Amount, used: Amount) -> None:
        del reserved
        self.micro_usd += used.micro_usd


def test_twenty_reviews_are_one_request() -> None:
    model = FakeChatModel(HONEST)
    label(model, [f"text {number}" for number in range(41)])
    assert [len(texts_of(request)) for request in model.requests] == [20, 20, 1]


@given(outage=st.integers(1, 60), concurrency=st.integers(1, 5), pack=st.integers(1, 6))
@settings(deadline=None)
def test_an_outage_of_whatever_length_costs_no_review(
    outage: int, concurrency: int, pack: int
) -> None:
    left = outage

    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        nonlocal left
        left -= 1
        return TransientError("HTTP 503") if left >= 0 else HONEST(request)

    texts = [f"text {number}" for number in range(12)]
    outcomes = label(FakeChatModel(answer), texts, concurrency=concurrency, pack=pack)
    assert [type(one) for one in outcomes] == [LabelledReview] * 12


def test_in_an_outage_nothing_but_the_probe_is_sent() -> None:
    left = 50

    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        nonlocal left
        left -= 1
        return TransientError("HTTP 503") if left >= 0 else HONEST(request)

    model = FakeChatModel(answer)
    label(model, [f"text {number}" for number in range(10)], concurrency=1, pack=1)
    asked = Counter(text for request in model.requests for text in texts_of(request))
    assert asked[PROBE_TEXT] == 46  # five failures were enough, and the last one found it in order
    assert set(asked.values()) == {46, 6, 1}


@pytest.mark.parametrize(("max_attempts", "times"), [(9, 3), (3, 3), (2, 2)])
def test_a_pack_that_fails_three_times_is_halved(max_attempts: int, times: int) -> None:
    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        fails = len(texts_of(request)) > 1
        return TransientError("HTTP 503") if fails else HONEST(request)

    model = FakeChatModel(answer)
    outcomes = label(model, ["one", "two"], max_attempts=max_attempts)
    assert all(isinstance(one, LabelledReview) for one in outcomes)
    assert [len(texts_of(request)) for request in model.requests].count(2) == times


def test_a_pack_that_the_rate_never_admits_is_split() -> None:
    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        big = len(texts_of(request)) > 5
        return RateLimitError("HTTP 429: too large") if big else HONEST(request)

    model = FakeChatModel(answer)
    outcomes = label(model, [f"text {number}" for number in range(20)], max_attempts=2)
    assert all(isinstance(one, LabelledReview) for one in outcomes)
    assert [len(texts_of(request)) for request in model.requests] == [
        20,
        20,
        10,
        10,
        5,
        5,
        10,
        10,
        5,
        5,
    ]


class Told(NoLimit):
    """`RateLimiter` that knows what the endpoint allows."""

    def __init__(self, tokens_per_minute: float) -> None:
        self.tokens_per_minute = tokens_per_minute


def test_a_review_larger_than_a_minutes_tokens_is_rejected_with_the_endpoints_words() -> None:
    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        big = max(map(len, texts_of(request))) > 400
        return RateLimitError("HTTP 429: too large") if big else HONEST(request)

    model = FakeChatModel(answer)
    outcomes = label(model, ["text", "long " * 200], limiter=Told(500), max_attempts=3)
    assert isinstance(outcomes[0], LabelledReview)
    rejected = outcomes[1]
    assert isinstance(rejected, RejectedReview)
    assert (rejected.reason, rejected.attempts) == (Reason.MODEL_BAD_REQUEST, 3)
    assert rejected.detail == "HTTP 429: too large"


@given(throttles=st.integers(1, 300), pack=st.integers(1, 5))
@settings(deadline=None)
def test_no_review_is_given_up_for_its_rate_however_long_that_takes(
    throttles: int, pack: int
) -> None:
    left = throttles

    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        nonlocal left
        left -= 1
        return RateLimitError("HTTP 429") if left >= 0 else HONEST(request)

    outcomes = label(FakeChatModel(answer), [f"text {n}" for n in range(5)], pack=pack)
    assert [type(one) for one in outcomes] == [LabelledReview] * 5


class SpentAfter(NoLimit):
    """`RateLimiter` whose budget is enough for some requests."""

    def __init__(self, requests: int) -> None:
        self.left = requests

    async def acquire(self, most: Amount) -> None:
        del most
        self.left -= 1
        if self.left < 0:
            raise BudgetExceededError("the budget is spent")


@given(budget=st.integers(0, 12), concurrency=st.integers(1, 6))
@settings(deadline=None)
def test_when_the_budget_is_spent_what_is_in_flight_is_finished_and_remembered(
    budget: int, concurrency: int
) -> None:
    model, ledger = FakeChatModel(HONEST), MemoryLedger()
    texts = [f"text {number}" for number in range(26)]
    with pytest.raises(BudgetExceededError, match="the budget is spent"):
        label(
            model,
            texts,
            ledger=ledger,
            limiter=SpentAfter(budget),
            pack=2,
            concurrency=concurrency,
        )
    assert len(model.requests) == budget
    assert len(ledger.labels) == 2 * budget
    assert ledger.claimed == set()
    assert model.in_flight == 0
    outcomes = label(model, texts, ledger=ledger, pack=2)
    assert [one.origin.offset for one in outcomes] == list(range(26))
    asked = Counter(text for request in model.requests for text in texts_of(request))
    assert asked == Counter(texts)
