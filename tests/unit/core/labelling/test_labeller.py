"""Labelling a batch: every review comes back, whatever the model does."""

import asyncio
import hashlib
import json
import math
from collections import Counter, deque
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.app import label_policy
from reviewstream.core.labelling.ceilings import MAX_OVER, prompt_ceiling
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest, RateLimits
from reviewstream.core.labelling.costs import Prices, cost_micro_usd
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.ports import LabelLedger, RateLimiter
from reviewstream.core.labelling.probe import PROBE_TEXT
from reviewstream.core.labelling.prompts import (
    BYTES_PER_TOKEN,
    MAX_TEXT_TOKENS,
    PROMPT_VERSION,
    build_prompt,
)
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.parsing import parse_review
from reviewstream.core.records.reviews import (
    LabelledReview,
    Origin,
    Reason,
    RejectedReview,
    Review,
    Sentiment,
    Stage,
)
from reviewstream.errors import (
    BudgetExceededError,
    ConfigError,
    FatalError,
    PermanentError,
    RateLimitError,
    TransientError,
    UnknownOutcomeError,
)
from reviewstream.settings import OpenAISettings
from reviewstream.testing import FakeChatModel, FakeClock, MemoryLedger, NoLedger, NoLimit

NOW = datetime(2026, 11, 22, 12, 30, 15, 123_456, tzinfo=UTC)
POLICY = LabelPolicy(model="m", pack=1, prices=Prices.from_usd(prompt=1, completion=2))
FINE = ChatAnswer(
    text='{"labels":[{"id":"0","sentiment":"NEGATIVE","confidence":0.75}]}',
    model="m-2026",
    request_id="req_1",
    prompt_tokens=100,
    completion_tokens=10,
)
BAD = ChatAnswer(text="POSITIVE", prompt_tokens=100, completion_tokens=5)
REFUSED = ChatAnswer(text="", refusal="no", prompt_tokens=100, completion_tokens=5)
AWAY = TransientError("HTTP 503: overloaded")


def _review(number: int, text: str) -> tuple[Review, Origin]:
    review = Review(
        review_id=f"r{number}",
        user_id="u",
        business_id="b",
        stars=3.0,
        text=text,
        written_at=datetime(2020, 1, 1, tzinfo=UTC),
    )
    return review, Origin(source="s", offset=number)


def _reviews(*texts: str) -> list[tuple[Review, Origin]]:
    return [_review(number, text) for number, text in enumerate(texts)]


def _text(request: ChatRequest) -> str:
    (review,) = json.loads(request.user)["reviews"]
    text: str = review["text"]
    return text


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _scripted(*answers: ChatAnswer | Exception) -> FakeChatModel:
    """Return a model that gives these answers, the last one for ever, and the probe a label."""
    rest = deque(answers)

    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        if _text(request) == PROBE_TEXT:
            return FINE
        return rest.popleft() if len(rest) > 1 else rest[0]

    return FakeChatModel(answer)


def _labeller(
    model: FakeChatModel,
    policy: LabelPolicy = POLICY,
    *,
    ledger: LabelLedger | None = None,
    limiter: RateLimiter | None = None,
    clock: FakeClock | None = None,
) -> Labeller:
    return Labeller(
        model, ledger or NoLedger(), limiter or NoLimit(), clock or FakeClock(NOW), policy
    )


async def _label_one(model: FakeChatModel, **more: Any) -> LabelledReview | RejectedReview:
    (outcome,) = await _labeller(model, **more).label(_reviews("cold soup"))
    return outcome


def _rejected(outcome: LabelledReview | RejectedReview) -> RejectedReview:
    assert isinstance(outcome, RejectedReview)
    return outcome


def _labelled(outcome: LabelledReview | RejectedReview) -> LabelledReview:
    assert isinstance(outcome, LabelledReview)
    return outcome


