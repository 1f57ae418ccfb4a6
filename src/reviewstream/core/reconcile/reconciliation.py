"""Reconciliation: every line has one outcome, every labelled review is in the index.

Rows of all stages are sorted together, by line and by review, and each group is checked separately,
so that memory use does not depend on their number.
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

NAMED: Final = 100  # findings listed per fault and stage
AT_ONCE: Final = 1_000  # rows in memory at once

_FAULTS: Final = {
    ReconcileStage.TOPICS: (Fault.MISSING, Fault.DOUBLED, Fault.UNKNOWN, Fault.UNREADABLE),
    ReconcileStage.INDEX: (Fault.MISSING, Fault.DOUBLED, Fault.UNKNOWN, Fault.OUTDATED),
}


class SourceSums(Struct, kw_only=True):
    """Counts of the source.

    Attributes:
        name: Name in every origin.
        lines: Lines without blank ones.
        reviews: Distinct ids in the valid lines.
    """

    name: str
    lines: int = 0
    blank: int = 0
    reviews: int = 0


class LabelledSums(Struct, kw_only=True):
    """Counts of the topic of labelled reviews.

    Attributes:
        records: All records.
        elsewhere: Records of other sources.
        deletions: Records that delete a review.
        newer: Records with a newer version of a line's label.
        lines: Lines of the source with a label.
        reviews: Distinct ids from all sources, without deleted reviews.
    """

    records: int = 0
    elsewhere: int = 0
    deletions: int = 0
    newer: int = 0
    lines: int = 0
    reviews: int = 0


class RejectedSums(Struct, kw_only=True):
    """Counts of the topic of rejections.

    Attributes:
        records: All records.
        elsewhere: Records of other sources.
        lines: Lines of the source that are rejected and have no label.
    """

    records: int = 0
    elsewhere: int = 0
    lines: int = 0


class Reconciliation(Struct, kw_only=True):
    """Counts of each stage, and the mismatches.

    Attributes:
        documents: Number of documents in the index.
        faults: Number of mismatches, by stage and fault.
        named: The first `NAMED` mismatches of each fault and stage.
    """

    source: SourceSums
    labelled: LabelledSums
    rejected: RejectedSums
    documents: int
    faults: dict[str, dict[str, int]]
    named: tuple[Mismatch, ...]

    @property
    def adds_up(self) -> bool:
        """Say whether there are no mismatches: nothing is lost or duplicated."""
        return not self.named

    def ids(self, fault: Fault) -> tuple[str, ...]:
        """Return the ids of the mismatches with one fault, in all stages."""
        return tuple(finding.id for finding in self.named if finding.fault is fault)


class Findings:
    """A collector of mismatches: counts them, keeps the first of each kind, and forwards all."""

    def __init__(self, found: Callable[[Mismatch], None] = lambda _: None) -> None:
        self._found = found
        self._counts: Counter[tuple[ReconcileStage, Fault]] = Counter()
        self.named: list[Mismatch] = []

    def add(self, finding: Mismatch | None) -> None:
        """Add a mismatch; None is ignored."""
        if finding is None:
            return
        self._found(finding)
        kind = finding.stage, finding.fault
        self._counts[kind] += 1
        if self._counts[kind] <= NAMED:
            self.named.append(finding)

    def count(self, stage: ReconcileStage, *faults: Fault) -> int:
        """Return the number of mismatches with some faults in a stage."""
        return sum(self._counts[stage, fault] for fault in faults)

    def counts(self) -> dict[str, dict[str, int]]:
        """Return the number of mismatches by stage and fault."""
        return {
            stage.value: {fault.value: self.count(stage, fault) for fault in faults}
            for stage, faults in _FAULTS.items()
        }


class Seen(NamedTuple):
    """The parts of a record that reconciliation needs.

    Attributes:
        source: Source of the record's line.
        line: None if the record has no line.
        review: None if the record has no review.
    """

    source: str
    line: LineRow | None
    review: ReviewRow | None


class Reconciler:
    """A comparison of the stages; rows may be added in any order.

    Args:
        source: Name of the source in every origin.
        by_line: An empty sorter for `LineRow`s.
        by_review: An empty sorter for `ReviewRow`s.
    """

    def __init__(self, source: str, by_line: Sorter, by_review: Sorter) -> None:
        self._by_line = by_line
        self._by_review = by_review
        self.source = SourceSums(name=source)
        self.labelled = LabelledSums()
        self.rejected = RejectedSums()

    def take_source(self, lines: Iterable[Line | Oversized]) -> None:
        """Add the lines of the source."""
        for names in batches(self._names(lines), AT_ONCE):
            self.source.lines += len(names)
            self._by_line.add(LineRow(offset, About.SOURCE, 0, "", name) for offset, name in names)
            self._by_review.add(ReviewRow(name, About.SOURCE, 0, 0, 0) for _, name in names if name)

    def take_labelled(self, records: Iterable[Seen]) -> None:
        """Add the records of the topic of labelled reviews."""
        for some in batches(records, AT_ONCE):
            self.labelled.records += len(some)
            self.labelled.elsewhere += self._take_lines(some)
            reviews = [one.review for one in some if one.review is not None]
            self.labelled.deletions += sum(review.version == DELETED for review in reviews)
            self._by_review.add(reviews)

    def take_rejected(self, records: Iterable[Seen]) -> None:
        """Add the records of the topic of rejections."""
        for some in batches(records, AT_ONCE):
            self.rejected.records += len(some)
            self.rejected.elsewhere += self._take_lines(some)

    def compare_topics(self, findings: Findings) -> None:
        """Check every line, after the source and both topics were added."""
        for offset, rows in groupby(map(LineRow._make, self._by_line.rows()), itemgetter(0)):
            audit = LineAudit(offset)
            for row in rows:
                findings.add(audit.see(row))
            findings.add(audit.end())
            self.labelled.lines += audit.is_labelled
            self.labelled.newer += audit.newer
            self.rejected.lines += audit.is_rejected

    def compare_index(self, documents: Sorter, findings: Findings) -> int:
        """Check every review; may be called again after the index has changed.

        Args:
            documents: `ReviewRow`s of the index.
            findings: Collector of the mismatches.

        Returns:
            The number of documents.
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
        """Add the rows of this source's lines; return the number of rows of other sources."""
        about = [(one.source, one.line) for one in records if one.line is not None]
        mine = [line for source, line in about if source == self.source.name]
        self._by_line.add(mine)
        return len(about) - len(mine)


def _review_id(line: Line | Oversized) -> str:
    """Return the id of a valid line, or an empty string."""
    outcome = parse_review(line.data) if isinstance(line, Line) else None
    return outcome.value.review_id if isinstance(outcome, Ok) else ""
