"""One line and one review are judged rightly, whatever is said of them."""

from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
from reviewstream.core.records.lineage import Cause

LINE = LineRow(7, About.SOURCE, 0, "", "a")
BAD_LINE = LINE._replace(review_id="")
MISSING, DOUBLED, UNKNOWN, OUTDATED = (
    Fault.MISSING,
    Fault.DOUBLED,
    Fault.UNKNOWN,
    Fault.OUTDATED,
)


def label(version: int = 5, cause: Cause = Cause.LINE, review_id: str = "a") -> LineRow:
    return LineRow(7, About.LABELLED, version, cause, review_id)


def refusal(cause: Cause = Cause.LINE) -> LineRow:
    return LineRow(7, About.REJECTED, 0, cause, "")


def audited(rows: Sequence[LineRow]) -> tuple[LineAudit, list[Mismatch]]:
    audit = LineAudit(7)
    found = [audit.see(row) for row in sorted(rows)]
    return audit, [finding for finding in [*found, audit.end()] if finding]


def faults(*rows: LineRow) -> list[Fault]:
    return [finding.fault for finding in audited(rows)[1]]


@pytest.mark.parametrize(
    "rows",
    [
        (LINE, label()),
        (LINE, label(), label(6, Cause.RELABELLED), label(7, Cause.RELABELLED)),
        (LINE, label(), label(6)),  # all was streamed again with a higher generation
        (LINE, label(), refusal(Cause.RELABELLED), refusal(Cause.RELABELLED)),
        (LINE, label(), label(cause=Cause.REPEATED), label(cause=Cause.REPEATED)),
        (LINE, refusal()),
        (BAD_LINE, refusal()),
        (BAD_LINE, refusal(), label(cause=Cause.REPLAYED, review_id="repaired")),
        (LINE, refusal(), label(cause=Cause.REPLAYED), label(6, Cause.RELABELLED)),
        (),
    ],
    ids=str,
)
def test_what_adds_up_is_no_finding(rows: Sequence[LineRow]) -> None:
    assert faults(*rows) == []


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ((LINE,), MISSING),
        ((LINE, label(cause=Cause.REPEATED)), MISSING),
        ((LINE, label(), label()), DOUBLED),
        ((LINE, label(), label(), label(6)), DOUBLED),
        ((LINE, label(6, Cause.RELABELLED), label(6, Cause.RELABELLED)), DOUBLED),
        ((LINE, refusal(), refusal()), DOUBLED),
        ((LINE, label(), refusal()), DOUBLED),
        ((LINE, refusal(), label(cause=Cause.REPLAYED), label(cause=Cause.REPLAYED)), DOUBLED),
        ((LINE, label(), refusal(), label(6, Cause.RELABELLED)), DOUBLED),
    ],
    ids=str,
)
def test_what_does_not_add_up_is_named_by_its_id_and_offset(
    rows: Sequence[LineRow], fault: Fault
) -> None:
    wrong = Mismatch(stage=ReconcileStage.TOPICS, fault=fault, id="a", offset=7)
    assert audited(rows)[1] == [wrong]


def test_a_line_without_a_readable_id_is_called_by_its_offset() -> None:
    assert audited([BAD_LINE])[1][0].id == "@7"


def test_a_record_of_no_line_is_unknown_whatever_it_is() -> None:
    wrong = [finding.id for finding in audited([label(), label(6, Cause.REPLAYED), refusal()])[1]]
    assert wrong == ["a", "a", "@7"]
    assert faults(label(), refusal()) == [UNKNOWN, UNKNOWN]


def test_a_record_of_another_review_is_unknown_and_the_line_is_missing() -> None:
    assert audited([LINE, label(review_id="b")])[1] == [
        Mismatch(stage=ReconcileStage.TOPICS, fault=UNKNOWN, id="b", offset=7),
        Mismatch(stage=ReconcileStage.TOPICS, fault=MISSING, id="a", offset=7),
    ]


