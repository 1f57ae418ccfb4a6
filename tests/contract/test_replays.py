"""A replay on Kafka: whatever is killed or runs beside it, each line gets through once."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing

import pytest
from msgspec import structs

from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.adapters.kafka.record_sink import KafkaRecordSink
from reviewstream.adapters.registry import ConfluentRegistry
from reviewstream.app import (
    find_topics,
    open_only_sink,
    open_transactional_sink,
    topic_names,
)
from reviewstream.core.delivery.decoding import labelled_reader
from reviewstream.core.delivery.fencing import FencedSink
from reviewstream.core.delivery.ports import RecordSink
from reviewstream.core.delivery.publishing import Publisher
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.records.lineage import Cause, made_from
from reviewstream.core.records.parsing import to_line
from reviewstream.core.records.reviews import Origin, Reason, RejectedReview, Stage
from reviewstream.core.rejects.listing import Rejects, Wanted
from reviewstream.core.rejects.replaying import Replayed, Replayer, ReplayRefusal
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.errors import ReviewStreamError
from reviewstream.settings import KafkaSettings, RegistrySettings
from reviewstream.testing import (
    FakeChatModel,
    FakeClock,
    MemoryLedger,
    MemoryRegistry,
    NoLimit,
)
from reviewstream_testbed import Kafka, SchemaRegistry
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.waiting import eventually
from tests.unit.core.reconcile.test_reconciliation import review

LINES = 20


class Bed:
    """Rejected lines on real topics; labels are free."""

    def __init__(self, settings: KafkaSettings, registry: SubjectRegistry) -> None:
        self.settings = settings
        self.log = KafkaLog(settings)
        self.log.ensure([settings.labelled_topic, settings.rejected_topic])
        self.registry = registry
        self.topics = find_topics(settings, RegistrySettings(auto_register=True), self.registry)
        self.publisher = Publisher(self.topics, KafkaRecordSink(settings))
        self.rejects = Rejects(self.log, self.registry, topic_names(settings), letters=False)
        self.refusals: list[ReplayRefusal] = []
        self.name = f"replay-{settings.labelled_topic}"

    def reject(self, number: int) -> None:
        self.publisher.publish(
            RejectedReview(
                stage=Stage.LABEL,
                reason=Reason.MODEL_UNAVAILABLE,
                detail="away",
                raw=to_line(structs.replace(review(f"r{number}"), text=f"text {number}")),
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


def settings_of(kafka: Kafka, topic: str) -> KafkaSettings:
    return KafkaSettings(
        bootstrap_servers=kafka.bootstrap_servers,
        labelled_topic=f"{topic}.labelled",
        rejected_topic=f"{topic}.rejected",
    )


@pytest.fixture
def bed(kafka: Kafka, topic: str) -> Bed:
    return Bed(settings_of(kafka, topic), MemoryRegistry())


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
        assert sum(bed.log.end_offsets(bed.topics.labelled).values()) == 0
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


@pytest.fixture
def endpoint() -> Iterator[OpenAIEndpoint]:
    with OpenAIEndpoint(judge="hash") as endpoint:
        yield endpoint


def command(
    settings: KafkaSettings, registry: SchemaRegistry, endpoint: OpenAIEndpoint
) -> list[str]:
    """Return the command as a user would type it, one request after the other."""
    given = {
        "kafka.bootstrap_servers": settings.bootstrap_servers,
        "kafka.labelled_topic": settings.labelled_topic,
        "kafka.rejected_topic": settings.rejected_topic,
        "registry.url": registry.url,
        "openai.base_url": endpoint.base_url,
        "openai.api_key": endpoint.api_key,
        "openai.pack": 1,
        "openai.concurrency": 1,
    }
    options = [word for name, value in given.items() for word in ("-s", f"{name}={value}")]
    return [sys.executable, "-m", "reviewstream", "rejects", "replay", "--json", *options]


@pytest.mark.model
def test_a_command_that_is_killed_and_started_again_sends_each_line_once(
    kafka: Kafka, schema_registry: SchemaRegistry, topic: str, endpoint: OpenAIEndpoint
) -> None:
    registry = ConfluentRegistry(RegistrySettings(url=schema_registry.url))
    bed = Bed(settings_of(kafka, topic), registry)
    for number in range(LINES):
        bed.reject(number)
    endpoint.fault(rate=1.0, faults=[{"kind": "slow", "seconds": 0.5}])  # time to be killed
    words = command(bed.settings, schema_registry, endpoint)
    with subprocess.Popen(words, stdout=subprocess.DEVNULL) as killed:
        try:
            eventually(lambda: len(bed.labels()), lambda count: count > 0, timeout=60)
        finally:
            killed.kill()
    sent = len(bed.labels())
    assert 0 < sent < LINES
    endpoint.fault()
    for again in (LINES - sent, 0):
        done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)
        found = json.loads(done.stdout)
        assert (found["rejects"], found["sent"]) == (again, again)
        assert found["through_already"] == LINES - again
    assert [number for number, _, _ in bed.labels()] == list(range(LINES))
