"""The generated configuration on a real worker: from the topic to the index, or to the letters."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from reviewstream import app
from reviewstream.core.delivery.avro import AvroCodec, to_avro
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.core.index.ports import SearchIndex
from reviewstream.core.index.searching import Query, search
from reviewstream.core.records.reviews import LabelledReview
from reviewstream.core.records.versions import VERSION_HEADER, external_version
from reviewstream.core.rejects.listing import Rejects, Wanted
from reviewstream.core.rejects.replaying import Repeater, Replayed, ReplayRefusal
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.settings import (
    ConnectSettings,
    ElasticsearchSettings,
    KafkaSettings,
    RegistrySettings,
    Settings,
)
from reviewstream_testbed import Testbed
from tests.contract.waiting import eventually
from tests.unit.core.delivery.test_avro import REVIEW

LATER = datetime(2019, 1, 1, tzinfo=UTC)


@pytest.fixture
def settings(testbed: Testbed, topic: str, index: str) -> Iterator[Settings]:
    connect = testbed.kafka_connect
    settings = Settings(
        kafka=KafkaSettings(
            bootstrap_servers=testbed.kafka.bootstrap_servers,
            labelled_topic=topic,
            rejected_topic=f"{topic}.rejected",
            dead_letter_topic=f"{topic}.dlq",
        ),
        registry=RegistrySettings(url=testbed.schema_registry.url, auto_register=True),
        connect=ConnectSettings(
            url=connect.url,
            name=topic,
            connector_class=connect.sink_connector_class,
            value_converter=connect.value_converter,
            value_converter_config=connect.value_converter_config,
            connector={"connection.url": testbed.elasticsearch.internal_url},
        ),
        elasticsearch=ElasticsearchSettings(url=testbed.elasticsearch.url, index=index),
    )
    app.prepare(settings)
    yield settings
    app.open_connect(settings.connect).delete(topic)


class Topic:
    """The topic of labelled reviews, to be written to."""

    def __init__(self, settings: Settings) -> None:
        self._name = settings.kafka.labelled_topic
        self._sink = app.open_record_sink(settings.kafka)
        text = schema_text("labelled_review")
        self._codec = AvroCodec(text)
        found = app.open_registry(settings.registry).find(f"{self._name}-value", text)
        assert found is not None
        self._schema_id = found

    def write(self, **changes: Any) -> None:
        review: LabelledReview = msgspec.structs.replace(REVIEW, **changes)
        version = external_version(review.written_at, review.provenance.generation)
        self.write_raw(review.review_id, self.encode(review), str(version))

    def encode(self, review: LabelledReview) -> bytes:
        return self._codec.encode(to_avro(review), self._schema_id)

    def write_raw(self, key: str, value: bytes, version: str) -> None:
        headers = ((VERSION_HEADER, version.encode()),)
        record = OutgoingRecord(topic=self._name, key=key.encode(), value=value, headers=headers)
        self._sink.write(record)
        assert self._sink.flush() == 1


def documents(index: SearchIndex) -> dict[str, Mapping[str, Any]]:
    index.refresh()
    return {hit.id: hit.document for hit in search(index, Query(limit=100)).hits}


def test_a_record_becomes_a_document_whose_newest_version_stays(settings: Settings) -> None:
    topic, index = Topic(settings), app.open_index(settings)
    topic.write(review_id="edited", text="old")
    topic.write(review_id="edited", text="new", written_at=LATER)
    topic.write(review_id="edited", text="old")  # a replay of the first
    relabelled = msgspec.structs.replace(REVIEW.provenance, generation=1)
    topic.write(review_id="relabelled", text="first label")
    topic.write(review_id="relabelled", text="second label", provenance=relabelled)
    topic.write(review_id="ancient", written_at=datetime(1, 1, 1, tzinfo=UTC))
    topic.write(review_id="last", confidence=0.5)
    found = eventually(
        lambda: documents(index),
        lambda found: "last" in found and found.get("edited", {}).get("text") == "new",
    )
    eventually(lambda: len(documents(index)), lambda count: count == 4)
    assert found["edited"]["written_at"] == round(LATER.timestamp() * 1000)
    assert documents(index)["relabelled"]["text"] == "second label"
    assert documents(index)["last"]["confidence"] == 0.5


def test_a_document_has_every_field_of_the_schema_as_it_was_written(settings: Settings) -> None:
    topic, index = Topic(settings), app.open_index(settings)
    topic.write(review_id="whole")
    (document,) = eventually(lambda: documents(index), bool).values()
    assert document == as_document(to_avro(REVIEW) | {"review_id": "whole"})
    fields = {field["name"] for field in json.loads(schema_text("labelled_review"))["fields"]}
    assert document.keys() == fields


def as_document(value: Any) -> Any:
    """Return an Avro value as JSON has it: a time is milliseconds since 1970."""
    if isinstance(value, dict):
        return {name: as_document(each) for name, each in value.items()}
    return round(value.timestamp() * 1000) if isinstance(value, datetime) else value


def test_what_cannot_be_indexed_is_a_dead_letter_that_can_be_sent_again(settings: Settings) -> None:
    topic, index = Topic(settings), app.open_index(settings)
    log = app.open_log(settings.kafka)
    topic.write(review_id="before")
    topic.write_raw("not-avro", b'{"review_id": 1}', "1")
    topic.write_raw("no-such-schema", b"\0\x7f\xff\xff\xff\2", "1")
    topic.write_raw("no-version", topic.encode(REVIEW), "soon")
    topic.write(review_id="after")
    eventually(lambda: set(documents(index)), lambda found: found == {"before", "after"})
    letters = eventually(
        lambda: list(log.read_all(settings.kafka.dead_letter_topic)),
        lambda letters: len(letters) == 3,
    )
    assert {letter.key for letter in letters} == {b"not-avro", b"no-such-schema", b"no-version"}
    names = {name for letter in letters for name, _ in letter.headers}
    assert "__connect.errors.exception.message" in names
    status = app.open_connect(settings.connect).status(settings.connect.name)
    assert status is not None
    assert status.tasks == ("RUNNING",)

    registry, topics = app.open_registry(settings.registry), app.topic_names(settings.kafka)
    rejects = Rejects(log, registry, topics, letters=True)
    found = list(rejects.open(Wanted()))
    assert {one.stage for one in found} == {"INDEX"}
    assert all(one.id.startswith(f"{settings.kafka.labelled_topic}/") for one in found)
    assert all(one.reason.endswith("Exception") and one.detail for one in found)
    assert all(one.rejected_at is not None for one in found)
    # The record without a version gets one; the other two are no labelled reviews.
    sink, refusals = app.open_record_sink(settings.kafka), list[ReplayRefusal]()
    repeater = Repeater(sink, settings.kafka.labelled_topic, rejects.labelled, refusals.append)
    assert asyncio.run(repeater.replay(found)) == Replayed(sent=1, refused=2)
    eventually(lambda: set(documents(index)), lambda ids: ids == {"before", "after", "r1"})
    assert rejects.remaining(Wanted()).through == 1
