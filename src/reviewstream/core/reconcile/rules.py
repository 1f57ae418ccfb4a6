"""Does what is said of one line, and of one review, add up?

Everything is seen in the order of the rows, and nothing is kept but counts: it does not matter how
many records a line has.
"""

from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

from msgspec import Struct

from reviewstream.core.records.lineage import Cause

DELETED: Final = -1  # in the place of a version: the record deletes the review


class ReconcileStage(StrEnum):
    """Where it does not add up."""

    TOPICS = "topics"
    INDEX = "index"


class Fault(StrEnum):
    """What does not add up.

    A line is MISSING that is on no topic, DOUBLED if it has two outcomes or two records of one
    version; a record is UNKNOWN whose line is not in the source, or is another review there.
    A review is MISSING that has no document, DOUBLED with several, OUTDATED if its document is
    older than its newest record; a document is UNKNOWN that no record explains. UNREADABLE is what
    is no record of ours.
    """

    MISSING = "missing"
    DOUBLED = "doubled"
    UNKNOWN = "unknown"
    OUTDATED = "outdated"
    UNREADABLE = "unreadable"


class Mismatch(Struct, frozen=True, kw_only=True):
    """One thing that does not add up.

    Attributes:
        id: Of the review; `@OFFSET` of a line without a readable one; the place of a record that
            cannot be read.
        offset: Of the line; None where it is not about a line.
    """

    stage: ReconcileStage
    fault: Fault
    id: str
    offset: int | None = None


class About(IntEnum):
    """What a row is; in one group of rows they come in this order."""

    SOURCE = 0
    LABELLED = 1
    REJECTED = 2
    DOCUMENT = 3


class LineRow(NamedTuple):
    """A line of the source, or a record about it.

    Attributes:
        about: Not DOCUMENT.
        version: Of a labelled review; of others 0.
        cause: Of a record; a `Cause`.
        review_id: Empty if there is none that can be read.
    """

    offset: int
    about: int
    version: int
    cause: str
    review_id: str


class ReviewRow(NamedTuple):
    """A line of the source, a record or a document of one review.

    Attributes:
        about: Not REJECTED.
        partition: Of a record.
        at: Offset of a record in its partition.
        version: Of a record or document; `DELETED` of a record that deletes.
    """

    review_id: str
    about: int
    partition: int
    at: int
    version: int


class LineAudit:
    """Sees all rows of one offset.

    Attributes:
        is_line: The source has a line there.
        is_labelled: It has a record of a label, whatever was said before.
        is_rejected: It has none, and a rejection.
        newer: Records with a newer version of the label than the first.
    """

    def __init__(self, offset: int) -> None:
        self._offset = offset
        self._review_id: str | None = None  # there is no such line
        self._version = DELETED  # no label has it
        self._versions = 0
        self._is_labelled_first = False
        self._refusals = 0
        self._is_refused_later = False
        self._is_doubled = False

    @property
    def is_line(self) -> bool:
        """See above."""
        return self._review_id is not None

    @property
    def is_labelled(self) -> bool:
        """See above."""
        return self._versions > 0

    @property
    def is_rejected(self) -> bool:
        """See above."""
        return not self._versions and (self._refusals > 0 or self._is_refused_later)

    @property
    def newer(self) -> int:
        """See above."""
        return max(0, self._versions - 1)

    def see(self, row: LineRow) -> Mismatch | None:
        """Take a row, and return what is wrong with it by itself."""
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
        """Return what is wrong with the line, when all rows were seen."""
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
    """Sees all rows of one review id.

    Attributes:
        is_in_source: A line has the id.
        is_published: It has a record, and was not deleted after it.
        documents: How many there are.
    """

    def __init__(self, review_id: str) -> None:
        self.is_in_source = False
        self.documents = 0
        self._review_id = review_id
        self._newest: int | None = None
        self._indexed = 0

    @property
    def is_published(self) -> bool:
        """See above."""
        return self._newest is not None

    def see(self, row: ReviewRow) -> None:
        """Take a row."""
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
        """Return what is wrong, when all rows were seen."""
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
