"""Compares the stages: every line has one outcome, every labelled review is in the index.

Rows of all stages are sorted together, by line and by review, and each group of them is judged by
itself: so memory stays the same however many there are.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import merge
from itertools import groupby
from operator import itemgetter
from typing import Final, NamedTuple

from msgspec import Struct

from reviewstream.core.reconcile.rules import (
    DELETED,
    About,
    Fault,
    LineAudit,
    LineRow,
    Mismatch,
    ReconcileStage,
    ReviewAudit,
    ReviewRow,
)
from reviewstream.core.records.batches import batches
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.parsing import is_blank, parse_review
from reviewstream.core.records.ports import Sorter
from reviewstream.core.transport.framing import Line, Oversized

NAMED: Final = 100  # findings of one fault in one stage that are named
AT_ONCE: Final = 1_000  # rows in memory

_FAULTS: Final = {
    ReconcileStage.TOPICS: (Fault.MISSING, Fault.DOUBLED, Fault.UNKNOWN, Fault.UNREADABLE),
    ReconcileStage.INDEX: (Fault.MISSING, Fault.DOUBLED, Fault.UNKNOWN, Fault.OUTDATED),
}


class SourceSums(Struct, kw_only=True):
    """What the source has.

    Attributes:
        name: As it is in every origin.
        lines: Without the blank ones.
        reviews: Different ids in the lines that can be read.
    """

    name: str
    lines: int = 0
    blank: int = 0
    reviews: int = 0


class LabelledSums(Struct, kw_only=True):
    """What the topic of labelled reviews has.

    Attributes:
        records: All of them.
        elsewhere: Of the records, those of other sources.
        deletions: Of the records, those that delete a review.
        newer: Of the records, those with a newer version of a line's label.
        lines: Of the source, that have a label.
        reviews: Different ids, of whatever source, without those that were deleted.
    """

    records: int = 0
    elsewhere: int = 0
    deletions: int = 0
    newer: int = 0
    lines: int = 0
    reviews: int = 0


class RejectedSums(Struct, kw_only=True):
    """What the topic of rejections has.

    Attributes:
        records: All of them.
        elsewhere: Of the records, those of other sources.
        lines: Of the source, that are rejected and have no label.
    """

    records: int = 0
    elsewhere: int = 0
    lines: int = 0


class Reconciliation(Struct, kw_only=True):
    """Counts of each stage, and what does not add up.

    Attributes:
        documents: In the index.
        faults: How many there are, by stage and fault.
        named: The first `NAMED` of each.
    """

    source: SourceSums
    labelled: LabelledSums
    rejected: RejectedSums
    documents: int
    faults: dict[str, dict[str, int]]
    named: tuple[Mismatch, ...]

    @property
    def adds_up(self) -> bool:
        """Say whether nothing is lost and nothing is there twice."""
        return not self.named

    def ids(self, fault: Fault) -> tuple[str, ...]:
        """Return the names of one fault, in all stages."""
        return tuple(finding.id for finding in self.named if finding.fault is fault)


class Findings:
    """Counts findings, keeps the first of each kind, and passes all of them on."""

    def __init__(self, found: Callable[[Mismatch], None] = lambda _: None) -> None:
        self._found = found
        self._counts: Counter[tuple[ReconcileStage, Fault]] = Counter()
        self.named: list[Mismatch] = []

    def add(self, finding: Mismatch | None) -> None:
        """Take a finding, if it is one."""
        if finding is None:
            return
        self._found(finding)
        kind = finding.stage, finding.fault
        self._counts[kind] += 1
        if self._counts[kind] <= NAMED:
            self.named.append(finding)

    def count(self, stage: ReconcileStage, *faults: Fault) -> int:
        """Return how many there are of some faults."""
        return sum(self._counts[stage, fault] for fault in faults)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return how many there are of each."""
        return {
            stage.value: {fault.value: self.count(stage, fault) for fault in faults}
            for stage, faults in _FAULTS.items()
        }


