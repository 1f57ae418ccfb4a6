"""Labels a batch of reviews: every one comes back, labelled or rejected, in its place."""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final, Self

from msgspec import Struct, structs

from reviewstream.core.answers import Label, read_answer
from reviewstream.core.backoff import backoff
from reviewstream.core.chat import ChatAnswer, RateLimits
from reviewstream.core.costs import Prices, cost_micro_usd
from reviewstream.core.outcomes import Ok, Rejected
from reviewstream.core.parsing import to_line
from reviewstream.core.prompts import (
    PROMPT_VERSION,
    Prompt,
    as_sent,
    build_prompt,
    is_truncated,
)
from reviewstream.core.records import (
    LabelledReview,
    Origin,
    Provenance,
    Reason,
    RejectedReview,
    Review,
    Stage,
)
from reviewstream.errors import (
    PermanentError,
    ReviewStreamError,
    StopError,
    ThrottledError,
    TransientError,
)
from reviewstream.pipeline.remembering import PatientLedger, ledger_name
from reviewstream.ports import ChatModel, Clock, LabelLedger, LedgerEntry, LedgerKey, RateLimiter
from reviewstream.settings import OpenAISettings

BAD_ANSWERS: Final = 2  # a refusal or an unreadable answer is asked about once again, no more


class LabelPolicy(Struct, frozen=True, kw_only=True):
    """How reviews are labelled.

    Attributes:
        model: As it is asked for.
        ledger_name: What the ledger calls it; empty for the same name.
        prompt_version: A version of `core.prompts`.
        generation: 0 to 999, written into every label.
        concurrency: Requests in flight, at most.
        max_attempts: Requests for one review, at most.
        max_wait: Seconds; no wait between two attempts is longer.
        prices: Of the model's tokens.
    """

    model: str
    ledger_name: str = ""
    prompt_version: int = PROMPT_VERSION
    generation: int = 0
    concurrency: int = 16
    max_attempts: int = 6
    max_wait: float = 60.0
    prices: Prices = Prices()

    @classmethod
    def of(cls, settings: OpenAISettings) -> Self:
        """Return the policy that the settings describe."""
        return cls(
            model=settings.model,
            ledger_name=ledger_name(settings),
            generation=settings.generation,
            concurrency=settings.concurrency,
            max_attempts=settings.max_attempts,
            max_wait=settings.max_wait,
            prices=Prices.from_usd(
                prompt=settings.input_usd_per_million, completion=settings.output_usd_per_million
            ),
        )


class _Refusal(Struct, frozen=True, kw_only=True):
    """Why a text has no label."""

    reason: Reason
    detail: str
    attempts: int


class _Purchase(Struct, frozen=True, kw_only=True):
    """A label, and how often it was asked for in this call: 0 if it was remembered."""

    entry: LedgerEntry
    attempts: int