@pytest.mark.anyio
async def test_a_label_carries_the_review_the_opinion_and_where_it_came_from() -> None:
    outcome = _labelled(await _label_one(_scripted(FINE)))
    review, origin = _review(0, "cold soup")
    assert {name: getattr(outcome, name) for name in review.__struct_fields__} == {
        name: getattr(review, name) for name in review.__struct_fields__
    }
    assert outcome.origin == origin
    assert (outcome.sentiment, outcome.confidence) == (Sentiment.NEGATIVE, 0.75)
    provenance = outcome.provenance
    assert (provenance.model, provenance.request_id) == ("m-2026", "req_1")
    assert (provenance.prompt_version, provenance.attempts) == (PROMPT_VERSION, 1)
    assert (provenance.prompt_tokens, provenance.completion_tokens) == (100, 10)
    assert provenance.cost_micro_usd == 120
    assert not provenance.from_ledger
    assert not provenance.truncated
    assert provenance.labelled_at == NOW.replace(microsecond=123_000)


@pytest.mark.anyio
async def test_an_endpoint_that_does_not_name_its_model_is_given_the_name_asked_for() -> None:
    silent = ChatAnswer(text=FINE.text)
    assert _labelled(await _label_one(_scripted(silent))).provenance.model == "m"


@pytest.mark.anyio
async def test_the_generation_is_written_into_the_label() -> None:
    policy = LabelPolicy(model="m", generation=7)
    assert _labelled(await _label_one(_scripted(FINE), policy=policy)).provenance.generation == 7


@pytest.mark.anyio
@pytest.mark.parametrize("text", ["", "x" * 65_536])
async def test_an_empty_text_is_asked_about_and_a_long_one_is_flagged(text: str) -> None:
    (outcome,) = await _labeller(_scripted(FINE)).label(_reviews(text))
    assert _labelled(outcome).provenance.truncated == bool(text)


def _sent(text: str) -> str:
    return text.encode()[: MAX_TEXT_TOKENS * BYTES_PER_TOKEN].decode(errors="ignore")


