"""What did not get through is found, and sent again: never lost, never twice."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.core.delivery.decoding import labelled_reader
from reviewstream.core.delivery.fencing import FencedSink
from reviewstream.core.delivery.ports import OutgoingRecord, StoredRecord
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.records.lineage import Cause, made_from
from reviewstream.core.records.outcomes import RAW_LIMIT
from reviewstream.core.records.parsing import to_line
from reviewstream.core.records.reviews import (
    LabelledReview,
    Origin,
    Reason,
    RejectedReview,
    Sentiment,
)
from reviewstream.core.records.reviews import Stage as Step
from reviewstream.core.records.versions import VERSION_HEADER, external_version
from reviewstream.core.rejects.listing import CONNECT, Rejects, Wanted
from reviewstream.core.rejects.patches import repairs
from reviewstream.core.rejects.replaying import Repeater, Replayed, Replayer, ReplayRefusal
from reviewstream.errors import ConfigError, PermanentError, TransientError
from reviewstream.testing import (
    FakeChatModel,
    FakeClock,
    MemoryLedger,
    MemoryTransactionalSink,
    NoLimit,
    judging,
)
from tests.unit.core.reconcile.test_reconciliation import SOURCE, TOPICS, Bed, review
from tests.unit.core.relabel.test_relabelling import Flaky, refusing

LABELLED, LETTERS = TOPICS.labelled, TOPICS.dead_letter
ALL = Wanted()
WELL = judging(lambda _: Sentiment.POSITIVE)


class Pipeline(Bed):
    """Topics, a ledger and a model that outlive every start of a replay."""

    def __init__(self, *ids: str) -> None:
        super().__init__(*ids)
        self.ledger = MemoryLedger()
        self.model = FakeChatModel(WELL)
        self.refusals: list[ReplayRefusal] = []
        self.log.ensure([LETTERS])

    def refuse(
        self,
        number: int,
        raw: bytes | None = None,
        step: Step = Step.LABEL,
        paid: Mapping[str, int] | None = None,
    ) -> None:
        """Reject a line, which as it is could have been labelled, after paying for it."""
        rejected = RejectedReview(
            stage=step,
            reason=Reason.MODEL_REFUSED,
            detail="no",
            raw=to_line(review(self.ids[number])) if raw is None else raw,
            origin=Origin(source=SOURCE, offset=number * self.stride),
            rejected_at=FakeClock().now(),
            **(paid or {}),
        )
        self.publisher.publish(rejected)
        self.publisher.flush()

    def rejects(self, *, letters: bool = False) -> Rejects:
        return Rejects(self.log, self.registry, TOPICS, letters=letters)

    def replay(
        self,
        wanted: Wanted = ALL,
        *,
        repaired: Mapping[str, bytes] | None = None,
        failing_at: int | None = None,
        at_once: int = 2,
    ) -> Replayed:
        """Do what one start of the command does."""
        labeller = Labeller(self.model, self.ledger, NoLimit(), FakeClock(), LabelPolicy(model="m"))
        sink = FencedSink(MemoryTransactionalSink(self.log, "replay"), "replay")
        publisher = Flaky(self.topics, sink)
        publisher.failing_at = failing_at
        replayer = Replayer(labeller.label, publisher, self.refusals.append, repaired)
        found = list(self.rejects().at(self.rejects().remaining(wanted).places))

        async def run() -> Replayed:
            done = Replayed()
            for start in range(0, len(found), at_once):
                done = done.plus(await replayer.replay(found[start : start + at_once]))
            return done

        return asyncio.run(run())

    def repeat(self) -> Replayed:
        rejects = self.rejects(letters=True)
        found = list(rejects.open(ALL))
        repeater = Repeater(self.log.sink(), LABELLED, rejects.labelled, self.refusals.append)
        return asyncio.run(repeater.replay(found))

    def labels(self) -> list[tuple[StoredRecord, LabelledReview]]:
        reader = labelled_reader(self.registry)
        records = [(one, reader.read(one, print)) for one in self.log.read_all(LABELLED)]
        return [(record, found) for record, found in records if found is not None]

    def indexed(self) -> Self:
        """Let the connector bring everything into the index."""
        for _, labelled in self.labels():
            self.put(labelled)
        return self

    def letter(self, record: StoredRecord, *, message: str = "no") -> None:
        """Put a record on the topic of dead letters, as the connector does."""
        context = {
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "exception.class.name": "org.apache.kafka.connect.errors.DataException",
            "exception.message": message,
        }
        added = tuple((f"{CONNECT}{name}", value.encode()) for name, value in context.items())
        self.log.append(
            OutgoingRecord(
                topic=LETTERS,
                key=record.key or b"",
                value=record.value or b"",
                headers=(*record.headers, *added),
            )
        )


def test_a_rejection_is_known_by_its_line_and_says_what_was_wrong() -> None:
    pipeline = Pipeline("a", "").stream()
    (reject,) = pipeline.rejects().all(ALL)
    assert (reject.id, reject.stage, reject.reason) == ("review.json@100", "PARSE", "NOT_JSON")
    assert (reject.raw, reject.detail, reject.is_cut) == (b"{", "$", False)
    assert reject.place.startswith("reviews.rejected/")


def test_those_are_meant_that_are_named_or_have_the_reason() -> None:
    pipeline = Pipeline("", "b")
    pipeline.reject(0)
    pipeline.refuse(1)

    def ids(**wanted: frozenset[str]) -> list[str]:
        return sorted(one.id for one in pipeline.rejects().open(Wanted(**wanted)))

    first, second = "review.json@0", "review.json@100"
    assert ids() == [first, second]
    assert ids(reasons=frozenset({"not_json"})) == [first]
    assert ids(ids=frozenset({second})) == [second]
    assert ids(ids=frozenset({second}), reasons=frozenset({"MODEL_REFUSED", "X"})) == [second]


def test_an_id_that_was_never_rejected_is_named() -> None:
    pipeline = Pipeline("a", "").stream()
    with pytest.raises(PermanentError, match=r"no such reject: review\.json@0, x@y; see "):
        pipeline.rejects().remaining(Wanted(ids=frozenset({"review.json@0", "x@y"})))


def test_a_line_that_has_a_label_is_through_however_often_it_was_rejected() -> None:
    pipeline = Pipeline("a", "b")
    pipeline.label(0)
    pipeline.refuse(0)
    pipeline.refuse(1)
    pipeline.refuse(1)
    left = pipeline.rejects().remaining(ALL)
    assert (len(left.places), left.through) == (1, 1)
    assert [one.id for one in pipeline.rejects().open(ALL)] == ["review.json@100"]
    assert len(list(pipeline.rejects().all(ALL))) == 3


def test_of_a_line_that_was_rejected_more_than_once_the_last_rejection_counts() -> None:
    pipeline = Pipeline("a")
    for raw in (b"first", b"second", b"last"):
        pipeline.refuse(0, raw=raw)
    assert [one.raw for one in pipeline.rejects().open(ALL)] == [b"last"]


def test_a_replayed_review_keeps_its_offset_and_says_what_it_was_made_from() -> None:
    pipeline = Pipeline("a")
    pipeline.refuse(0)
    (reject,) = pipeline.rejects().all(ALL)
    assert pipeline.replay().sent == 1
    ((record, labelled),) = pipeline.labels()
    assert labelled.origin == Origin(source=SOURCE, offset=0)
    assert made_from(record.headers) == (Cause.REPLAYED, reject.place)
    assert pipeline.indexed().findings() == []


def test_a_repaired_line_takes_the_place_of_the_one_that_was_rejected() -> None:
    pipeline = Pipeline("a", "", "").stream()
    fixed = to_line(review("repaired"))
    wanted = Wanted(ids=frozenset({"review.json@100"}))
    assert pipeline.replay(wanted, repaired={"review.json@100": fixed}).sent == 1
    assert sorted(found.review_id for _, found in pipeline.labels()) == ["a", "repaired"]
    assert pipeline.indexed().findings() == []
    assert pipeline.sums().rejected.lines == 1


def test_what_is_still_wrong_stays_rejected_and_is_told() -> None:
    pipeline = Pipeline("", "b", "c")
    pipeline.reject(0)
    pipeline.refuse(1)
    pipeline.refuse(2, raw=to_line(review("c")).ljust(RAW_LIMIT), step=Step.PARSE)
    before = list(pipeline.log.read_all(TOPICS.rejected))

    pipeline.model = refusing("too long")
    assert pipeline.replay(at_once=3) == Replayed(refused=3)
    assert {one.id: one.reason for one in pipeline.refusals} == {
        "review.json@0": "NOT_JSON",
        "review.json@100": "MODEL_BAD_REQUEST",
        "review.json@200": "MODEL_REFUSED",
    }
    assert any("give the whole line by --file" in one.detail for one in pipeline.refusals)
    assert pipeline.labels() == []
    assert list(pipeline.log.read_all(TOPICS.rejected)) == before
    assert pipeline.sums().rejected.lines == 3


def test_the_whole_line_may_be_given_where_only_its_beginning_was_kept() -> None:
    pipeline = Pipeline("c")
    pipeline.refuse(0, raw=b"x" * RAW_LIMIT, step=Step.PARSE)
    assert pipeline.replay(repaired={"review.json@0": to_line(review("c"))}).sent == 1


def test_a_label_that_was_bought_before_is_free() -> None:
    pipeline = Pipeline("a", "b")
    pipeline.refuse(0)
    assert pipeline.replay().from_ledger == 0
    pipeline.refuse(1)
    done = pipeline.replay()
    assert (done.sent, done.from_ledger, done.cost_micro_usd) == (1, 1, 0)
    assert len(pipeline.model.requests) == 1


@given(
    lines=st.lists(st.sampled_from(["good", "refused", "bad"]), min_size=1, max_size=8),
    kills=st.lists(st.integers(0, 3), max_size=3),
)
def test_killed_at_any_moment_nothing_is_lost_or_sent_twice(
    lines: list[str], kills: list[int]
) -> None:
    pipeline = Pipeline(*("" if line == "bad" else f"r{n}" for n, line in enumerate(lines)))
    for number, line in enumerate(lines):
        if line == "good":
            pipeline.label(number)
        elif line == "refused":
            pipeline.refuse(number)
        else:
            pipeline.reject(number)
    for kill in kills:
        with suppress(TransientError):
            pipeline.replay(failing_at=kill)
    pipeline.replay()
    pipeline.replay()
    sent = Counter(found.review_id for _, found in pipeline.labels())
    assert sent == {name: 1 for name in pipeline.ids.values() if name}
    assert pipeline.indexed().findings() == []
    assert pipeline.sums().rejected.lines == lines.count("bad")


def test_of_two_that_run_at_once_the_later_one_alone_sends() -> None:
    pipeline = Pipeline("a", "b")
    later: list[Replayed] = []

    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        """Start a second one while the first one waits for its label."""
        if not later:
            pipeline.model = FakeChatModel(WELL)
            with ThreadPoolExecutor(1) as pool:
                later.append(pool.submit(pipeline.replay).result())
        return WELL(request)

    pipeline.model = FakeChatModel(answer)
    pipeline.refuse(0)
    pipeline.refuse(1)
    with pytest.raises(TransientError, match="another sink has been fenced in"):
        pipeline.replay()
    assert later[0].sent == 2
    assert sorted(found.review_id for _, found in pipeline.labels()) == ["a", "b"]
    assert pipeline.indexed().findings() == []


def test_a_dead_letter_is_known_by_the_record_that_it_was() -> None:
    pipeline = Pipeline("a").stream()
    ((record, labelled),) = pipeline.labels()
    pipeline.letter(structs.replace(record), message="mapper said no")
    (letter,) = pipeline.rejects(letters=True).all(ALL)
    assert letter.id == f"reviews.labelled/{record.partition}@0"
    assert letter.place == f"reviews.labelled.dlq/{record.partition}@0"
    assert (letter.stage, letter.reason) == ("INDEX", "DataException")
    assert (letter.detail, letter.raw) == ("mapper said no", record.value)
    assert pipeline.rejects(letters=True).labelled(letter) == labelled


def test_a_dead_letter_without_headers_is_known_by_itself() -> None:
    pipeline = Pipeline()
    pipeline.log.append(OutgoingRecord(topic=LETTERS, key=b"k", value=b"v"))
    (letter,) = pipeline.rejects(letters=True).all(ALL)
    assert letter.id == letter.place
    assert (letter.reason, letter.detail) == ("UNKNOWN", "")


def test_a_dead_letter_is_sent_once_as_it_was_and_all_adds_up() -> None:
    pipeline = Pipeline("a", "b").stream()
    record, labelled = next(one for one in pipeline.labels() if one[1].review_id == "a")
    pipeline.index.delete("a")
    pipeline.letter(record)
    assert pipeline.findings() == [("index", "missing", "a")]
    assert pipeline.repeat().sent == 1
    assert pipeline.repeat() == Replayed()
    again = [one for one, found in pipeline.labels() if found == labelled]
    assert [one.value for one in again] == [record.value] * 2
    version = external_version(labelled.written_at, 0)
    assert again[1].headers[0] == (VERSION_HEADER, str(version).encode())
    assert made_from(again[1].headers)[0] is Cause.REPEATED
    assert not any(name.startswith(CONNECT) for name, _ in again[1].headers)
    assert pipeline.indexed().findings() == []


def test_a_record_that_fails_once_more_can_be_sent_once_more() -> None:
    pipeline = Pipeline("a").stream()
    ((record, _),) = pipeline.labels()
    pipeline.letter(record)
    assert pipeline.repeat().sent == 1
    pipeline.letter(pipeline.labels()[1][0])
    assert pipeline.repeat().sent == 1
    assert pipeline.repeat().sent == 0
    last = pipeline.labels()[2][0]
    assert [name for name, _ in last.headers].count("reviewstream.cause") == 1
    assert pipeline.indexed().findings() == []


def test_a_dead_letter_that_is_no_labelled_review_is_not_sent() -> None:
    pipeline = Pipeline()
    pipeline.log.append(OutgoingRecord(topic=LETTERS, key=b"k", value=b"v"))
    assert pipeline.repeat() == Replayed(refused=1)
    assert "the index would refuse it again" in pipeline.refusals[0].detail
    assert pipeline.labels() == []


def test_repairs_are_read_by_the_id_of_the_reject() -> None:
    lines = [
        b'{"id": "s@1", "line": "\xc3\xa9", "reason": "x"}',
        b" ",
        b'{"id":"t","line_base64":"/w=="}',
    ]
    assert repairs(lines, "f") == {"s@1": "é".encode(), "t": b"\xff"}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "f:2: not a JSON object with the text `id`, and"),
        (b"[" * 100_000, "f:2: not a JSON object with the text `id`, and"),
        (b'{"line": "x"}', "f:2: not a JSON object with the text `id`, and .*`id`"),
        (b'{"id": "s@1"}', "f:2: neither `line` nor `line_base64`"),
        (b'{"id": "s@1", "line_base64": "*"}', "f:2: `line_base64` is not base64: "),
        (b'{"id": "s@0", "line": "y"}', "f:2: a second line for s@0"),
        (b"\xff", "f:2: byte 0 is not UTF-8"),
        (b'{"id": "s@1", "line": "caf\xe9"}', "f:2: byte 26 is not UTF-8"),
        (b'{"id": "s@1", "line": "y", "why": "\xe9"}', "f:2: byte 35 is not UTF-8"),
        ('{"id": "s@1", "line_base64": "é"}'.encode(), "f:2: `line_base64` is not base64: "),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_is_no_repair_is_named_by_its_line(line: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        repairs([b'{"id": "s@0", "line": "x"}', line], "f")
