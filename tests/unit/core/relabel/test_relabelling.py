"""Relabelling goes on wherever it was interrupted, and never lowers or doubles anything."""

import asyncio
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.app import topic_names
from reviewstream.core.delivery.avro import AvroCodec, labelled_of_avro, to_avro
from reviewstream.core.delivery.ports import OutgoingRecord, StoredRecord
from reviewstream.core.delivery.publishing import Publisher, find_topics
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.costs import Prices
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.labelling.probe import PROBE_TEXT
from reviewstream.core.records.batches import bounded
from reviewstream.core.records.reviews import (
    LabelledReview,
    Origin,
    Provenance,
    Sentiment,
)
from reviewstream.core.records.versions import VERSION_HEADER, external_version
from reviewstream.core.relabel.relabelling import Estimate, Progress, Relabeller, estimate
from reviewstream.core.relabel.scan import RelabelScan, RelabelSpec, ScanResult
from reviewstream.core.relabel.selection import parse_condition
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.errors import PermanentError, TransientError
from reviewstream.settings import KafkaSettings
from reviewstream.testing import (
    FakeChatModel,
    FakeClock,
    MemoryLedger,
    MemoryLog,
    MemoryRegistry,
    MemoryVersions,
    NoLimit,
    judging,
)

TOPICS = topic_names(KafkaSettings())
TOPIC = TOPICS.labelled
REJECTED = TOPICS.rejected
START = datetime(2020, 1, 1, tzinfo=UTC)
CODEC = AvroCodec(schema_text("labelled_review"))


def labelled(  # noqa: PLR0913 - fields of a record
    review_id: str,
    *,
    text: str = "x",
    day: int = 0,
    generation: int = 0,
    prompt_version: int = 1,
    sentiment: Sentiment = Sentiment.NEUTRAL,
) -> LabelledReview:
    return LabelledReview(
        review_id=review_id,
        user_id="u",
        business_id="b",
        stars=3.0,
        text=text,
        written_at=START + timedelta(days=day),
        sentiment=sentiment,
        provenance=Provenance(
            model="old", prompt_version=prompt_version, generation=generation, labelled_at=START
        ),
        origin=Origin(source="review.json", offset=len(review_id)),
    )


def refusing(words: str) -> FakeChatModel:
    """Return a model that refuses every request but those about the probe."""

    def answer(request: ChatRequest) -> ChatAnswer | Exception:
        asked = {one["text"] for one in msgspec.json.decode(request.user)["reviews"]}
        if asked == {PROBE_TEXT}:
            return judging(lambda _: Sentiment.NEUTRAL)(request)
        return PermanentError(words)

    return FakeChatModel(answer)


class Flaky(Publisher):
    """Publishes until it is told to fail, as a process that is killed does."""

    failing_at: int | None = None

    def flush(self) -> int:
        if self.failing_at is not None:
            self.failing_at -= 1
            if self.failing_at < 0:
                raise TransientError("killed before the records were written")
        return super().flush()