@pytest.mark.anyio
@given(st.sampled_from(["a", "é", "語", "😀"]), st.integers(-4, 4))
@example("a", 0)
@example("a", 1)
async def test_a_label_is_flagged_if_and_only_if_the_model_saw_less_than_the_whole_text(
    character: str, more: int
) -> None:
    text = character * (MAX_TEXT_TOKENS * BYTES_PER_TOKEN // len(character.encode()) + more)
    model = _scripted(FINE)
    (outcome,) = await _labeller(model).label(_reviews(text))
    assert _text(model.requests[0]) == _sent(text)
    assert _labelled(outcome).provenance.truncated == (_sent(text) != text)
    assert _labelled(outcome).text == text


@pytest.mark.anyio
async def test_the_policy_says_which_prompt_is_used_and_how_long_an_answer_may_be() -> None:
    settings = OpenAISettings(
        prompt_version=2, max_output_tokens_per_label=5_000, reasoning_effort="default"
    )
    model = FakeChatModel()
    outcome = await _label_one(model, policy=label_policy(settings))
    assert _labelled(outcome).provenance.prompt_version == 2
    (request,) = model.requests
    assert request == build_prompt(["cold soup"], version=2, tokens_per_label=5_000).request


def test_a_policy_with_an_unknown_prompt_is_an_error() -> None:
    with pytest.raises(ConfigError, match="prompt_version"):
        label_policy(OpenAISettings(prompt_version=99))


@pytest.mark.anyio
async def test_no_reviews_ask_for_nothing() -> None:
    model = _scripted(FINE)
    assert await _labeller(model).label([]) == []
    assert model.requests == []


@pytest.mark.anyio
async def test_after_a_passing_failure_the_model_is_asked_again() -> None:
    clock = FakeClock(NOW)
    outcome = _labelled(await _label_one(_scripted(AWAY, AWAY, FINE), clock=clock))
    assert outcome.provenance.attempts == 3
    assert clock.sleeps == [0.5, 1.0]


@pytest.mark.anyio
async def test_a_wait_that_was_asked_for_is_kept_to() -> None:
    clock = FakeClock(NOW, jitter=0.5)
    await _label_one(_scripted(TransientError("busy", retry_after=7), FINE), clock=clock)
    assert clock.sleeps == [8.75]


@pytest.mark.anyio
@pytest.mark.parametrize("asked", [3600.0, math.inf])
async def test_a_wait_is_cut_to_the_longest_allowed(asked: float) -> None:
    clock = FakeClock(NOW, jitter=0.9)
    await _label_one(_scripted(TransientError("busy", retry_after=asked), FINE), clock=clock)
    assert clock.sleeps == [POLICY.max_wait]


@pytest.mark.anyio
async def test_our_own_wait_is_cut_to_the_longest_allowed_too() -> None:
    clock = FakeClock(NOW)
    policy = LabelPolicy(model="m", max_wait=0.7, max_attempts=4)
    await _label_one(_scripted(AWAY), policy=policy, clock=clock)
    assert clock.sleeps[:4] == [0.5, 0.7, 0.7, 0.7]
    assert max(clock.sleeps) == 0.7


@pytest.mark.anyio
async def test_our_own_wait_is_half_a_minute_at_most() -> None:
    clock = FakeClock(NOW)
    answers = [AWAY, RateLimitError("HTTP 429")] * 9  # the second is an answer: no outage
    await _label_one(_scripted(*answers, FINE), policy=_patient(99), clock=clock)
    assert max(clock.sleeps) == 30.0


def _patient(attempts: int) -> LabelPolicy:
    return structs.replace(POLICY, max_attempts=attempts)


@pytest.mark.anyio
async def test_a_model_that_stays_away_rejects_the_review_after_the_last_attempt() -> None:
    model = _scripted(AWAY)
    outcome = _rejected(await _label_one(model))
    assert outcome.reason is Reason.MODEL_UNAVAILABLE
    assert outcome.stage is Stage.LABEL
    assert "HTTP 503: overloaded" in outcome.detail
    asked = Counter(map(_text, model.requests))
    assert outcome.attempts == asked["cold soup"] >= POLICY.max_attempts
    assert asked["cold soup"] < 3 * POLICY.max_attempts
    assert asked[PROBE_TEXT] > 1, "the probe is answered, again and again"


@pytest.mark.anyio
async def test_a_rejected_review_can_be_read_back_from_its_dead_letter() -> None:
    outcome = _rejected(await _label_one(_scripted(PermanentError("too long"))))
    review, origin = _review(0, "cold soup")
    assert parse_review(outcome.raw) == Ok(review)
    assert outcome.origin == origin
    assert outcome.rejected_at == NOW.replace(microsecond=123_000)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("answer", "reason"), [(BAD, Reason.MODEL_BAD_ANSWER), (REFUSED, Reason.MODEL_REFUSED)]
)
async def test_a_bad_answer_is_asked_about_once_again_and_no_more(
    answer: ChatAnswer, reason: Reason
) -> None:
    model = _scripted(answer)
    outcome = _rejected(await _label_one(model))
    assert outcome.reason is reason
    asked = Counter(map(_text, model.requests))
    assert outcome.attempts == asked["cold soup"] == 2
    assert asked[PROBE_TEXT] == 1, "no text is rejected for what may be everybody's"


@pytest.mark.anyio
async def test_the_price_of_a_label_includes_the_bad_answer_before_it() -> None:
    outcome = _labelled(await _label_one(_scripted(BAD, AWAY, FINE)))
    provenance = outcome.provenance
    assert (provenance.attempts, provenance.prompt_tokens) == (3, 200)
    assert (provenance.completion_tokens, provenance.cost_micro_usd) == (15, 230)


@pytest.mark.anyio
async def test_a_bad_answer_is_one_of_the_attempts() -> None:
    model = _scripted(BAD, AWAY)
    outcome = _rejected(await _label_one(model, policy=LabelPolicy(model="m", max_attempts=2)))
    assert outcome.attempts == Counter(map(_text, model.requests))["cold soup"] >= 2


@pytest.mark.anyio
async def test_one_attempt_means_one_even_for_a_bad_answer() -> None:
    model = _scripted(BAD)
    await _label_one(model, policy=LabelPolicy(model="m", max_attempts=1))
    assert Counter(map(_text, model.requests))["cold soup"] == 1


@pytest.mark.anyio
async def test_a_refused_request_is_not_repeated() -> None:
    model = _scripted(PermanentError("HTTP 400: too long"))
    outcome = _rejected(await _label_one(model))
    assert (outcome.reason, outcome.attempts) == (Reason.MODEL_BAD_REQUEST, 1)
    assert outcome.detail == "HTTP 400: too long"
    assert Counter(map(_text, model.requests)) == {"cold soup": 1, PROBE_TEXT: 1}