class Labeller:
    """Asks a model for the sentiment of reviews, and is the one owner of retries.

    Identical texts are asked about once, in one call and wherever the ledger is used just now. The
    label of a text that was paid for earlier comes from the ledger, and a label is in the ledger
    before it is returned.
    """

    def __init__(
        self,
        model: ChatModel,
        ledger: LabelLedger,
        limiter: RateLimiter,
        clock: Clock,
        policy: LabelPolicy,
    ) -> None:
        self._model = model
        self._ledger = PatientLedger(ledger, clock, attempts=policy.max_attempts)
        self._limiter = limiter
        self._clock = clock
        self._policy = policy

    async def label(
        self, reviews: Sequence[tuple[Review, Origin]]
    ) -> list[LabelledReview | RejectedReview]:
        """Label reviews.

        Returns:
            One outcome for each review, in the order of the reviews.

        Raises:
            StopError: nobody can be labelled until a person acts; everything in flight is dropped.
            TransientError: the ledger stays away.
            ConfigError: the ledger is damaged.
        """
        keys = [self._key(review.text) for review, _ in reviews]
        texts = {key: review.text for key, (review, _) in zip(keys, reviews, strict=True)}
        known = await self._ledger.find(texts.keys())
        asked = await self._ask_all({key: texts[key] for key in texts if key not in known})
        outcomes: list[LabelledReview | RejectedReview] = []
        for key, (review, origin) in zip(keys, reviews, strict=True):
            result = asked.get(key) or _Purchase(entry=known[key], attempts=0)
            outcomes.append(self._outcome(review, origin, result))
            if isinstance(result, _Purchase):  # the next review with this text is not paid for
                asked[key] = structs.replace(result, attempts=0)
        return outcomes

    def _key(self, text: str) -> LedgerKey:
        return LedgerKey(
            model=self._policy.ledger_name or self._policy.model,
            prompt_version=self._policy.prompt_version,
            text_sha256=hashlib.sha256(as_sent(text).encode()).digest(),
        )

    async def _ask_all(
        self, texts: Mapping[LedgerKey, str]
    ) -> dict[LedgerKey, _Purchase | _Refusal]:
        """Ask about every text, with as many requests in flight as the policy allows."""
        results: dict[LedgerKey, _Purchase | _Refusal] = {}
        waiting = iter(texts.items())

        async def work() -> None:
            for key, text in waiting:
                results[key] = await self._buy(key, text)

        failure: BaseException | None = None
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self._policy.concurrency, len(texts))):
                    group.create_task(work())
        except BaseExceptionGroup as failures:
            failure = _most_telling(failures)
        if failure is not None:  # raised out here, so that it keeps the cause it has
            raise failure
        return results

    async def _buy(self, key: LedgerKey, text: str) -> _Purchase | _Refusal:
        async with self._ledger.alone(key) as known:
            return (
                await self._ask(key, text) if known is None else _Purchase(entry=known, attempts=0)
            )

    async def _ask(self, key: LedgerKey, text: str) -> _Purchase | _Refusal:
        prompt = build_prompt([text], version=self._policy.prompt_version)
        inquiry = _Inquiry(self._model, self._limiter, self._clock, self._policy, prompt)
        label = await inquiry.run()
        if isinstance(label, _Refusal):
            return label
        entry = inquiry.entry(label, now=_to_millisecond(self._clock.now()))
        await self._ledger.record(key, entry)
        return _Purchase(entry=entry, attempts=inquiry.attempts)

    def _outcome(
        self, review: Review, origin: Origin, result: _Purchase | _Refusal
    ) -> LabelledReview | RejectedReview:
        if isinstance(result, _Refusal):
            refused = Rejected(reason=result.reason, detail=result.detail, raw=to_line(review))
            return refused.dead_letter(
                stage=Stage.LABEL,
                origin=origin,
                rejected_at=self._clock.now(),
                attempts=result.attempts,
            )
        return LabelledReview.of(
            review,
            sentiment=result.entry.sentiment,
            confidence=result.entry.confidence,
            provenance=self._provenance(review, result),
            origin=origin,
        )

    def _provenance(self, review: Review, bought: _Purchase) -> Provenance:
        entry = bought.entry
        return Provenance(
            model=entry.model,
            prompt_version=self._policy.prompt_version,
            generation=self._policy.generation,
            request_id=entry.request_id,
            attempts=max(bought.attempts, 1),
            prompt_tokens=entry.prompt_tokens,
            completion_tokens=entry.completion_tokens,
            cost_micro_usd=entry.cost_micro_usd,
            from_ledger=bought.attempts == 0,
            truncated=is_truncated(review.text),
            labelled_at=entry.labelled_at,
        )