class Bed:
    """A topic, a ledger and a model that outlive every start of a relabelling."""

    def __init__(self, *history: LabelledReview | str) -> None:
        self.log = MemoryLog()
        self.accounts: list[str | None] = []  # whoever pays for a start
        self.registry = MemoryRegistry()
        self.ledger = MemoryLedger()
        self.model = FakeChatModel(judging(lambda _: Sentiment.POSITIVE))
        self.log.ensure([TOPIC, REJECTED])
        self.topics = find_topics(TOPICS, self.registry, address="", auto_register=True)
        for each in history:
            if isinstance(each, str):
                self.delete(each)
            else:
                publisher = self.publisher()
                publisher.publish(each)
                publisher.flush()

    def publisher(self) -> Flaky:
        return Flaky(self.topics, self.log.sink())

    def put(self, key: bytes, value: bytes) -> None:
        self.log.append(OutgoingRecord(topic=TOPIC, key=key, value=value))

    def delete(self, review_id: str) -> None:
        self.log.append_tombstone(TOPIC, review_id.encode())

    def surveyor(self, order: RelabelSpec) -> RelabelScan:
        return RelabelScan(self.log, TOPIC, self.registry, MemoryVersions(), order)

    def survey(self, order: RelabelSpec) -> ScanResult:
        return self.surveyor(order).survey()

    def relabel(
        self, order: RelabelSpec, *, slices: int = 2, failing_at: int | None = None
    ) -> Progress:
        """Do what one start of the command does."""
        policy = LabelPolicy(model="m", prompt_version=order.prompt_version)
        labeller = Labeller(self.model, self.ledger, NoLimit(), FakeClock(), policy)
        publisher = self.publisher()
        publisher.failing_at = failing_at
        relabeller = Relabeller(labeller.label, publisher, order)
        work = self.surveyor(order)
        work.survey()

        async def run() -> Progress:
            progress = Progress()
            for batch in bounded(work.due(), lambda _: 1, size=slices, room=slices):
                progress = await relabeller.relabel(batch, progress)
            return progress

        return asyncio.run(run())

    def records(self) -> list[StoredRecord]:
        return list(self.log.read_all(TOPIC))

    def published(self) -> list[LabelledReview]:
        return [decoded(record) for record in self.records() if record.value is not None]

    def newest(self) -> dict[str, LabelledReview]:
        """Return what an index holds after all of the topic, as a second opinion."""
        found: dict[str, tuple[int, LabelledReview]] = {}
        for record in self.records():
            name = (record.key or b"").decode()
            if record.value is None:
                found.pop(name, None)
                continue
            version = int(dict(record.headers)[VERSION_HEADER])
            if version >= found.get(name, (0, None))[0]:
                found[name] = version, decoded(record)
        return {name: review for name, (_, review) in found.items()}

    def asked(self) -> Counter[str]:
        requests = (msgspec.json.decode(one.user)["reviews"] for one in self.model.requests)
        return Counter(review["text"] for reviews in requests for review in reviews)


def decoded(record: StoredRecord) -> LabelledReview:
    return labelled_of_avro(CODEC.decode(record.value or b"")[1])


def version_of(review: LabelledReview) -> int:
    return external_version(review.written_at, review.provenance.generation)


SECOND = RelabelSpec(prompt_version=2)


def test_a_new_label_replaces_the_old_one_and_nothing_else() -> None:
    old = labelled("r1", text="fine")
    bed = Bed(old)
    progress = bed.relabel(SECOND)
    assert progress == Progress(labelled=1, changed=1, cost_micro_usd=progress.cost_micro_usd)
    new = bed.newest()["r1"]
    assert (new.sentiment, new.provenance.prompt_version) == (Sentiment.POSITIVE, 2)
    assert new.provenance.generation == 1
    kept = structs.replace(new, sentiment=old.sentiment, confidence=None, provenance=old.provenance)
    assert kept == old


def test_what_it_costs_is_what_was_paid_now() -> None:
    bed = Bed(labelled("r1", text="same"), labelled("r2", text="same"), labelled("r3", text="new"))
    priced = bed.relabel(SECOND)
    assert (priced.labelled, priced.from_ledger) == (3, 1)
    assert bed.relabel(RelabelSpec(prompt_version=2, generation=5)).from_ledger == 3


def test_what_has_the_prompt_version_already_is_left_alone() -> None:
    bed = Bed(labelled("r1", prompt_version=2), labelled("r2"))
    assert bed.survey(SECOND).done == 1
    assert bed.relabel(SECOND).labelled == 1
    assert bed.newest()["r1"].provenance.generation == 0


def test_a_second_relabelling_publishes_and_costs_nothing() -> None:
    bed = Bed(labelled("r1"), labelled("r2", text="y"))
    bed.relabel(SECOND)
    records, asked = bed.records(), bed.asked()
    assert bed.relabel(SECOND) == Progress()
    assert (bed.records(), bed.asked()) == (records, asked)


def test_back_and_forth_each_generation_is_higher_and_no_label_is_paid_for_twice() -> None:
    bed = Bed(labelled("r1"))
    for version in (2, 1, 2, 1):
        bed.relabel(RelabelSpec(prompt_version=version))
    generations = [review.provenance.generation for review in bed.published()]
    assert generations == [0, 1, 2, 3, 4]
    assert sum(bed.asked().values()) == 2


