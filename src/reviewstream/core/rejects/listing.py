"""Rejects: rejected lines, and records that the index refused (dead letters)."""

from collections.abc import Container, Iterator, Mapping
from datetime import datetime
from typing import Final

from msgspec import Struct

from reviewstream.core.delivery.decoding import labelled_reader, rejected_reader
from reviewstream.core.delivery.ports import RecordLog, StoredRecord
from reviewstream.core.records.lineage import Cause, made_from, place_of
from reviewstream.core.records.outcomes import RAW_LIMIT
from reviewstream.core.records.reviews import LabelledReview, RejectedReview
from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.errors import PermanentError

CONNECT: Final = "__connect.errors."  # prefix of the headers that Connect adds to a dead letter
INDEX: Final = "INDEX"  # stage of a dead letter
SHOWN: Final = 10  # ids in an error message


class Reject(Struct, frozen=True, kw_only=True):
    """A rejected line, or a record that the index refused.

    Attributes:
        id: `SOURCE@OFFSET` of the line, or `TOPIC/PARTITION@OFFSET` of the record that the index
            refused.
        place: `TOPIC/PARTITION@OFFSET` of the rejection or dead letter.
        stage: PARSE, LABEL or INDEX.
        reason: A `Reason`, or the class of the connector's exception.
        detail: Message of the rejection.
        rejected_at: UTC; None if unknown.
        attempts: Requests made to the model.
        prompt_tokens: Share of these requests.
        completion_tokens: Share of the answers.
        cost_micro_usd: Cost of the failed label in millionths of a US dollar. Attempts, tokens and
            cost are 0 for a record that the index refused: its label has its own cost.
        raw: First 64 KiB of the line; or the unchanged value of the record.
        record: The rejection or dead letter.
    """

    id: str
    place: str
    stage: str
    reason: str
    detail: str
    rejected_at: datetime | None
    attempts: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0
    raw: bytes
    record: StoredRecord

    @property
    def is_paid(self) -> bool:
        """Say whether the model gave answers that may have a price."""
        return (self.prompt_tokens, self.completion_tokens, self.cost_micro_usd) != (0, 0, 0)

    @property
    def is_cut(self) -> bool:
        """Say whether the stored line may be truncated."""
        return self.stage != INDEX and len(self.raw) >= RAW_LIMIT


class Wanted(Struct, frozen=True, kw_only=True):
    """A filter for rejects; an empty field matches all.

    Attributes:
        ids: See `Reject.id`.
        reasons: Reasons, compared without case.
    """

    ids: frozenset[str] = frozenset()
    reasons: frozenset[str] = frozenset()

    def takes(self, reject: Reject) -> bool:
        """Say whether a reject matches."""
        if self.ids and reject.id not in self.ids:
            return False
        return not self.reasons or reject.reason.upper() in {each.upper() for each in self.reasons}


class Remaining(Struct, frozen=True, kw_only=True):
    """Open and resolved rejects among those that match.

    Attributes:
        places: Places of the open rejects.
        through: Number of rejects resolved since.
    """

    places: frozenset[str]
    through: int


