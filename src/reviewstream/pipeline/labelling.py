"""Labels a batch of reviews: every one comes back, labelled or rejected, in its place."""

from collections.abc import Sequence

from msgspec import structs

from reviewstream.core.outcomes import Rejected
from reviewstream.core.parsing import to_line
from reviewstream.core.prompts import is_truncated
from reviewstream.core.records import (
    LabelledReview,
    Origin,
    Provenance,
    RejectedReview,
    Review,
    Stage,
)
from reviewstream.pipeline.breaker import SteadyModel
from reviewstream.pipeline.buying import Buyer, Failure, Purchase, Result
from reviewstream.pipeline.halt import Halt
from reviewstream.pipeline.metering import MeteredModel
from reviewstream.pipeline.policy import LabelPolicy
from reviewstream.pipeline.remembering import PatientLedger
from reviewstream.ports import ChatModel, Clock, LabelLedger, RateLimiter

__all__ = ["LabelPolicy", "Labeller"]


class Labeller:
    """Asks a model for the sentiment of reviews, and is the one owner of retries.

    Reviews are asked about in packs. A pack that cannot be answered is split until the review that
    is to blame stands alone. Identical texts are asked about once, in one call and wherever the
    ledger is used just now. The label of a text that was paid for earlier comes from the ledger,
    and a label is in the ledger before it is returned.

    Several calls may run at once; they share the requests in flight. After an error a labeller is
    of no more use.
    """

    def __init__(
        self,
        model: ChatModel,
        ledger: LabelLedger,
        limiter: RateLimiter,
        clock: Clock,
        policy: LabelPolicy,
    ) -> None:
        self._halt = halt = Halt()
        metered = MeteredModel(model, limiter, policy, halt)
        steady = SteadyModel(metered, clock, policy, halt)
        patient = PatientLedger(ledger, clock, steady.is_answering, attempts=policy.max_attempts)
        self._buyer = Buyer(steady, patient, clock, policy, halt)
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
            StopError: nobody can be labelled until a person acts; what was in flight has been
                finished, and is in the ledger.
            TransientError: the ledger stays away.
            ConfigError: the ledger is damaged.
        """
        keys = [self._policy.key(review.text) for review, _ in reviews]
        texts = {key: review.text for key, (review, _) in zip(keys, reviews, strict=True)}
        results = await self._buyer.buy(texts)
        # A task that hands something over after Spark gave it up is ended with its requests.
        self._limiter.check()
        outcomes: list[LabelledReview | RejectedReview] = []
        for key, (review, origin) in zip(keys, reviews, strict=True):
            result = results[key]
            outcomes.append(self._outcome(review, origin, result))
            if isinstance(result, Purchase):  # the next review with this text is not paid for
                results[key] = structs.replace(result, attempts=0)
        return outcomes

    def end(self) -> None:
        """Let calls that run end early: what is in flight is finished, as it is paid for."""
        self._halt.end()

    def _outcome(
        self, review: Review, origin: Origin, result: Result
    ) -> LabelledReview | RejectedReview:
        if isinstance(result, Failure):
            why = result.refusal
            refused = Rejected(reason=why.reason, detail=why.detail, raw=to_line(review))
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

    def _provenance(self, review: Review, bought: Purchase) -> Provenance:
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