@pytest.mark.anyio
async def test_one_bad_review_costs_its_neighbours_nothing() -> None:
    model = FakeChatModel(lambda request: BAD if _text(request) == "b" else FINE)
    outcomes = await _labeller(model).label(_reviews("a", "b", "c"))
    assert [type(one) for one in outcomes] == [LabelledReview, RejectedReview, LabelledReview]


@pytest.mark.anyio
async def test_a_stop_ends_everything_at_once_and_keeps_its_cause() -> None:
    cause = OSError("vendor")
    stop = FatalError("the quota is spent")
    stop.__cause__ = cause
    model = FakeChatModel(lambda request: stop if _text(request) == "1" else FINE)
    policy = LabelPolicy(model="m", pack=1, concurrency=2)
    with pytest.raises(FatalError, match="quota") as caught:
        await _labeller(model, policy).label(_reviews(*map(str, range(100))))
    assert caught.value.__cause__ is cause
    assert len(model.requests) < 10
    assert model.in_flight == 0


@pytest.mark.anyio
async def test_a_stop_is_told_rather_than_what_failed_beside_it() -> None:
    def answer(request: ChatRequest) -> Exception:
        return FatalError("no key") if _text(request) == "b" else RuntimeError("a bug")

    with pytest.raises(FatalError, match="no key"):
        await _labeller(FakeChatModel(answer)).label(_reviews("a", "b", "c"))


@pytest.mark.anyio
async def test_a_bug_in_a_model_is_not_hidden() -> None:
    with pytest.raises(ZeroDivisionError):
        await _label_one(_scripted(ZeroDivisionError("a bug")))


@pytest.mark.anyio
async def test_identical_texts_are_asked_about_once_and_paid_for_once() -> None:
    model = _scripted(FINE)
    outcomes = await _labeller(model).label(_reviews("same", "other", "same", "same"))
    assert sorted(map(_text, model.requests)) == ["other", "same"]
    paid = [not _labelled(one).provenance.from_ledger for one in outcomes]
    assert paid == [True, True, False, False]
    assert {_labelled(one).provenance.attempts for one in outcomes} == {1}


@pytest.mark.anyio
async def test_a_label_is_in_the_ledger_and_is_not_bought_again() -> None:
    ledger, model = MemoryLedger(), _scripted(FINE)
    first = await _labeller(model, ledger=ledger).label(_reviews("cold soup"))
    again = await _labeller(model, ledger=ledger).label(_reviews("cold soup"))
    assert len(model.requests) == 1
    before, after = _labelled(first[0]).provenance, _labelled(again[0]).provenance
    assert after.from_ledger
    assert (after.labelled_at, after.cost_micro_usd) == (before.labelled_at, before.cost_micro_usd)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "other",
    [
        LabelPolicy(model="n"),
        LabelPolicy(model="m", ledger_name="n"),
        LabelPolicy(model="m", generation=1),
        LabelPolicy(model="n", ledger_name="m"),
    ],
)
async def test_a_label_is_remembered_by_model_and_prompt_not_by_generation(
    other: LabelPolicy,
) -> None:
    ledger, model = MemoryLedger(), _scripted(FINE)
    for policy in (POLICY, other):
        await _labeller(model, policy, ledger=ledger).label(_reviews("cold soup"))
    assert len(model.requests) == (2 if (other.ledger_name or other.model) == "n" else 1)


@pytest.mark.anyio
async def test_nothing_is_asked_about_where_its_label_could_not_be_kept() -> None:
    class Full(MemoryLedger):
        def prove(self) -> None:
            raise ConfigError("the disk is full")

    model = _scripted(FINE)
    with pytest.raises(ConfigError, match="the disk is full"):
        await _label_one(model, ledger=Full())
    assert model.requests == []


@pytest.mark.anyio
async def test_a_review_without_a_label_is_not_in_the_ledger() -> None:
    ledger = MemoryLedger()
    await _label_one(_scripted(BAD), ledger=ledger)
    assert ledger.labels == {}