class Seen(NamedTuple):
    """What matters of a record.

    Attributes:
        source: Of the line that it is about.
        line: None if it is about no line.
        review: None if it is about no review.
    """

    source: str
    line: LineRow | None
    review: ReviewRow | None


class Reconciler:
    """Takes in what the stages hold, in whatever order, and compares.

    Args:
        source: Its name in every origin.
        by_line: An empty sorter of `LineRow`s.
        by_review: One of `ReviewRow`s.
    """

    def __init__(self, source: str, by_line: Sorter, by_review: Sorter) -> None:
        self._by_line = by_line
        self._by_review = by_review
        self.source = SourceSums(name=source)
        self.labelled = LabelledSums()
        self.rejected = RejectedSums()

    def take_source(self, lines: Iterable[Line | Oversized]) -> None:
        """Take the lines of the source."""
        for names in batches(self._names(lines), AT_ONCE):
            self.source.lines += len(names)
            self._by_line.add(LineRow(offset, About.SOURCE, 0, "", name) for offset, name in names)
            self._by_review.add(ReviewRow(name, About.SOURCE, 0, 0, 0) for _, name in names if name)

    def take_labelled(self, records: Iterable[Seen]) -> None:
        """Take the records of the topic of labelled reviews."""
        for some in batches(records, AT_ONCE):
            self.labelled.records += len(some)
            self.labelled.elsewhere += self._take_lines(some)
            reviews = [one.review for one in some if one.review is not None]
            self.labelled.deletions += sum(review.version == DELETED for review in reviews)
            self._by_review.add(reviews)

    def take_rejected(self, records: Iterable[Seen]) -> None:
        """Take the records of the topic of rejections."""
        for some in batches(records, AT_ONCE):
            self.rejected.records += len(some)
            self.rejected.elsewhere += self._take_lines(some)

    def compare_topics(self, findings: Findings) -> None:
        """Judge every line, when the source and both topics were taken."""
        for offset, rows in groupby(map(LineRow._make, self._by_line.rows()), itemgetter(0)):
            audit = LineAudit(offset)
            for row in rows:
                findings.add(audit.see(row))
            findings.add(audit.end())
            self.labelled.lines += audit.is_labelled
            self.labelled.newer += audit.newer
            self.rejected.lines += audit.is_rejected

    def compare_index(self, documents: Sorter, findings: Findings) -> int:
        """Judge every review; may be called again with an index that has changed.

        Args:
            documents: `ReviewRow`s of the index.
            findings: To be filled.

        Returns:
            How many documents there are.
        """
        found = self.source.reviews = self.labelled.reviews = 0
        both = map(ReviewRow._make, merge(self._by_review.rows(), documents.rows()))
        for review_id, rows in groupby(both, itemgetter(0)):
            audit = ReviewAudit(review_id)
            for row in rows:
                audit.see(row)
            findings.add(audit.end())
            self.source.reviews += audit.is_in_source
            self.labelled.reviews += audit.is_published
            found += audit.documents
        return found

    def _names(self, lines: Iterable[Line | Oversized]) -> Iterator[tuple[int, str]]:
        for line in lines:
            if isinstance(line, Line) and is_blank(line.data):
                self.source.blank += 1
            else:
                yield line.offset, _review_id(line)

    def _take_lines(self, records: Iterable[Seen]) -> int:
        """Take what is about lines of the source, and return how many are about another's."""
        about = [(one.source, one.line) for one in records if one.line is not None]
        mine = [line for source, line in about if source == self.source.name]
        self._by_line.add(mine)
        return len(about) - len(mine)


def _review_id(line: Line | Oversized) -> str:
    """Return the id of a line that can be read, otherwise nothing."""
    outcome = parse_review(line.data) if isinstance(line, Line) else None
    return outcome.value.review_id if isinstance(outcome, Ok) else ""