class _Inquiry:
    """Everything that is asked about one text, until there is a label or no hope of one."""

    def __init__(
        self,
        model: ChatModel,
        limiter: RateLimiter,
        clock: Clock,
        policy: LabelPolicy,
        prompt: Prompt,
    ) -> None:
        self._model = model
        self._limiter = limiter
        self._clock = clock
        self._policy = policy
        self._prompt = prompt
        self._answers: list[ChatAnswer] = []  # all paid for, the unreadable ones too
        self.attempts = 0

    async def run(self) -> Label | _Refusal:
        """Ask, and ask again where that may help."""
        while True:
            try:
                answer = await self._ask()
            except StopError:
                raise
            except PermanentError as err:
                return self._refusal(Reason.MODEL_BAD_REQUEST, str(err))
            except TransientError as err:
                if self.attempts >= self._policy.max_attempts:
                    return self._refusal(Reason.MODEL_UNAVAILABLE, f"the last attempt: {err}")
                await self._clock.sleep(self._wait(err))
            else:
                label = self._read(answer)
                if label is not None:
                    return label

    def _read(self, answer: ChatAnswer) -> Label | _Refusal | None:
        """Return the label, or why there is none, or None if the model may be asked again."""
        outcome = read_answer(answer, self._prompt.ids)
        if isinstance(outcome, Ok):
            return outcome.value[self._prompt.ids[0]]
        return self._refusal(outcome.reason, outcome.detail) if self._is_over() else None

    async def _ask(self) -> ChatAnswer:
        """Make one request, and tell the limiter what it took, whatever came of it."""
        tokens, cost = self._prompt.tokens, self._highest_cost()
        await self._limiter.acquire(tokens=tokens, cost_micro_usd=cost)
        self.attempts += 1
        used, paid = tokens, cost  # a request that is cancelled may be answered, and billed
        try:
            answer = await self._model.answer(self._prompt.request)
        except ReviewStreamError as err:
            used = paid = 0
            if isinstance(err, ThrottledError):
                self._slow_down(err)
            raise
        else:
            self._answers.append(answer)
            used = answer.prompt_tokens + answer.completion_tokens
            paid = self._cost([answer])
            if answer.limits is not None:
                self._limiter.learn(answer.limits)
            return answer
        finally:
            self._limiter.settle(
                reserved_tokens=tokens,
                used_tokens=used,
                reserved_micro_usd=cost,
                used_micro_usd=paid,
            )

    def _slow_down(self, err: ThrottledError) -> None:
        wait = err.retry_after
        self._limiter.throttled(None if wait is None else min(wait, self._policy.max_wait))
        self._limiter.learn(
            RateLimits(
                requests_per_minute=err.requests_per_minute,
                tokens_per_minute=err.tokens_per_minute,
            )
        )

    def _highest_cost(self) -> int:
        """Return what the request costs if the answer is as long as it may be."""
        answer = self._prompt.request.max_output_tokens
        return cost_micro_usd(self._prompt.tokens - answer, answer, self._policy.prices)

    def _is_over(self) -> bool:
        return len(self._answers) >= BAD_ANSWERS or self.attempts >= self._policy.max_attempts

    def _wait(self, err: TransientError) -> float:
        """Return the seconds to wait: what the other side asked for, or our own guess."""
        jitter = self._clock.jitter()
        if err.retry_after is None:
            return backoff(self.attempts, jitter=jitter, cap=min(30.0, self._policy.max_wait))
        # Not all at the same moment, yet never sooner than we were told.
        return min(self._policy.max_wait, max(err.retry_after, 0.0) * (1 + jitter / 2))

    def _refusal(self, reason: Reason, detail: str) -> _Refusal:
        return _Refusal(reason=reason, detail=detail, attempts=self.attempts)

    def _cost(self, answers: Sequence[ChatAnswer]) -> int:
        return sum(
            cost_micro_usd(one.prompt_tokens, one.completion_tokens, self._policy.prices)
            for one in answers
        )

    def entry(self, label: Label, *, now: datetime) -> LedgerEntry:
        """Return what is remembered of a purchase; its price includes the answers thrown away."""
        last = self._answers[-1]
        return LedgerEntry(
            sentiment=label.sentiment,
            confidence=label.confidence,
            model=last.model or self._policy.model,
            prompt_tokens=sum(one.prompt_tokens for one in self._answers),
            completion_tokens=sum(one.completion_tokens for one in self._answers),
            cost_micro_usd=self._cost(self._answers),
            request_id=last.request_id,
            labelled_at=now,
        )


def _to_millisecond(moment: datetime) -> datetime:
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


def _most_telling(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the `StopError` of a group if there is one, else its first failure."""
    stops = failures.subgroup(StopError)
    return (stops or failures).exceptions[0]