def test_a_given_generation_is_for_all_that_are_below_it() -> None:
    bed = Bed(
        labelled("r1", prompt_version=2),
        labelled("r2", generation=7),
        labelled("r3", generation=9),
    )
    order = RelabelSpec(prompt_version=2, generation=7)
    survey = bed.survey(order)
    assert (survey.due, survey.done, survey.spent) == (1, 2, 0)
    bed.relabel(order)
    generations = {name: one.provenance.generation for name, one in bed.newest().items()}
    assert generations == {"r1": 7, "r2": 7, "r3": 9}


def test_only_what_is_selected_is_labelled() -> None:
    conditions = (parse_condition("sentiment=NEGATIVE"), parse_condition("written_at<2020-01-03"))
    bed = Bed(
        labelled("r1", sentiment=Sentiment.NEGATIVE),
        labelled("r2"),
        labelled("r3", day=5, sentiment=Sentiment.NEGATIVE),
    )
    order = RelabelSpec(prompt_version=2, conditions=conditions)
    survey = bed.survey(order)
    assert (survey.reviews, survey.selected, survey.due) == (3, 1, 1)
    bed.relabel(order)
    changed = [name for name, one in bed.newest().items() if one.provenance.prompt_version == 2]
    assert changed == ["r1"]


def test_the_newest_version_is_selected_and_labelled_wherever_it_stands() -> None:
    edited, early = labelled("r1", text="edited", day=2), labelled("r1", text="early", day=1)
    bed = Bed(edited, early)
    survey = bed.survey(RelabelSpec(prompt_version=2, conditions=(parse_condition("stars=3"),)))
    assert (survey.records, survey.reviews, survey.due) == (2, 1, 1)
    bed.relabel(SECOND)
    assert bed.asked() == {"edited": 1}
    assert bed.newest()["r1"].text == "edited"


def test_what_was_deleted_stays_deleted() -> None:
    bed = Bed(labelled("r1"), "r1", labelled("r2"))
    assert bed.survey(SECOND).reviews == 1
    bed.relabel(SECOND)
    assert set(bed.newest()) == {"r2"}


def test_a_review_of_the_highest_generation_is_counted_as_such() -> None:
    bed = Bed(labelled("r1", generation=999), labelled("r2", generation=998))
    survey = bed.survey(SECOND)
    assert (survey.spent, survey.due) == (1, 1)
    bed.relabel(SECOND)
    assert bed.newest()["r2"].provenance.generation == 999


def test_what_cannot_be_labelled_is_rejected_and_keeps_its_label() -> None:
    bed = Bed(labelled("r1", text="awful"))
    bed.model = refusing("content of the request")
    assert bed.relabel(SECOND) == Progress(rejected=1)
    assert bed.newest()["r1"].provenance.generation == 0
    (record,) = bed.log.read_all(REJECTED)
    assert record.key == b"review.json@2"


def test_what_is_no_labelled_review_is_counted_and_left_out() -> None:
    bed = Bed(labelled("r1"))
    bed.put(b"r1", b"")
    bed.put(b"r2", b"\0\0\0\0\x63nothing")  # a schema that nobody knows
    bed.put(b"r3", b"\0\0\0\0\1\xff")
    survey = bed.survey(SECOND)
    assert (survey.records, survey.unreadable, survey.reviews) == (4, 3, 1)
    assert len(survey.places) == 3
    assert bed.relabel(SECOND).labelled == 1


@pytest.mark.parametrize("text", ['{"type": "object"}', 'syntax = "proto3";', '{"type": "b.C"}'])
def test_a_record_of_a_schema_that_is_not_avro_s_is_no_labelled_review(text: str) -> None:
    class Mixed(MemoryRegistry):
        def schema(self, schema_id: int) -> str:
            return text if schema_id == 2 else super().schema(schema_id)

    bed = Bed(labelled("r1"))
    bed.registry = Mixed()
    assert bed.registry.register(f"{TOPIC}-value", schema_text("labelled_review")) == 1
    bed.put(b"r2", b"\0\0\0\0\2{}")
    survey = bed.survey(SECOND)
    assert (survey.records, survey.unreadable, survey.reviews) == (2, 1, 1)