class Rejects:
    """The rejects of one kind in one pipeline.

    Args:
        log: Log with the rejects.
        registry: Registry with the schemas that they were written with.
        topics: Names of the topics.
        letters: True for the connector's dead letters, False for rejected lines. Records that
            cannot be decoded are skipped.
    """

    def __init__(
        self,
        log: RecordLog,
        registry: SubjectRegistry,
        topics: TopicNames,
        *,
        letters: bool,
    ) -> None:
        self._log = log
        self._topics = topics
        self._letters = letters
        self._rejected = rejected_reader(registry)
        self._labelled = labelled_reader(registry)

    def all(self, wanted: Wanted) -> Iterator[Reject]:
        """Yield all matching rejects, resolved ones included.

        Raises:
            PermanentError: There is no such topic.
            TransientError: The log or the registry is unavailable.
        """
        return (reject for reject in self._read() if wanted.takes(reject))

    def open(self, wanted: Wanted) -> Iterator[Reject]:
        """Yield the matching rejects that are still open, each once."""
        return self.at(self.remaining(wanted).places)

    def remaining(self, wanted: Wanted) -> Remaining:
        """Find the matching rejects that are still open.

        Keeps the key of each in memory, and reads the topic of labels once.

        Raises:
            PermanentError: An id does not exist.
        """
        found: dict[str, str] = {}
        absent = set(wanted.ids)
        for reject in self.all(wanted):
            found[self._key(reject)] = reject.place  # the last of several wins
            absent.discard(reject.id)
        if absent:
            names = ", ".join(sorted(absent)[:SHOWN])
            raise PermanentError(f"no such reject: {names}; see `reviewstream rejects list`")
        known = len(found)
        for record in self._log.read_all(self._topics.labelled):
            found.pop(self._answered(record), None)
        return Remaining(places=frozenset(found.values()), through=known - len(found))

    def at(self, places: Container[str]) -> Iterator[Reject]:
        """Yield the rejects at these places."""
        return (reject for reject in self._read() if reject.place in places)

    def labelled(self, reject: Reject) -> LabelledReview | None:
        """Return the labelled review of a dead letter; None if it cannot be decoded."""
        return self._labelled.read(reject.record, _ignored)

    def _read(self) -> Iterator[Reject]:
        if self._letters:
            for record in self._log.read_all(self._topics.dead_letter):
                yield letter_of(record)
            return
        for record in self._log.read_all(self._topics.rejected):
            rejection = self._rejected.read(record, _ignored)
            if rejection is not None:
                yield rejection_of(record, rejection)

    def _key(self, reject: Reject) -> str:
        """Return the key of a reject: the place of a dead letter, the id of a line."""
        return reject.place if self._letters else reject.id

    def _answered(self, record: StoredRecord) -> str:
        """Return the key of the reject that a labelled record resolves."""
        if self._letters:
            cause, place = made_from(record.headers)
            return place if cause is Cause.REPEATED else ""
        review = self._labelled.read(record, _ignored)
        return "" if review is None else line_id(review.origin.source, review.origin.offset)


def line_id(source: str, offset: int) -> str:
    """Return the id of a line."""
    return f"{source}@{offset}"


def rejection_of(record: StoredRecord, rejection: RejectedReview) -> Reject:
    """Return the reject of a rejected line."""
    return Reject(
        id=line_id(rejection.origin.source, rejection.origin.offset),
        place=place_of(record.topic, record.partition, record.offset),
        stage=rejection.stage,
        reason=rejection.reason,
        detail=rejection.detail,
        rejected_at=rejection.rejected_at,
        attempts=rejection.attempts,
        prompt_tokens=rejection.prompt_tokens,
        completion_tokens=rejection.completion_tokens,
        cost_micro_usd=rejection.cost_micro_usd,
        raw=rejection.raw,
        record=record,
    )


def letter_of(record: StoredRecord) -> Reject:
    """Return the reject of a dead letter.

    Source: Apache Kafka, KIP-298, "Error Handling in Connect": headers of the dead letter queue.
    """
    said = _said(record)
    place = place_of(record.topic, record.partition, record.offset)
    names = [said.get(name, "") for name in ("topic", "partition", "offset")]
    return Reject(
        id="{}/{}@{}".format(*names) if all(names) else place,
        place=place,
        stage=INDEX,
        reason=said.get("exception.class.name", "").rpartition(".")[2] or "UNKNOWN",
        detail=said.get("exception.message", ""),
        rejected_at=record.stored_at,
        raw=record.value or b"",
        record=record,
    )


def _said(record: StoredRecord) -> Mapping[str, str]:
    return {
        name.removeprefix(CONNECT): value.decode(errors="replace")
        for name, value in record.headers
        if name.startswith(CONNECT)
    }


def _ignored(_: StoredRecord) -> None:
    """Skip a record that cannot be decoded; `reconcile` reports it."""
