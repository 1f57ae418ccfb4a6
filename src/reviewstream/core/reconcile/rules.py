"""Rules of reconciliation for the records of one line and of one review.

Rows arrive in sort order and only counts are kept, so memory use does not depend on the number of
records of a line.
"""

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from reviewstream.core.records.lineage import Cause

DELETED: Final = -1  # version of a record that deletes the review


class ReconcileStage(StrEnum):
    """The stage of a mismatch."""

    TOPICS = "topics"
    INDEX = "index"


class Fault(StrEnum):
    """The kind of a mismatch.

    A line is MISSING if it is on no topic, and DOUBLED if it has two outcomes or two records of one
    version; a record is UNKNOWN if its line is not in the source, or is another review there. A
    review is MISSING if it has no document, DOUBLED with several documents, OUTDATED if its
    document is older than its newest record; a document is UNKNOWN if no record explains it. A
    record is UNREADABLE if it cannot be decoded.
    """

    MISSING = "missing"
    DOUBLED = "doubled"
    UNKNOWN = "unknown"
    OUTDATED = "outdated"
    UNREADABLE = "unreadable"


class Mismatch(Struct, frozen=True, kw_only=True):
    """One mismatch.

    Attributes:
        id: Id of the review; `@OFFSET` for a line without a valid id; the place of an unreadable
            record.
        offset: Offset of the line; None if the mismatch does not concern a line.
    """

    stage: ReconcileStage
    fault: Fault
    id: str
    offset: int | None = None


class About(IntEnum):
    """The kind of a row; also the sort order within a group of rows."""

    SOURCE = 0
    LABELLED = 1
    REJECTED = 2
    DOCUMENT = 3


class LineRow(NamedTuple):
    """A line of the source, or a record about it.

    Attributes:
        about: Never DOCUMENT.
        version: Version of a labelled review; otherwise 0.
        cause: `Cause` of a record.
        review_id: Empty if there is no valid id.
    """

    offset: int
    about: int
    version: int
    cause: str
    review_id: str


class ReviewRow(NamedTuple):
    """A line of the source, a record or a document of one review.

    Attributes:
        about: Never REJECTED.
        partition: Partition of a record.
        at: Offset of a record in its partition.
        version: Version of a record or document; `DELETED` for a deletion.
    """

    review_id: str
    about: int
    partition: int
    at: int
    version: int


class LineAudit:
    """An audit of all rows with one offset.

    Attributes:
        is_line: Whether the source has a line there.
        is_labelled: Whether the line has a label, even after a rejection.
        is_rejected: Whether the line has a rejection and no label.
        newer: Records with a newer version of the label than the first.
    """

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._review_id: str | None = None  # until a line is seen
        self._version = DELETED  # no label has this version
        self._versions = 0
        self._is_labelled_first = False
        self._refusals = 0
        self._is_refused_later = False
        self._is_doubled = False

    @property
    def is_line(self) -> bool:
        """Whether the source has a line at this offset."""
        return self._review_id is not None

    @property
    def is_labelled(self) -> bool:
        """Whether the line has a label, even after a rejection."""
        return self._versions > 0

    @property
    def is_rejected(self) -> bool:
        """Whether the line has a rejection and no label."""
        return not self._versions and (self._refusals > 0 or self._is_refused_later)

    @property
    def newer(self) -> int:
        """Number of records with a newer version of the label than the first."""
        return max(0, self._versions - 1)

    def see(self, row: LineRow) -> Mismatch | None:
        """Add a row; return its mismatch if the row itself is wrong."""
        if row.about == About.SOURCE:
            self._review_id = row.review_id
            return None
        if row.cause == Cause.REPEATED:
            return None
        if self._is_strange(row):
            name = row.review_id or f"@{row.offset}"
            return Mismatch(
                stage=ReconcileStage.TOPICS, fault=Fault.UNKNOWN, id=name, offset=row.offset
            )
        if row.about == About.LABELLED:
            self._see_label(row)
        elif row.cause == Cause.LINE:
            self._refusals += 1
        else:
            self._is_refused_later = True
        return None

    def end(self) -> Mismatch | None:
        """Return the mismatch of the line after all rows were added, or None."""
        if not self.is_line:
            return None
        if not (self.is_labelled or self.is_rejected):
            return self._finding(Fault.MISSING)
        has_two_outcomes = self._is_labelled_first and self._refusals > 0
        if self._is_doubled or has_two_outcomes or self._refusals > 1:
            return self._finding(Fault.DOUBLED)
        return None

    def _is_strange(self, row: LineRow) -> bool:
        is_of_this_line = row.about == About.LABELLED and row.cause == Cause.LINE
        return not self.is_line or (is_of_this_line and row.review_id != self._review_id)

    def _see_label(self, row: LineRow) -> None:
        self._is_doubled |= row.version == self._version
        self._versions += row.version != self._version
        self._version = row.version
        self._is_labelled_first |= row.cause == Cause.LINE

    def _finding(self, fault: Fault) -> Mismatch:
        name = self._review_id or f"@{self._offset}"
        return Mismatch(stage=ReconcileStage.TOPICS, fault=fault, id=name, offset=self._offset)


class ReviewAudit:
    """An audit of all rows with one review id.

    Attributes:
        is_in_source: Whether a line has the id.
        is_published: Whether the review has a record and was not deleted after it.
        documents: Number of documents.
    """

    def __init__(self, review_id: str) -> None:
        self.is_in_source = False
        self.documents = 0
        self._review_id = review_id
        self._newest: int | None = None
        self._indexed = 0

    @property
    def is_published(self) -> bool:
        """Whether the review has a record and was not deleted after it."""
        return self._newest is not None

    def see(self, row: ReviewRow) -> None:
        """Add a row."""
        if row.about == About.SOURCE:
            self.is_in_source = True
        elif row.about == About.DOCUMENT:
            self.documents += 1
            self._indexed = max(self._indexed, row.version)
        elif row.version == DELETED:
            self._newest = None
        else:
            self._newest = max(self._newest or 0, row.version)

    def end(self) -> Mismatch | None:
        """Return the mismatch after all rows were added, or None."""
        fault = self._fault()
        if fault is None:
            return None
        return Mismatch(stage=ReconcileStage.INDEX, fault=fault, id=self._review_id)

    def _fault(self) -> Fault | None:
        if self.documents > 1:
            return Fault.DOUBLED
        if self._newest is None:
            return Fault.UNKNOWN if self.documents else None
        if not self.documents:
            return Fault.MISSING
        return Fault.OUTDATED if self._indexed < self._newest else None
