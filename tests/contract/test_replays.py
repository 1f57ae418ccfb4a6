"""A replay on Kafka: whatever is killed or runs beside it, each line gets through once."""

import asyncio
from contextlib import closing

import pytest

from reviewstream.adapters.kafka import KafkaLog, KafkaRecordSink
from reviewstream.app import open_only_sink, open_transactional_sink
from reviewstream.core.lineage import Cause, made_from
from reviewstream.core.parsing import to_line
from reviewstream.core.records import Origin, Reason, RejectedReview, Stage
from reviewstream.errors import ReviewStreamError
from reviewstream.pipeline.fencing import FencedSink
from reviewstream.pipeline.labelling import Labeller, LabelPolicy
from reviewstream.pipeline.publishing import Publisher, find_topics
from reviewstream.pipeline.reading import labelled_reader
from reviewstream.pipeline.rejects import Rejects, Wanted
from reviewstream.pipeline.replay import Refusal, Replayed, Replayer
from reviewstream.ports import RecordSink
from reviewstream.settings import KafkaSettings, RegistrySettings
from reviewstream.testing import (
    FakeChatModel,
    FakeClock,
    MemoryLedger,
    MemoryRegistry,
    NoLimit,
)
from reviewstream_testbed import Kafka
from tests.unit.pipeline.test_reconcile import review

LINES = 20


class Bed:
    """Rejected lines on real topics; labels are free."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.log = KafkaLog(settings)
        self.log.ensure([settings.labelled_topic, settings.rejected_topic])
        self.registry = MemoryRegistry()
        self.topics = find_topics(settings, RegistrySettings(auto_register=True), self.registry)
        self.publisher = Publisher(self.topics, KafkaRecordSink(settings))
        self.rejects = Rejects(self.log, self.registry, settings, letters=False)
        self.refusals: list[Refusal] = []
        self.name = f"replay-{settings.labelled_topic}"

    def reject(self, number: int) -> None:
        self.publisher.publish(
            RejectedReview(
                stage=Stage.LABEL,
                reason=Reason.MODEL_UNAVAILABLE,
                detail="away",
                raw=to_line(review(f"r{number}")),
                origin=Origin(source="s", offset=number),
                rejected_at=FakeClock().now(),
            )
        )
        self.publisher.flush()

    def replay(self, sink: RecordSink) -> Replayed:
        policy, model = LabelPolicy(model="m"), FakeChatModel()
        labeller = Labeller(model, MemoryLedger(), NoLimit(), FakeClock(), policy)
        replayer = Replayer(labeller.label, Publisher(self.topics, sink), self.refusals.append)
        return asyncio.run(replayer.replay(list(self.rejects.open(Wanted()))))

    def labels(self) -> list[tuple[int, Cause, str]]:
        reader = labelled_reader(self.registry)
        records = [
            (one, reader.read(one, print)) for one in self.log.read_all(self.topics.labelled)
        ]
        return sorted(
            (found.origin.offset, *made_from(record.headers))
            for record, found in records
            if found is not None
        )


@pytest.fixture
def bed(kafka: Kafka, topic: str) -> Bed:
    settings = KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        labelled_topic=f"{topic}.labelled",
        rejected_topic=f"{topic}.rejected",
    )
    return Bed(settings)


def test_each_line_gets_through_once_with_its_lineage(bed: Bed) -> None:
    for number in range(LINES):
        bed.reject(number)
    places = {one.id: one.place for one in bed.rejects.all(Wanted())}
    for sent in (LINES, 0):
        with open_only_sink(bed.settings, bed.name) as sink:
            assert bed.replay(sink).sent == sent
    assert bed.labels() == [
        (number, Cause.REPLAYED, places[f"s@{number}"]) for number in range(LINES)
    ]
    assert bed.refusals == []


def test_what_a_killed_one_had_in_flight_is_sent_by_the_next_one_alone(bed: Bed) -> None:
    bed.reject(0)
    with closing(open_transactional_sink(bed.settings, bed.name)) as transactions:
        killed = Stalling(transactions, bed.name)
        assert bed.replay(killed).sent == 1  # as it believes
        assert bed.labels() == []
        with open_only_sink(bed.settings, bed.name) as sink:
            assert bed.replay(sink).sent == 1
        with pytest.raises(ReviewStreamError):
            killed.flush_now()
    assert [number for number, _, _ in bed.labels()] == [0]


class Stalling(FencedSink):
    """Hangs before it makes visible what it has written."""

    def flush(self) -> int:
        return 0

    def flush_now(self) -> int:
        return super().flush()
