"""Reconciliation finds every planted fault, and nothing else."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.app import topic_names
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.core.delivery.publishing import Publisher, find_topics
from reviewstream.core.index.mapping import index_mapping
from reviewstream.core.reconcile.reconciliation import NAMED, Reconciliation
from reviewstream.core.reconcile.rules import Fault, Mismatch, ReconcileStage
from reviewstream.core.reconcile.services import ReconcileRun, ReconcileServices
from reviewstream.core.records.lineage import Cause
from reviewstream.core.records.parsing import to_line
from reviewstream.core.records.reviews import (
    LabelledReview,
    Origin,
    Provenance,
    Reason,
    RejectedReview,
    Review,
    Sentiment,
)
from reviewstream.core.records.reviews import Stage as Step
from reviewstream.core.records.versions import external_version
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.settings import KafkaSettings
from reviewstream.testing import MemoryIndex, MemoryLog, MemoryRegistry, MemorySorter

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOPICS = topic_names(KafkaSettings())
SOURCE = "review.json"


def review(review_id: str, *, year: int = 2020) -> Review:
    return Review(
        review_id=review_id,
        user_id="u",
        business_id="b",
        stars=3,
        text="",
        written_at=datetime(year, 1, 1, tzinfo=UTC),
    )


class Bed:
    """Topics and an index in memory, and what a stream would have put there.

    Args:
        ids: Of each line; an empty one is a line that cannot be read.
    """

    stride = 100  # bytes between two lines

    def __init__(self, *ids: str) -> None:
        self.ids = dict(enumerate(ids))
        self.log = MemoryLog()
        self.registry = MemoryRegistry()
        self.index = MemoryIndex()
        self.index.setup(index_mapping(schema_text("labelled_review")))
        self.log.ensure([TOPICS.labelled, TOPICS.rejected])
        self.topics = find_topics(TOPICS, self.registry, address="", auto_register=True)
        self.publisher = Publisher(self.topics, self.log.sink())
        self.found: list[Mismatch] = []
        self.told: list[tuple[str, int, int]] = []

    def stream(self) -> Self:
        """Give every line its outcome."""
        for number, name in self.ids.items():
            if name:
                self.label(number)
            else:
                self.reject(number)
        return self

    def label(  # noqa: PLR0913 - facts about one record
        self,
        number: int,
        *,
        name: str | None = None,
        generation: int = 0,
        cause: Cause = Cause.LINE,
        source: str = SOURCE,
        indexed: bool = True,
    ) -> LabelledReview:
        labelled = LabelledReview.of(
            review(self.ids[number] if name is None else name),
            sentiment=Sentiment.NEUTRAL,
            confidence=None,
            provenance=Provenance(
                model="m", prompt_version=1, generation=generation, labelled_at=NOW
            ),
            origin=Origin(source=source, offset=number * self.stride),
        )
        self.publisher.publish(labelled, cause=cause)
        self.publisher.flush()
        if indexed:
            self.put(labelled)
        return labelled

    def put(self, labelled: LabelledReview) -> None:
        version = external_version(labelled.written_at, labelled.provenance.generation)
        self.index.put({"review_id": labelled.review_id}, version)

    def reject(self, number: int, *, cause: Cause = Cause.LINE) -> None:
        rejected = RejectedReview(
            stage=Step.PARSE,
            reason=Reason.NOT_JSON,
            detail="$",
            raw=b"{",
            origin=Origin(source=SOURCE, offset=number * self.stride),
            rejected_at=NOW,
        )
        self.publisher.publish(rejected, cause=cause)
        self.publisher.flush()

    def put_raw(self, key: bytes, value: bytes | None) -> None:
        if value is None:
            self.log.append_tombstone(TOPICS.labelled, key)
        else:
            self.log.append(OutgoingRecord(topic=TOPICS.labelled, key=key, value=value))

    def lines(self) -> Iterator[Line | Oversized]:
        yield Line(self.stride - 1, b" \r")
        for number, name in self.ids.items():
            data = to_line(review(name)) if name else b"{"
            yield Line(number * self.stride, data)

    def sums(self) -> Reconciliation:
        stages = ReconcileServices(
            log=self.log, registry=self.registry, index=self.index, topics=TOPICS
        )
        self.found.clear()
        comparison = ReconcileRun(
            stages,
            MemorySorter,
            found=self.found.append,
            tell=lambda *told: self.told.append(told),
        )
        return comparison.run(SOURCE, self.lines())

    def findings(self) -> list[tuple[str, str, str]]:
        """Return (stage, fault, id) of everything, and see that the verdict agrees."""
        sums = self.sums()
        assert sums.adds_up is (not self.found)
        counted = Counter((one.stage, one.fault) for one in self.found)
        assert counts(sums.faults) == {key: count for key, count in counted.items() if count}
        return sorted((one.stage.value, one.fault.value, one.id) for one in self.found)


def counts(faults: Mapping[str, Mapping[str, int]]) -> dict[tuple[ReconcileStage, Fault], int]:
    return {
        (ReconcileStage(stage), Fault(fault)): count
        for stage, by_fault in faults.items()
        for fault, count in by_fault.items()
        if count
    }


def test_a_clean_run_adds_up() -> None:
    bed = Bed("a", "b", "", "a").stream()
    sums = bed.sums()
    assert sums.adds_up
    source = sums.source
    assert (source.name, source.lines, source.blank, source.reviews) == (SOURCE, 4, 1, 2)
    labelled = sums.labelled
    assert (labelled.records, labelled.lines, labelled.reviews) == (3, 3, 2)
    assert (labelled.newer, labelled.elsewhere, labelled.deletions) == (0, 0, 0)
    assert (sums.rejected.records, sums.rejected.lines, sums.documents) == (1, 1, 2)


def test_no_line_at_all_adds_up() -> None:
    assert Bed().findings() == []


def test_a_label_that_was_replaced_is_no_double() -> None:
    bed = Bed("a", "b").stream()
    bed.label(0, generation=1, cause=Cause.RELABELLED)
    bed.reject(1, cause=Cause.RELABELLED)
    assert bed.findings() == []
    sums = bed.sums()
    assert (sums.labelled.lines, sums.labelled.records, sums.labelled.newer) == (2, 3, 1)
    assert (sums.rejected.lines, sums.rejected.records) == (0, 1)


def test_a_rejection_that_was_replayed_is_no_double() -> None:
    bed = Bed("a", "").stream()
    assert bed.sums().rejected.lines == 1
    bed.label(1, name="repaired", cause=Cause.REPLAYED)
    assert bed.findings() == []
    sums = bed.sums()
    assert (sums.labelled.lines, sums.rejected.lines, sums.rejected.records) == (2, 0, 1)


def test_a_document_with_an_older_label_is_outdated() -> None:
    bed = Bed("a").stream()
    bed.label(0, generation=1, cause=Cause.RELABELLED, indexed=False)
    assert bed.findings() == [("index", "outdated", "a")]


def test_a_review_that_was_deleted_need_not_be_in_the_index() -> None:
    bed = Bed("a", "b").stream()
    bed.put_raw(b"a", None)
    assert bed.findings() == [("index", "unknown", "a")]
    bed.index.delete("a")
    assert bed.findings() == []
    assert (bed.sums().labelled.deletions, bed.sums().labelled.reviews) == (1, 1)


def test_records_of_another_source_are_counted_apart_and_belong_in_the_index() -> None:
    bed = Bed("a").stream()
    bed.label(0, name="x", source="other.json")
    sums = bed.sums()
    assert sums.adds_up
    assert (sums.labelled.elsewhere, sums.labelled.lines, sums.labelled.reviews) == (1, 1, 2)
    bed.label(0, name="y", source="other.json", indexed=False)
    assert bed.findings() == [("index", "missing", "y")]


def test_a_record_that_is_none_of_ours_is_named_by_its_place() -> None:
    bed = Bed("a").stream()
    bed.put_raw(b"x", b"hello")
    ((stage, fault, name),) = bed.findings()
    assert (stage, fault) == ("topics", "unreadable")
    assert name.startswith("reviews.labelled/")
    assert name.endswith(("@0", "@1"))


def test_the_first_of_each_kind_are_named_and_all_are_told_and_counted() -> None:
    bed = Bed(*(f"r{number:03}" for number in range(3 * NAMED)))
    sums = bed.sums()
    assert sums.faults["topics"]["missing"] == len(bed.found) == 3 * NAMED
    assert sums.ids(Fault.MISSING) == tuple(f"r{number:03}" for number in range(NAMED))


def test_how_far_it_is_is_told() -> None:
    bed = Bed("a", "b", "").stream()
    bed.sums()
    assert bed.told == [("labelled", 2, 2), ("rejected", 1, 1), ("index", 2, 2)]


def test_an_index_that_lags_behind_is_looked_at_until_it_is_complete_or_time_is_up() -> None:
    bed = Bed("a", "b")
    waiting = [bed.label(number, indexed=False) for number in bed.ids]
    stages = ReconcileServices(log=bed.log, registry=bed.registry, index=bed.index, topics=TOPICS)
    looks = 0

    def wait() -> bool:
        nonlocal looks
        looks += 1
        if looks > 1:
            bed.put(waiting.pop())
        return looks < 10

    compared = ReconcileRun(stages, MemorySorter, wait=wait)
    assert compared.run(SOURCE, bed.lines()).adds_up
    assert looks == 3
    waiting = [bed.label(0, generation=number, indexed=False) for number in range(1, 12)]
    waiting.reverse()
    sums = ReconcileRun(stages, MemorySorter, wait=wait).run(SOURCE, bed.lines())
    assert looks == 10
    assert sums.ids(Fault.OUTDATED) == ("a",)


class Closing(MemorySorter):
    closed = False

    def close(self) -> None:
        self.closed = True


def test_sorters_are_closed_whatever_happens() -> None:
    opened: list[Closing] = []

    def open_sorter(width: int) -> Closing:
        opened.append(Closing(width))
        return opened[-1]

    bed = Bed("a").stream()
    stages = ReconcileServices(log=bed.log, registry=bed.registry, index=bed.index, topics=TOPICS)
    ReconcileRun(stages, open_sorter).run(SOURCE, bed.lines())
    assert [each.closed for each in opened] == [True] * 3
    opened.clear()
    bed.log.delete_topic(TOPICS.labelled)
    with pytest.raises(Exception, match="does not exist"):
        ReconcileRun(stages, open_sorter).run(SOURCE, bed.lines())
    assert [each.closed for each in opened] == [True] * 2


PLANTED: dict[str | None, tuple[Callable[[Bed, int], object], str, str]] = {
    "twice": (lambda bed, n: bed.label(n), "topics", "doubled"),
    "refused too": (lambda bed, n: bed.reject(n), "topics", "doubled"),
    "not indexed": (lambda _bed, _n: None, "index", "missing"),
    "relabelled": (lambda bed, n: bed.label(n, generation=1, cause=Cause.RELABELLED), "", ""),
    "repeated": (lambda bed, n: bed.label(n, cause=Cause.REPEATED), "", ""),
}
faults = st.lists(st.sampled_from([None, "lost", *PLANTED]), min_size=1, max_size=12)


@given(faults)
def test_whatever_goes_wrong_is_named_exactly(planted: list[str | None]) -> None:
    bed = Bed(*(f"r{number}" for number in range(len(planted))))
    expected = []
    for number, fault in enumerate(planted):
        name = bed.ids[number]
        if fault == "lost":
            expected.append(("topics", "missing", name))
            continue
        bed.label(number, indexed=fault != "not indexed")
        if fault in PLANTED:
            plant, stage, name_of_it = PLANTED[fault]
            plant(bed, number)
            expected += [(stage, name_of_it, name)] if name_of_it else []
    assert bed.findings() == sorted(expected)
