"""Labelling of a batch of reviews: each becomes a labelled or a rejected review, in order."""

from collections.abc import Sequence
from functools import partial

from msgspec import structs

from reviewstream.core.labelling.circuit_breaker import Circuit, CircuitBreaker
from reviewstream.core.labelling.diagnosis import Diagnosis
from reviewstream.core.labelling.dispatcher import Dispatcher, Failure, LabelResult, Result
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.health import Health
from reviewstream.core.labelling.label_request import Endpoint
from reviewstream.core.labelling.ledger.retrying_ledger import CLAIM_PATIENCE, RetryingLedger
from reviewstream.core.labelling.limits.turns import Turns
from reviewstream.core.labelling.offload import Offload
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import ChatModel, LabelLedger, RateLimiter
from reviewstream.core.labelling.probe import Probe
from reviewstream.core.labelling.prompts import is_truncated
from reviewstream.core.labelling.rate_limited_model import RateLimitedModel
from reviewstream.core.labelling.shutdown import Shutdown
from reviewstream.core.labelling.usage import Usage
from reviewstream.core.labelling.wait_log import WaitLog
from reviewstream.core.records.outcomes import Rejected
from reviewstream.core.records.parsing import to_line
from reviewstream.core.records.reviews import (
    LabelledReview,
    Origin,
    Provenance,
    RejectedReview,
    Review,
    Stage,
)
from reviewstream.core.retry.ports import Clock

__all__ = ["LabelPolicy", "Labeller"]


class Labeller:
    """A labeller that asks a model for the sentiment of reviews; all retries are done here.

    Reviews are sent in packs. A pack that cannot be labelled is split until the review at fault is
    alone. Identical texts are requested once, within one call and across all workers that share the
    ledger at that time. Labels that were paid for earlier come from the ledger; a new label is in
    the ledger before it is returned.

    Concurrent calls share the limit of requests in flight. A labeller cannot be reused after it
    raises.
    """

    def __init__(  # noqa: PLR0913 - its ports, and shared state
        self,
        model: ChatModel,
        ledger: LabelLedger,
        limiter: RateLimiter,
        clock: Clock,
        policy: LabelPolicy,
        *,
        negotiation: Negotiation | None = None,
        offload: Offload | None = None,
        patience: float = CLAIM_PATIENCE,
    ) -> None:
        negotiation = negotiation or Negotiation(policy.options, policy.auto)
        shutdown, log, health = Shutdown(), WaitLog(clock), Health()
        rate_limited = partial(
            RateLimitedModel, model, Turns(limiter, shutdown), policy, negotiation
        )
        probe = Probe(rate_limited, policy, negotiation, health)
        circuit = Circuit(
            probe, clock, policy=policy, negotiation=negotiation, shutdown=shutdown, log=log
        )
        endpoint = Endpoint(
            model_for=lambda charges, texts: CircuitBreaker(rate_limited(charges, texts), circuit),
            diagnosis=Diagnosis(circuit, probe, negotiation, policy),
            negotiation=negotiation,
            health=health,
            limiter=limiter,
            clock=clock,
            policy=policy,
            shutdown=shutdown,
            log=log,
        )
        retrying_ledger = RetryingLedger(
            ledger, clock, circuit.is_answering, patience=patience, offload=offload
        )
        self._dispatcher = Dispatcher(endpoint, probe, retrying_ledger)
        self._shutdown = shutdown
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
            FatalError: No review can be labelled until an operator acts. Requests in flight have
                finished, and their labels are in the ledger.
            TransientError: The ledger remains unavailable.
            ConfigError: The ledger is damaged.
        """
        keys = [self._policy.key(review.text) for review, _ in reviews]
        texts = {key: review.text for key, (review, _) in zip(keys, reviews, strict=True)}
        results = await self._dispatcher.label(texts)
        # Stop a task that Spark has given up before it returns its results.
        await self._limiter.check()
        outcomes: list[LabelledReview | RejectedReview] = []
        for key, (review, origin) in zip(keys, reviews, strict=True):
            result = results[key]
            outcomes.append(self._outcome(review, origin, result))
            results[key] = _repeated(result)
        return outcomes

    def end(self) -> None:
        """End running calls early: requests in flight finish, because they are paid for."""
        self._shutdown.end()

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
                attempts=result.bill.attempts,
                prompt_tokens=result.bill.prompt_tokens,
                completion_tokens=result.bill.completion_tokens,
                cost_micro_usd=result.bill.cost_micro_usd,
            )
        return LabelledReview.of(
            review,
            sentiment=result.entry.sentiment,
            confidence=result.entry.confidence,
            provenance=self._provenance(review, result),
            origin=origin,
        )

    def _provenance(self, review: Review, bought: LabelResult) -> Provenance:
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


def _repeated(result: Result) -> Result:
    """Return the result for another review with the same text: it costs nothing."""
    if isinstance(result, LabelResult):
        return structs.replace(result, attempts=0)
    return structs.replace(result, bill=Usage(attempts=result.bill.attempts))