@pytest.mark.parametrize(
    ("rows", "counts"),
    [
        ((LINE, label()), (True, True, False, 0)),
        ((LINE, label(), label()), (True, True, False, 0)),
        ((LINE, label(), label(6), label(7)), (True, True, False, 2)),
        ((LINE, refusal()), (True, False, True, 0)),
        ((LINE, refusal(Cause.RELABELLED)), (True, False, True, 0)),
        ((LINE, refusal(), label(cause=Cause.REPLAYED)), (True, True, False, 0)),
        ((LINE,), (True, False, False, 0)),
        ((label(), refusal()), (False, False, False, 0)),
    ],
    ids=str,
)
def test_a_line_is_counted_once(
    rows: Sequence[LineRow], counts: tuple[bool, bool, bool, int]
) -> None:
    audit = audited(rows)[0]
    assert (audit.is_line, audit.is_labelled, audit.is_rejected, audit.newer) == counts


rows_of_a_line = st.lists(
    st.builds(label, st.integers(1, 3), st.sampled_from(Cause), st.sampled_from("ab"))
    | st.builds(refusal, st.sampled_from(Cause)),
    max_size=6,
)


@given(rows_of_a_line)
def test_whatever_is_said_of_a_line_the_verdict_is_that_of_the_rules(rows: list[LineRow]) -> None:
    """The rules once more, as one would write them down."""
    first = [row for row in rows if row.cause == Cause.LINE]
    labels = [
        row
        for row in rows
        if row.about == About.LABELLED and row.cause != Cause.REPEATED
        if row.cause != Cause.LINE or row.review_id == "a"
    ]
    refusals = [row for row in rows if row.about == About.REJECTED and row.cause != Cause.REPEATED]
    strange = [row for row in first if row.about == About.LABELLED and row.review_id != "a"]
    outcomes = {row.about for row in first} - ({About.LABELLED} if not labels else set())
    is_doubled = (
        max(Counter(row.version for row in labels).values(), default=0) > 1
        or len([row for row in refusals if row.cause == Cause.LINE]) > 1
        or (
            any(row.cause == Cause.LINE for row in labels)
            and any(row.cause == Cause.LINE for row in refusals)
        )
    )
    expected = [UNKNOWN] * len(strange)
    if not (labels or refusals):
        expected.append(MISSING)
    elif is_doubled:
        expected.append(DOUBLED)
    assert outcomes <= {About.LABELLED, About.REJECTED}
    assert faults(LINE, *rows) == expected


def seen(*rows: ReviewRow) -> ReviewAudit:
    audit = ReviewAudit("a")
    for row in sorted(rows):
        audit.see(row)
    return audit


def record(at: int, version: int) -> ReviewRow:
    return ReviewRow("a", About.LABELLED, 0, at, version)


def document(version: int) -> ReviewRow:
    return ReviewRow("a", About.DOCUMENT, 0, 0, version)


IN_SOURCE = ReviewRow("a", About.SOURCE, 0, 0, 0)


@pytest.mark.parametrize(
    ("rows", "fault"),
    [
        ((record(0, 5), document(5)), None),
        ((record(0, 0), document(0)), None),
        ((record(0, 5), record(1, 4), document(5)), None),
        ((record(0, 5), document(6)), None),  # it was read a moment later
        ((record(0, 5), record(1, DELETED)), None),
        ((record(0, 5), record(1, DELETED), record(2, 4), document(4)), None),
        ((IN_SOURCE,), None),  # the line is rejected, or missing on the topics already
        ((IN_SOURCE, record(0, 5)), MISSING),
        ((record(0, 0),), MISSING),
        ((record(0, 5), record(1, 6), document(5)), OUTDATED),
        ((record(0, 6), record(1, 5), document(5)), OUTDATED),
        ((record(0, 1), document(0)), OUTDATED),
        ((record(0, 5), record(1, DELETED), document(5)), UNKNOWN),
        ((IN_SOURCE, document(0)), UNKNOWN),
        ((record(0, 5), document(5), document(5)), DOUBLED),
        ((document(5), document(4)), DOUBLED),
    ],
    ids=str,
)
def test_a_review_is_in_the_index_once_and_as_new_as_on_the_topic(
    rows: Sequence[ReviewRow], fault: Fault | None
) -> None:
    expected = fault and Mismatch(stage=ReconcileStage.INDEX, fault=fault, id="a")
    assert seen(*rows).end() == expected


def test_a_review_is_counted_in_each_stage() -> None:
    audit = seen(IN_SOURCE, IN_SOURCE, record(0, 1), record(1, 2), document(1), document(2))
    assert (audit.is_in_source, audit.is_published, audit.documents) == (True, True, 2)
    audit = seen(record(0, 1), record(1, DELETED))
    assert (audit.is_in_source, audit.is_published, audit.documents) == (False, False, 0)