class _CountingLimit:
    """`RateLimiter` that remembers what it was told."""

    def __init__(self) -> None:
        self.reserved: list[Amount] = []
        self.settled: list[tuple[Amount, Amount]] = []
        self.pauses: list[float | None] = []
        self.limits: list[RateLimits] = []
        self.ends: list[str] = []

    tokens_per_minute: float | None = None

    async def acquire(self, most: Amount) -> None:
        self.reserved.append(most)

    def give_up(self, reserved: Amount) -> None:
        self.reserved.remove(reserved)

    def end(self, why: str) -> None:
        self.ends.append(why)

    async def check(self) -> None:
        if self.ends:
            raise BudgetExceededError(self.ends[0])

    def settle(self, reserved: Amount, used: Amount) -> None:
        self.settled.append((reserved, used))

    def throttled(self, retry_after: float | None) -> None:
        self.pauses.append(retry_after)

    def learn(self, limits: RateLimits) -> None:
        self.limits.append(limits)


@pytest.mark.anyio
async def test_the_limiter_hears_of_every_attempt_what_it_took() -> None:
    limiter = _CountingLimit()
    await _label_one(_scripted(AWAY, BAD, FINE), limiter=limiter)
    prompt = build_prompt(["cold soup"])
    most = prompt_ceiling(prompt.request)
    cost = cost_micro_usd(most, prompt.request.max_output_tokens, POLICY.prices)
    assert cost > 120
    reserved = Amount(tokens=prompt.tokens, micro_usd=cost)
    assert limiter.reserved == [reserved] * 3
    used = [Amount(), Amount(tokens=105, micro_usd=110), Amount(tokens=110, micro_usd=120)]
    assert limiter.settled == [(reserved, one) for one in used]
    assert limiter.pauses == []
    assert limiter.limits == [RateLimits()] * 2, "an outage is no answer"


@pytest.mark.anyio
async def test_the_limiter_hears_of_every_refusal_for_the_rate_and_of_the_limits() -> None:
    limiter, longest = _CountingLimit(), POLICY.max_wait
    told = RateLimits(requests_per_minute=500.0)
    refusals = [RateLimitError("HTTP 429", retry_after=wait) for wait in (None, 1.5, longest + 1)]
    refusals.append(RateLimitError("HTTP 429", requests_per_minute=60.0, tokens_per_minute=9.0))
    await _label_one(_scripted(*refusals, structs.replace(FINE, limits=told)), limiter=limiter)
    assert limiter.pauses == [None, 1.5, longest, None]
    refused = RateLimits(requests_per_minute=60.0, tokens_per_minute=9.0)
    assert limiter.limits == [*[RateLimits()] * 3, refused, told]


@pytest.mark.anyio
async def test_a_request_that_nobody_heard_of_again_stays_charged() -> None:
    limiter = _CountingLimit()
    await _label_one(_scripted(UnknownOutcomeError("no answer in 30 s"), FINE), limiter=limiter)
    [lost, (_, used)] = limiter.settled
    assert lost == (limiter.reserved[0], limiter.reserved[0])
    assert used == Amount(tokens=110, micro_usd=120)


@pytest.mark.anyio
async def test_the_limiter_is_not_told_nonsense() -> None:
    limiter = _CountingLimit()
    boasting = structs.replace(FINE, prompt_tokens=1 << 24, completion_tokens=1 << 24)
    outcome = _labelled(await _label_one(_scripted(boasting), limiter=limiter))
    [(_, used)] = limiter.settled
    found = outcome.provenance
    assert used.tokens == found.prompt_tokens + found.completion_tokens < 3 * MAX_OVER
    assert used.micro_usd == found.cost_micro_usd < 4 * MAX_OVER


@pytest.mark.anyio
async def test_a_spent_budget_stops_before_the_request() -> None:
    class Spent(_CountingLimit):
        async def acquire(self, most: Amount) -> None:
            raise BudgetExceededError(f"the budget is spent ({most})")

    model, limiter = _scripted(FINE), Spent()
    with pytest.raises(BudgetExceededError, match="budget"):
        await _label_one(model, limiter=limiter)
    assert model.requests == []
    assert limiter.settled == []


@pytest.mark.anyio
async def test_a_spent_quota_ends_the_other_tasks_of_the_run_too() -> None:
    limiter = _CountingLimit()
    with pytest.raises(BudgetExceededError):
        await _label_one(_scripted(BudgetExceededError("no quota")), limiter=limiter)
    assert limiter.ends == ["no quota"]
    limiter = _CountingLimit()
    with pytest.raises(FatalError):
        await _label_one(_scripted(FatalError("wrong key")), limiter=limiter)
    assert limiter.ends == []