def test_a_registry_that_is_away_is_no_unreadable_record() -> None:
    class Away(MemoryRegistry):
        def schema(self, schema_id: int) -> str:
            raise TransientError(f"away: {schema_id}")

    bed = Bed(labelled("r1"))
    bed.registry = Away()
    with pytest.raises(TransientError):
        bed.survey(SECOND)


def test_a_record_of_another_version_of_the_schema_is_read() -> None:
    field = '{"name": "language", "type": ["null", "string"], "default": null}'
    text = schema_text("labelled_review").replace('"fields": [', f'"fields": [{field}, ', 1)
    bed = Bed()
    other = bed.registry.register(f"{TOPIC}-value", text)
    fields = {**to_avro(labelled("r1")), "language": "de"}
    bed.put(b"r1", AvroCodec(text).encode(fields, other))
    assert bed.relabel(SECOND).labelled == 1
    assert decoded(bed.records()[-1]).review_id == "r1"


def test_the_progress_of_reading_is_told() -> None:
    bed = Bed(*(labelled(f"r{number}") for number in range(5)))
    told: list[tuple[int, int]] = []
    bed.surveyor(SECOND).survey(lambda done, total: told.append((done, total)))
    assert told == [(5, 5)]


def test_an_estimate_is_about_what_it_takes() -> None:
    policy = LabelPolicy(
        model="m",
        prompt_version=2,
        pack=2,
        controls=True,
        prices=Prices.from_usd(prompt=1, completion=2),
    )
    three = estimate([labelled(f"r{n}", text="word " * 40) for n in range(3)], policy)
    assert three.requests == 2
    assert 150 < three.prompt_tokens < 600
    assert 0 < three.completion_tokens < 100
    assert three.cost_micro_usd > 0
    assert estimate([], policy) == Estimate()


reviews = st.builds(
    labelled,
    st.sampled_from(["a", "b", "c", "d"]),
    text=st.sampled_from(["x", "y", "z"]),
    day=st.integers(0, 2),
    generation=st.sampled_from([0, 1, 2, 998, 999]),
    prompt_version=st.sampled_from([1, 2]),
    sentiment=st.sampled_from(Sentiment),
)
histories = st.lists(reviews | st.sampled_from(["a", "b"]), max_size=12)
orders = st.builds(
    RelabelSpec,
    prompt_version=st.sampled_from([1, 2]),
    generation=st.none() | st.sampled_from([1, 2, 999]),
    conditions=st.sampled_from([(), (parse_condition("sentiment!=POSITIVE"),)]),
)


@given(histories, orders, st.lists(st.integers(0, 4), max_size=3))
@example([labelled("a"), labelled("b", text="y"), labelled("c", text="z")], SECOND, [0, 1])
@example([labelled("a", day=1), labelled("a", day=0)], SECOND, [])
@example([labelled("a", generation=999)], SECOND, [])
def test_however_often_it_is_killed_nothing_is_lowered_doubled_or_paid_for_twice(
    history: list[LabelledReview | str], order: RelabelSpec, kills: list[int]
) -> None:
    bed = Bed(*history)
    before, old_records = bed.newest(), bed.records()
    due = {name for name, one in before.items() if order.standing(one) == "due"}
    for failing_at in kills:
        with suppress(TransientError):
            bed.relabel(order, failing_at=failing_at)
    bed.relabel(order)

    old = {(record.partition, record.offset) for record in old_records}
    fresh = [one for one in bed.records() if (one.partition, one.offset) not in old]
    assert Counter((one.key or b"").decode() for one in fresh) == Counter(due)
    for record in fresh:
        review = decoded(record)
        assert version_of(review) > version_of(before[review.review_id])
        assert dict(record.headers)[VERSION_HEADER] == str(version_of(review)).encode()
    after = bed.newest()
    assert {name: one for name, one in after.items() if name not in due} == {
        name: one for name, one in before.items() if name not in due
    }
    for name in due:
        assert after[name].provenance.prompt_version == order.prompt_version
        assert after[name].provenance.generation == order.generation_of(before[name])
        assert after[name].text == before[name].text
    assert all(times == 1 for times in bed.asked().values())
    assert bed.survey(order).due == 0
