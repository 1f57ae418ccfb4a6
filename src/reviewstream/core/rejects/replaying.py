"""Sends what did not get through once more, with its lineage; nothing is sent twice.

What is sent is on its topic before the next slice is begun. So whenever this ends, the next start
finds what got through by its record, and what was paid for in the ledger.
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
    """What was done so far.

    Attributes:
        sent: Got through.
        refused: Did not, again: they stay as they are.
        from_ledger: Of those sent, the ones whose label had been paid for before.
        cost_micro_usd: Millionths of a US dollar paid just now, for labels and for none.
    """

    sent: int = 0
    refused: int = 0
    from_ledger: int = 0
    cost_micro_usd: int = 0

    def plus(self, other: "Replayed") -> "Replayed":
        """Return the sum of two."""
        mine, its = structs.asdict(self), structs.asdict(other)
        return Replayed(**{name: mine[name] + its[name] for name in mine})


class ReplayRefusal(Struct, frozen=True, kw_only=True):
    """Why a reject did not get through this time either."""

    id: str
    reason: str
    detail: str


class Replayer:
    """Parses and labels lines again.

    Args:
        label: `Labeller.label`.
        publisher: What it has flushed is on the topic for certain.
        refused: Told what does not get through.
        repaired: Lines that take the place of those that were rejected, by their id.
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
        """Send some; on return those that get through are on their topic.

        Raises:
            FatalError: nobody can be labelled until a person acts; so much as for `Labeller.label`.
            TransientError: the ledger or the log is away.
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
    """Puts records that the index did not take on their topic once more, as they were.

    Args:
        sink: What it has flushed is on the topic for certain.
        topic: Of labelled reviews.
        labelled: Reads what the index did not take; None: it is no labelled review.
        refused: Told what is none.
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
        """Send some; see `Replayer.replay`."""
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
        """Return the record with its version, which it may have lacked, and its lineage."""
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
    """Return where the line came from: what is made of it keeps that."""
    source, _, offset = reject.id.rpartition("@")
    return Origin(source=source, offset=int(offset))
