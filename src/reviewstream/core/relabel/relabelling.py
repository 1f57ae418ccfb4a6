"""Relabelling of the reviews that a scan found, and publication of the newer versions.

After an interruption the next run continues: it finds new labels by their records on the topic, and
paid but unpublished labels in the ledger.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence

from msgspec import Struct, structs

from reviewstream.core.delivery.publishing import Publisher
from reviewstream.core.labelling.costs import cost_micro_usd
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.prompts import expected_answer_tokens, question_tokens
from reviewstream.core.records.lineage import Cause
from reviewstream.core.records.reviews import LabelledReview, Origin, RejectedReview, Review
from reviewstream.core.relabel.scan import RelabelSpec

Outcome = LabelledReview | RejectedReview
Label = Callable[[Sequence[tuple[Review, Origin]]], Awaitable[list[Outcome]]]


class Progress(Struct, frozen=True, kw_only=True):
    """Counts of a relabelling.

    Attributes:
        labelled: Published with a new label.
        rejected: Could not be labelled and keep the old label; see the topic of rejections.
        from_ledger: Labelled reviews with a label that had been paid for before.
        changed: Labelled reviews with a new sentiment.
        cost_micro_usd: Millionths of a US dollar paid in this run, failed labels included.
    """

    labelled: int = 0
    rejected: int = 0
    from_ledger: int = 0
    changed: int = 0
    cost_micro_usd: int = 0


class Estimate(Struct, frozen=True, kw_only=True):
    """Estimated usage of labelling some reviews, if no label is in the ledger.

    Attributes:
        cost_micro_usd: Millionths of a US dollar.
    """

    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0


class Relabeller:
    """A relabelling that labels and publishes batch by batch.

    Args:
        label: `Labeller.label`, with the prompt version of `order`.
        publisher: Publisher; its records are durable after `flush`.
        order: Specification with the generation of the new labels.
    """

    def __init__(self, label: Label, publisher: Publisher, order: RelabelSpec) -> None:
        self._label = label
        self._publisher = publisher
        self._order = order

    async def relabel(self, reviews: Sequence[LabelledReview], so_far: Progress) -> Progress:
        """Label some reviews and publish them; the records are on their topics when this returns.

        Returns:
            `so_far` plus the counts of these reviews.

        Raises:
            FatalError: No review can be labelled until an operator acts; see `Labeller.label`.
            TransientError: The ledger, the log or the registry is unavailable.
        """
        outcomes = await self._label([(_review(one), one.origin) for one in reviews])
        for old, outcome in zip(reviews, outcomes, strict=True):
            self._publisher.publish(self._raised(outcome, old), cause=Cause.RELABELLED)
            so_far = _counted(so_far, old, outcome)
        self._publisher.flush()
        return so_far

    def _raised(self, outcome: Outcome, old: LabelledReview) -> Outcome:
        if isinstance(outcome, RejectedReview):
            return outcome
        generation = self._order.generation_of(old)
        provenance = structs.replace(outcome.provenance, generation=generation)
        return structs.replace(outcome, provenance=provenance)


def estimate(reviews: Iterable[LabelledReview], policy: LabelPolicy) -> Estimate:
    """Return the estimated usage of labelling reviews in packs, with the prompt of the policy."""
    requests = asked = answered = 0
    for pack in policy.packs((review.text for review in reviews), str):
        texts = policy.asked(pack)
        requests += 1
        asked += question_tokens(policy.prompt(texts).request)
        answered += expected_answer_tokens(len(texts), version=policy.prompt_version)
    return Estimate(
        requests=requests,
        prompt_tokens=asked,
        completion_tokens=answered,
        cost_micro_usd=cost_micro_usd(asked, answered, policy.prices),
    )


def _review(labelled: LabelledReview) -> Review:
    return Review(**{name: getattr(labelled, name) for name in Review.__struct_fields__})


def _counted(so_far: Progress, old: LabelledReview, outcome: Outcome) -> Progress:
    if isinstance(outcome, RejectedReview):
        return structs.replace(
            so_far,
            rejected=so_far.rejected + 1,
            cost_micro_usd=so_far.cost_micro_usd + outcome.cost_micro_usd,
        )
    bought = outcome.provenance
    return Progress(
        labelled=so_far.labelled + 1,
        rejected=so_far.rejected,
        from_ledger=so_far.from_ledger + bought.from_ledger,
        changed=so_far.changed + (outcome.sentiment is not old.sentiment),
        cost_micro_usd=so_far.cost_micro_usd + (0 if bought.from_ledger else bought.cost_micro_usd),
    )