@pytest.mark.anyio
async def test_what_is_labelled_after_the_end_of_the_run_is_kept_and_not_handed_over() -> None:
    limiter, ledger = _CountingLimit(), MemoryLedger()
    limiter.end("no quota")
    with pytest.raises(BudgetExceededError, match="no quota"):
        await _label_one(_scripted(FINE), limiter=limiter, ledger=ledger)
    assert len(ledger.labels) == 1


@pytest.mark.anyio
async def test_cancelling_leaves_nothing_running_and_nothing_reserved() -> None:
    arrived = asyncio.Event()

    class Hanging(FakeChatModel):
        async def answer(self, request: ChatRequest) -> ChatAnswer:
            arrived.set()
            await asyncio.Event().wait()
            return await super().answer(request)

    limiter, before = _CountingLimit(), asyncio.all_tasks()
    task = asyncio.create_task(_labeller(Hanging(), limiter=limiter).label(_reviews("a", "b")))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert limiter.settled == [(most, most) for most in limiter.reserved]
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("asked", "answered", "cost"),
    [("flex", "flex", 60), ("flex", "default", 120), ("flex", "", 60)],
)
async def test_another_tier_than_the_one_asked_for_is_booked_at_its_price_and_said(
    asked: str, answered: str, cost: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = OpenAISettings(
        service_tier=asked, input_usd_per_million=1, output_usd_per_million=2, model="m"
    )
    model = _scripted(structs.replace(FINE, service_tier=answered))
    outcome = _labelled(await _label_one(model, policy=label_policy(settings)))
    assert outcome.provenance.cost_micro_usd == cost
    assert ("openai.service_tier" in caplog.text) == (answered == "default")


behaviours = st.sampled_from(
    [
        FINE,
        BAD,
        REFUSED,
        ChatAnswer(text=FINE.text, finish_reason="length"),
        ChatAnswer(text=""),
        ChatAnswer(text='{"labels":[{"id":"1","sentiment":"NEUTRAL"}]}'),
        AWAY,
        TransientError("busy", retry_after=3.0),
        PermanentError("too long"),
    ]
)


@given(
    texts=st.lists(st.sampled_from("abcdefghij"), max_size=20),
    script=st.dictionaries(
        st.sampled_from("abcdefghij"), st.lists(behaviours, min_size=1, max_size=4)
    ),
    concurrency=st.integers(1, 5),
    max_attempts=st.integers(1, 4),
)
@settings(deadline=None)
def test_whatever_the_model_does_every_review_comes_back_in_its_place(
    texts: Sequence[str],
    script: dict[str, list[ChatAnswer | Exception]],
    concurrency: int,
    max_attempts: int,
) -> None:
    rest = {text: deque(answers) for text, answers in script.items()}

    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        answers = rest.get(_text(request), deque([FINE]))
        return answers.popleft() if len(answers) > 1 else answers[0]

    model, ledger = FakeChatModel(behave), MemoryLedger()
    policy = LabelPolicy(model="m", pack=1, concurrency=concurrency, max_attempts=max_attempts)
    reviews = _reviews(*texts)
    outcomes = asyncio.run(_labeller(model, policy, ledger=ledger).label(reviews))

    assert [one.origin for one in outcomes] == [origin for _, origin in reviews]
    assert model.peak <= concurrency
    asked = Counter(map(_text, model.requests))
    del asked[PROBE_TEXT]
    assert set(asked) == set(texts)
    assert all(times < max_attempts + 40 for times in asked.values())
    bought = {key.text_sha256 for key in ledger.labels}
    for (review, _), outcome in zip(reviews, outcomes, strict=True):
        assert isinstance(outcome, LabelledReview) == (_sha256(review.text) in bought)
        if isinstance(outcome, LabelledReview):
            assert outcome.sentiment is Sentiment.NEGATIVE
            assert (outcome.review_id, outcome.text) == (review.review_id, review.text)
        else:
            assert parse_review(outcome.raw) == Ok(review)
            assert outcome.attempts == asked[review.text]
