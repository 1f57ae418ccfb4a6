"""Replay of rejects, with lineage; no reject is replayed twice.

Each slice is on its topic before the next one begins. After an interruption the next run finds
replayed rejects by their records, and paid labels in the ledger.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence

from msgspec import Struct, structs

from reviewstream.core.delivery.ports import OutgoingRecord, RecordSink
from reviewstream.core.delivery.publishing import Publisher
from reviewstream.core.records.lineage import CAUSE_HEADER, Cause, cause_header
from reviewstream.core.records.outcomes import Ok, Rejected
from reviewstream.core.records.parsing import parse_review
from reviewstream.core.records.reviews import LabelledReview, Origin, RejectedReview, Review
from reviewstream.core.records.versions import VERSION_HEADER, external_version
from reviewstream.core.rejects.listing import CONNECT, Reject

Outcome = LabelledReview | RejectedReview
Label = Callable[[Sequence[tuple[Review, Origin]]], Awaitable[list[Outcome]]]


class Replayed(Struct, frozen=True, kw_only=True):
    """Counts of a replay.

    Attributes:
        sent: Replayed successfully.
        refused: Refused again; they remain rejects.
        from_ledger: Sent rejects with a label that had been paid for before.
        cost_micro_usd: Millionths of a US dollar paid in this run, failed labels included.
    """

    sent: int = 0
    refused: int = 0
    from_ledger: int = 0
    cost_micro_usd: int = 0

    def plus(self, other: "Replayed") -> "Replayed":
        """Return the sum of two counts."""
        mine, its = structs.asdict(self), structs.asdict(other)
        return Replayed(**{name: mine[name] + its[name] for name in mine})


class ReplayRefusal(Struct, frozen=True, kw_only=True):
    """The reason why a reject was refused again."""

    id: str
    reason: str
    detail: str


class Replayer:
    """A replay of rejected lines: parses and labels them again.

    Args:
        label: `Labeller.label`.
        publisher: Publisher; its records are durable after `flush`.
        refused: Called with each reject that is refused again.
        repaired: Repaired lines by the id of the reject.
    """

    def __init__(
        self,
        label: Label,
        publisher: Publisher,
        refused: Callable[[ReplayRefusal], None],
        repaired: Mapping[str, bytes] | None = None,
    ) -> None:
        self._label = label
        self._publisher = publisher
        self._refused = refused
        self._repaired = repaired or {}

    async def replay(self, rejects: Sequence[Reject]) -> Replayed:
        """Replay some rejects; the new records are on their topic when this returns.

        Raises:
            FatalError: No review can be labelled until an operator acts; see `Labeller.label`.
            TransientError: The ledger or the log is unavailable.
        """
        parsed = [(one, review) for one in rejects if (review := self._parsed(one)) is not None]
        outcomes = await self._label([(review, origin_of(one)) for one, review in parsed])
        done = Replayed(refused=len(rejects) - len(parsed))
        for (reject, _), outcome in zip(parsed, outcomes, strict=True):
            done = done.plus(self._publish(reject, outcome))
        self._publisher.flush()
        return done

    def _parsed(self, reject: Reject) -> Review | None:
        if reject.is_cut and reject.id not in self._repaired:
            detail = "$: only the beginning of the line was kept; give the whole line by --file"
            self._refused(ReplayRefusal(id=reject.id, reason=reject.reason, detail=detail))
            return None
        match parse_review(self._repaired.get(reject.id, reject.raw)):
            case Ok(review):
                return review
            case Rejected() as again:
                self._refused(ReplayRefusal(id=reject.id, reason=again.reason, detail=again.detail))
                return None

    def _publish(self, reject: Reject, outcome: Outcome) -> Replayed:
        if isinstance(outcome, RejectedReview):
            self._refused(ReplayRefusal(id=reject.id, reason=outcome.reason, detail=outcome.detail))
            return Replayed(refused=1, cost_micro_usd=outcome.cost_micro_usd)
        self._publisher.publish(outcome, cause=Cause.REPLAYED, place=reject.place)
        bought = outcome.provenance
        return Replayed(
            sent=1,
            from_ledger=bought.from_ledger,
            cost_micro_usd=0 if bought.from_ledger else bought.cost_micro_usd,
        )


class Repeater:
    """A replay of records that the index refused: writes them unchanged to their topic.

    Args:
        sink: Sink; its records are durable after `flush`.
        topic: Topic of labelled reviews.
        labelled: Decodes a dead letter; returns None if it is not a labelled review.
        refused: Called with each reject that is not a labelled review.
    """

    def __init__(
        self,
        sink: RecordSink,
        topic: str,
        labelled: Callable[[Reject], LabelledReview | None],
        refused: Callable[[ReplayRefusal], None],
    ) -> None:
        self._sink = sink
        self._topic = topic
        self._labelled = labelled
        self._refused = refused

    async def replay(self, rejects: Sequence[Reject]) -> Replayed:
        """Replay some rejects; see `Replayer.replay`."""
        done = Replayed()
        for reject in rejects:
            review = self._labelled(reject)
            if review is None:
                detail = "it is no labelled review: the index would refuse it again"
                self._refused(ReplayRefusal(id=reject.id, reason=reject.reason, detail=detail))
                done = done.plus(Replayed(refused=1))
            else:
                self._sink.write(self._record(reject, review))
                done = done.plus(Replayed(sent=1))
        self._sink.flush()
        return done

    def _record(self, reject: Reject, review: LabelledReview) -> OutgoingRecord:
        """Return the record with its lineage and its version, which may have been missing."""
        version = external_version(review.written_at, review.provenance.generation)
        others = (
            (name, value)
            for name, value in reject.record.headers
            if name not in {VERSION_HEADER, CAUSE_HEADER} and not name.startswith(CONNECT)
        )
        return OutgoingRecord(
            topic=self._topic,
            key=review.review_id.encode(),
            value=reject.raw,
            headers=(
                (VERSION_HEADER, str(version).encode("ascii")),
                *others,
                cause_header(Cause.REPEATED, reject.place),
            ),
        )


def origin_of(reject: Reject) -> Origin:
    """Return the origin of the rejected line, which its new record keeps."""
    source, _, offset = reject.id.rpartition("@")
    return Origin(source=source, offset=int(offset))
