"""Readers of source, topics and index for reconciliation."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from typing import TypeVar

from msgspec import Struct

from reviewstream.core.delivery.decoding import labelled_reader, rejected_reader
from reviewstream.core.delivery.ports import RecordLog, StoredRecord
from reviewstream.core.index.ports import SearchIndex
from reviewstream.core.reconcile.reconciliation import (
    AT_ONCE,
    Findings,
    Reconciler,
    Reconciliation,
    Seen,
)
from reviewstream.core.reconcile.rules import (
    DELETED,
    About,
    Fault,
    LineRow,
    Mismatch,
    ReconcileStage,
    ReviewRow,
)
from reviewstream.core.records.batches import batches
from reviewstream.core.records.lineage import made_from, place_of
from reviewstream.core.records.ports import Sorter
from reviewstream.core.records.reviews import LabelledReview, RejectedReview
from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.records.versions import external_version
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.core.transport.framing import Line, Oversized

OpenSorter = Callable[[int], Sorter]
Tell = Callable[[str, int, int], None]
T = TypeVar("T")

_LINE, _REVIEW = len(LineRow._fields), len(ReviewRow._fields)


class ReconcileServices(Struct, frozen=True, kw_only=True):
    """Services that store the records and the documents."""

    log: RecordLog
    registry: SubjectRegistry
    index: SearchIndex
    topics: TopicNames


class ReconcileRun:
    """One comparison of a source with its records and documents.

    Args:
        stages: Services to read from.
        open_sorter: Opens a sorter for rows of a given width.
        found: Called with every mismatch.
        tell: Called at intervals with a stage, the number of items done, and the estimated total.
        wait: Called before each comparison with an index that may lag: waits, and says whether to
            compare again.
    """

    def __init__(
        self,
        stages: ReconcileServices,
        open_sorter: OpenSorter,
        *,
        found: Callable[[Mismatch], None] = lambda _: None,
        tell: Tell = lambda _stage, _done, _total: None,
        wait: Callable[[], bool] = lambda: False,
    ) -> None:
        self._stages = stages
        self._open_sorter = open_sorter
        self._findings = Findings(found)
        self._tell = tell
        self._wait = wait

    def run(self, source: str, lines: Iterable[Line | Oversized]) -> Reconciliation:
        """Read all stages and compare them.

        Args:
            source: Name of the source in every origin.
            lines: All lines of the source.

        Raises:
            PermanentError: A topic or the index does not exist.
            TransientError: The log, the registry or the index is unavailable.
        """
        with closing(self._open_sorter(_LINE)) as by_line, closing(self._open_sorter(_REVIEW)) as r:
            sums = Reconciler(source, by_line, r)
            sums.take_source(lines)
            sums.take_labelled(self._labelled())
            sums.take_rejected(self._rejected())
            sums.compare_topics(self._findings)
            while self._wait() and self._lags(sums):
                pass
            documents = self._compare_index(sums, self._findings)
        return Reconciliation(
            source=sums.source,
            labelled=sums.labelled,
            rejected=sums.rejected,
            documents=documents,
            faults=self._findings.counts(),
            named=tuple(self._findings.named),
        )

    def _labelled(self) -> Iterator[Seen]:
        reader = labelled_reader(self._stages.registry)
        for record in self._records("labelled", self._stages.topics.labelled):
            yield _labelled(record, reader.read(record, self._foreign))

    def _rejected(self) -> Iterator[Seen]:
        reader = rejected_reader(self._stages.registry)
        for record in self._records("rejected", self._stages.topics.rejected):
            yield _rejected(record, reader.read(record, self._foreign))

    def _records(self, stage: str, topic: str) -> Iterator[StoredRecord]:
        total = sum(self._stages.log.end_offsets(topic).values())
        return self._told(self._stages.log.read_all(topic), stage, total)

    def _foreign(self, record: StoredRecord) -> None:
        name = place_of(record.topic, record.partition, record.offset)
        self._findings.add(Mismatch(stage=ReconcileStage.TOPICS, fault=Fault.UNREADABLE, id=name))

    def _lags(self, sums: Reconciler) -> bool:
        findings = Findings()
        self._compare_index(sums, findings)
        return findings.count(ReconcileStage.INDEX, Fault.MISSING, Fault.OUTDATED) > 0

    def _compare_index(self, sums: Reconciler, findings: Findings) -> int:
        index = self._stages.index
        index.refresh()
        with closing(self._open_sorter(_REVIEW)) as documents:
            for some in batches(self._told(index.versions(), "index", index.count()), AT_ONCE):
                documents.add(ReviewRow(name, About.DOCUMENT, 0, 0, ver) for name, ver in some)
            return sums.compare_index(documents, findings)

    def _told(self, items: Iterable[T], stage: str, total: int) -> Iterator[T]:
        done = 0
        for done, item in enumerate(items, 1):
            yield item
            if not done % AT_ONCE:
                self._tell(stage, done, max(done, total))
        self._tell(stage, done, done)


def _labelled(record: StoredRecord, review: LabelledReview | None) -> Seen:
    place = record.partition, record.offset
    if review is None:
        name = (record.key or b"").decode(errors="replace")
        deleted = ReviewRow(name, About.LABELLED, *place, DELETED)
        return Seen("", None, deleted if record.value is None else None)
    version = external_version(review.written_at, review.provenance.generation)
    (cause, _), name = made_from(record.headers), review.review_id
    return Seen(
        review.origin.source,
        LineRow(review.origin.offset, About.LABELLED, version, cause, name),
        ReviewRow(name, About.LABELLED, *place, version),
    )


def _rejected(record: StoredRecord, rejection: RejectedReview | None) -> Seen:
    if rejection is None:
        return Seen("", None, None)
    origin = rejection.origin
    row = LineRow(origin.offset, About.REJECTED, 0, made_from(record.headers)[0], "")
    return Seen(origin.source, row, None)
