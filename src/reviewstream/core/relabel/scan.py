"""Scan for the reviews to be labelled again: the newest version of each on its topic."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import Final

from msgspec import Struct

from reviewstream.core.delivery.decoding import RecordPositions, labelled_reader
from reviewstream.core.delivery.ports import RecordLog, StoredRecord
from reviewstream.core.records.batches import batches
from reviewstream.core.records.reviews import LabelledReview
from reviewstream.core.records.versions import GENERATIONS, external_version
from reviewstream.core.relabel.ports import NewestVersions, VersionSeen
from reviewstream.core.relabel.selection import Condition
from reviewstream.core.schemas.ports import SubjectRegistry

BATCH: Final = 1_000  # records per step


class RelabelStatus(StrEnum):
    """Status of the newest version of a review."""

    OTHER = "other"  # not selected
    DONE = "done"  # has the new label
    SPENT = "spent"  # has the highest generation
    DUE = "due"


class RelabelSpec(Struct, frozen=True, kw_only=True):
    """A specification of the reviews to be labelled again.

    Attributes:
        prompt_version: Prompt version of the new labels.
        generation: Generation of the new labels. None: one above that of the replaced label, unless
            that has this prompt version already.
        conditions: Conditions that a selected review fulfils, all of them.
    """

    prompt_version: int
    generation: int | None = None
    conditions: tuple[Condition, ...] = ()

    def standing(self, review: LabelledReview) -> RelabelStatus:
        """Return the status of a review, given its newest version."""
        if not all(condition.takes(review) for condition in self.conditions):
            return RelabelStatus.OTHER
        if self._is_done(review):
            return RelabelStatus.DONE
        return (
            RelabelStatus.DUE if self.generation_of(review) < GENERATIONS else RelabelStatus.SPENT
        )

    def generation_of(self, review: LabelledReview) -> int:
        """Return the generation of the new label."""
        return review.provenance.generation + 1 if self.generation is None else self.generation

    def _is_done(self, review: LabelledReview) -> bool:
        if self.generation is None:
            return review.provenance.prompt_version == self.prompt_version
        return review.provenance.generation >= self.generation


class ScanResult(Struct, frozen=True, kw_only=True):
    """Counts of a scan.

    Attributes:
        records: All records read.
        unreadable: Records that cannot be decoded as labelled reviews.
        places: `partition@offset` of the first unreadable records.
        reviews: Distinct reviews, without deleted ones.
        selected: Reviews that fulfil all conditions.
        done: Selected reviews that have the new label.
        spent: Selected reviews that have the highest possible generation.
        due: Selected reviews to be labelled.
    """

    records: int
    unreadable: int
    places: tuple[str, ...]
    reviews: int
    done: int
    spent: int
    due: int

    @property
    def selected(self) -> int:
        """Number of reviews that fulfil all conditions."""
        return self.done + self.spent + self.due


class RelabelScan:
    """A scan of one topic for one specification."""

    def __init__(
        self,
        log: RecordLog,
        topic: str,
        registry: SubjectRegistry,
        newest: NewestVersions,
        order: RelabelSpec,
    ) -> None:
        self._log = log
        self._topic = topic
        self._reader = labelled_reader(registry)
        self._newest = newest
        self._order = order

    def survey(self, tell: Callable[[int, int], None] = lambda _done, _total: None) -> ScanResult:
        """Read the topic once and find the newest version of each review.

        Args:
            tell: Called at intervals with the records read and the estimated total.

        Raises:
            PermanentError: There is no such topic.
            TransientError: The log or the registry is unavailable.
        """
        total = sum(self._log.end_offsets(self._topic).values())
        records, places = 0, RecordPositions()
        for batch in batches(self._log.read_all(self._topic), BATCH):
            self._newest.see(self._sightings(batch, places))
            records += len(batch)
            tell(records, max(total, records))
        marks = self._newest.count()
        return ScanResult(
            records=records,
            unreadable=places.count,
            places=tuple(places.first),
            reviews=sum(marks.values()),
            **{
                one.value: marks.get(one, 0)
                for one in RelabelStatus
                if one is not RelabelStatus.OTHER
            },
        )

    def due(self) -> Iterator[LabelledReview]:
        """Read the topic again after `survey`, and yield the reviews to be labelled."""
        places = RecordPositions()
        for batch in batches(self._log.read_all(self._topic), BATCH):
            found = [(record, self._reader.read(record, places.add)) for record in batch]
            mine = [
                (record, review)
                for record, review in found
                if review is not None and self._order.standing(review) is RelabelStatus.DUE
            ]
            newest = self._newest.newest({review.review_id for _, review in mine})
            for record, review in mine:
                if _is_at(newest.get(review.review_id), record):
                    yield review

    def _sightings(
        self, batch: Iterable[StoredRecord], places: RecordPositions
    ) -> Iterator[VersionSeen]:
        for record in batch:
            if record.value is None:
                yield _sighting(record, (record.key or b"").decode(errors="replace"), None)
                continue
            review = self._reader.read(record, places.add)
            if review is not None:
                version = external_version(review.written_at, review.provenance.generation)
                mark = self._order.standing(review)
                yield _sighting(record, review.review_id, version, mark)


def _sighting(
    record: StoredRecord, review_id: str, version: int | None, mark: str = ""
) -> VersionSeen:
    return VersionSeen(
        review_id=review_id,
        version=version,
        partition=record.partition,
        offset=record.offset,
        mark=mark,
    )


def _is_at(sighting: VersionSeen | None, record: StoredRecord) -> bool:
    return sighting is not None and (sighting.partition, sighting.offset) == (
        record.partition,
        record.offset,
    )
