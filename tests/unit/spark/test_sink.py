import pickle
import tracemalloc
from collections.abc import Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from pyspark.sql.types import StructType

from reviewstream import app
from reviewstream.core.delivery.avro import AvroCodec, AvroEncodeError
from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import OutgoingRecord, TransactionalSink
from reviewstream.core.delivery.publishing import Topics
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.core.schemas.schema_files import SchemaName, schema_text
from reviewstream.errors import ConfigError, TransientError
from reviewstream.settings import KafkaSettings, RegistrySettings
from reviewstream.spark.columns import SOURCE
from reviewstream.spark.options import SinkOptions
from reviewstream.spark.sink import (
    Past,
    ReviewsKafkaDataSource,
    ReviewsKafkaWriter,
    Task,
    Written,
    current_task,
    find_topics,
    patient,
    publish,
    publish_once,
    write_once,
)
from reviewstream.testing import MemoryLog

TOPICS = Topics(labelled="labelled", labelled_id=7, rejected="rejected", rejected_id=8)
WHEN = datetime(2020, 1, 2, 3, 4, 5, tzinfo=UTC)
ORIGIN = {"source": "reviews.json", "offset": 12}
LABELLED: dict[str, Any] = {
    "review_id": "r1",
    "user_id": "u",
    "business_id": "b",
    "stars": 4.0,
    "useful": 1,
    "funny": 2,
    "cool": 3,
    "text": "gut",
    "written_at": WHEN,
    "sentiment": "POSITIVE",
    "confidence": None,
    "provenance": {
        "model": "m",
        "prompt_version": 1,
        "generation": 5,
        "request_id": None,
        "attempts": 1,
        "prompt_tokens": 2,
        "completion_tokens": 3,
        "cost_micro_usd": 4,
        "from_ledger": False,
        "truncated": False,
        "labelled_at": WHEN,
    },
    "origin": ORIGIN,
    "rejection": None,
}
REJECTION = {
    "stage": "PARSE",
    "reason": "NOT_JSON",
    "detail": "$: no",
    "raw": b"\xff",
    "attempts": 1,
    "prompt_tokens": 2,
    "completion_tokens": 3,
    "cost_micro_usd": 4,
    "rejected_at": WHEN,
}
REJECTED: dict[str, Any] = dict.fromkeys(LABELLED) | {"origin": ORIGIN, "rejection": REJECTION}


@dataclass
class MemorySink:
    """`RecordSink` that keeps what it was given."""

    records: list[OutgoingRecord] = field(default_factory=list)
    flushed: int = 0

    def write(self, record: OutgoingRecord) -> None:
        self.records.append(record)

    def flush(self) -> int:
        self.flushed = len(self.records)
        return self.flushed


def test_a_labelled_row_goes_to_its_topic_under_its_id_with_its_version() -> None:
    sink = MemorySink()
    publish([LABELLED], TOPICS, sink)
    [record] = sink.records
    assert (record.topic, record.key) == ("labelled", b"r1")
    version = int(WHEN.timestamp()) * 1000 + 5
    assert record.headers == (("reviewstream.version", str(version).encode()),)
    schema_id, fields = AvroCodec(schema_text("labelled_review")).decode(record.value)
    assert schema_id == 7
    assert fields == {name: value for name, value in LABELLED.items() if name != "rejection"}


def test_a_rejected_row_goes_to_its_topic_under_its_origin() -> None:
    sink = MemorySink()
    publish([REJECTED], TOPICS, sink)
    [record] = sink.records
    assert (record.topic, record.key) == ("rejected", b"reviews.json@12")
    schema_id, fields = AvroCodec(schema_text("rejected_review")).decode(record.value)
    assert schema_id == 8
    assert fields == {**REJECTION, "origin": ORIGIN}


def test_a_review_that_could_not_be_labelled_goes_to_the_rejected_alone() -> None:
    sink = MemorySink()
    both = LABELLED | {"sentiment": None, "provenance": None, "rejection": REJECTION}
    assert publish([both], TOPICS, sink) == Written(labelled=0, rejected=1)
    assert [record.topic for record in sink.records] == ["rejected"]


def test_everything_is_acknowledged_before_a_task_says_how_much_it_wrote() -> None:
    sink = MemorySink()
    assert publish([LABELLED, REJECTED, LABELLED], TOPICS, sink) == Written(labelled=2, rejected=1)
    assert sink.flushed == 3


def test_a_row_without_a_label_and_without_a_rejection_is_an_error() -> None:
    with pytest.raises(AvroEncodeError):
        publish([LABELLED | {"sentiment": None}], TOPICS, MemorySink())


class MemoryRegistry:
    """As much of `SubjectRegistry` as the sink asks for."""

    def __init__(self, ids: Mapping[str, int]) -> None:
        self.ids = dict(ids)
        self.levels: dict[str, str] = {}
        self.asked = 0

    def find(self, subject: str, schema: str) -> int | None:
        assert schema
        self.asked += 1
        return self.ids.get(subject)

    def register(self, subject: str, schema: str) -> int:
        assert schema
        return self.ids.setdefault(subject, len(self.ids) + 1)

    def versions(self, subject: str) -> list[tuple[int, str]]:
        name: SchemaName = "labelled_review" if "labelled" in subject else "rejected_review"
        return [(1, schema_text(name))] if subject in self.ids else []

    def compatibility(self, subject: str) -> str:
        return self.levels.get(subject, "NONE")

    def set_compatibility(self, subject: str, level: str) -> None:
        self.levels[subject] = level


def sink_options(**others: str) -> SinkOptions:
    given = {
        "kafka.bootstrap.servers": "127.0.0.1:1",
        "schemaRegistryUrl": "http://127.0.0.1:2",
        "labelledTopic": "labelled",
        "rejectedTopic": "rejected",
    }
    return SinkOptions.of(given | others)


def topics_of(options: SinkOptions, registry: MemoryRegistry) -> Topics:
    def open_registry(settings: RegistrySettings) -> SubjectRegistry:
        assert settings.url == "http://127.0.0.1:2"
        return registry  # type: ignore[return-value] # the sink asks for no more than this

    return find_topics(options, open_registry)


def test_the_registry_says_which_ids_the_schemas_have() -> None:
    registry = MemoryRegistry({"labelled-value": 7, "rejected-value": 8})
    assert topics_of(sink_options(), registry) == TOPICS


def test_ids_given_as_options_need_no_registry() -> None:
    registry = MemoryRegistry({})
    options = sink_options(labelledSchemaId="7", rejectedSchemaId="8")
    assert topics_of(options, registry) == TOPICS
    assert registry.asked == 0


def test_an_unknown_schema_is_named_with_the_command_that_registers_it() -> None:
    with pytest.raises(ConfigError) as caught:
        topics_of(sink_options(), MemoryRegistry({"labelled-value": 7}))
    assert str(caught.value) == (
        "the registry at http://127.0.0.1:2 does not have our schema rejected_review under "
        "subject rejected-value: run `reviewstream schemas register` first"
    )


def test_schemas_are_registered_when_the_options_say_so() -> None:
    registry = MemoryRegistry({})
    topics = topics_of(sink_options(registerSchemas="true"), registry)
    assert (topics.labelled_id, topics.rejected_id) == (1, 2)
    assert set(registry.levels.values()) == {"FULL_TRANSITIVE"}


def test_the_writer_crosses_to_the_tasks_with_its_ids_and_its_secrets_unshown() -> None:
    options = sink_options(
        labelledSchemaId="7", rejectedSchemaId="8", **{"kafka.sasl.password": "hidden"}
    )
    writer = pickle.loads(pickle.dumps(ReviewsKafkaWriter(options)))
    assert writer.topics == TOPICS
    assert writer.options.kafka.sasl_password == SecretStr("hidden")
    assert "hidden" not in repr(writer.options)


def test_unlabelled_reviews_are_refused_with_the_way_to_label_them() -> None:
    sink = ReviewsKafkaDataSource({"kafka.bootstrap.servers": "127.0.0.1:1"})
    with pytest.raises(ConfigError) as caught:
        sink.streamWriter(StructType(SOURCE.fields), overwrite=False)
    assert str(caught.value) == (
        "reviews-kafka: no column sentiment, confidence, provenance; "
        "label first: reviews.transform(label_reviews(settings))"
    )


TASK = Task(query="q", batch=3, partition=1)


def once(rows: list[dict[str, Any]], log: MemoryLog, task: Task = TASK) -> Written:
    log.ensure(["labelled", "rejected"])

    def never(error: TransientError) -> None:
        raise error

    return publish_once(rows, TOPICS, task, lambda: log.transactional_sink("name"), never)


def test_a_task_holds_encoded_records_until_the_last_row_is_there() -> None:
    count, log, held = 5_000, MemoryLog(), 0
    log.ensure(["labelled", "rejected"])
    rows = (
        {name: deepcopy(value) for name, value in LABELLED.items()}
        | {"review_id": f"r{n:021}", "origin": {"source": "reviews.json", "offset": n}}
        for n in range(count)
    )

    def open_sink() -> TransactionalSink:
        nonlocal held
        held = tracemalloc.get_traced_memory()[0]
        return log.transactional_sink("name")

    tracemalloc.start()
    try:
        publish_once(rows, TOPICS, TASK, open_sink, lambda _: None)
    finally:
        tracemalloc.stop()
    assert sum(log.end_offsets("labelled").values()) == count
    assert held / count < 400


@given(st.lists(st.integers(0, 2), max_size=8), st.integers(0, 3))
def test_every_attempt_writes_the_same_records_in_order(sizes: list[int], failures: int) -> None:
    log, rows = MemoryLog(), [LABELLED | {"text": "x" * 400_000 * size} for size in sizes]
    log.ensure(["labelled", "rejected"])
    failed: list[TransientError] = []

    def open_sink() -> TransactionalSink:
        if len(failed) < failures:
            raise TransientError("away")
        return log.transactional_sink("name")

    publish_once(rows, TOPICS, TASK, open_sink, failed.append)
    codec = AvroCodec(schema_text("labelled_review"))
    texts = [codec.decode(record.value or b"")[1]["text"] for record in log.read_all("labelled")]
    assert texts == [row["text"] for row in rows]


def test_a_task_that_is_run_again_counts_its_rows_and_writes_nothing() -> None:
    log = MemoryLog()
    for _ in range(2):
        assert once([LABELLED, REJECTED], log) == Written(labelled=1, rejected=1)
    assert sum(log.end_offsets("labelled").values()) == 1
    assert sum(log.end_offsets("rejected").values()) == 1


def test_a_review_that_is_rejected_when_it_is_asked_about_again_is_not_written_again() -> None:
    log = MemoryLog()
    once([LABELLED], log)
    assert once([LABELLED | {"sentiment": None, "rejection": REJECTION}], log) == Written(
        rejected=1
    )
    assert sum(log.end_offsets("rejected").values()) == 0


def test_a_task_without_rows_leaves_kafka_alone() -> None:
    def no_sink() -> TransactionalSink:
        raise AssertionError

    assert publish_once([], TOPICS, TASK, no_sink, print) == Written()


def test_a_task_with_other_rows_behind_its_marker_is_refused() -> None:
    log = MemoryLog()
    once([LABELLED, REJECTED], log)
    with pytest.raises(ConfigError, match="was cut otherwise"):
        once([LABELLED], log)


def written(log: MemoryLog, batch: int, parts: int, run: str, rows: list[dict[str, Any]]) -> None:
    """Write a micro-batch in so many tasks, as Spark does: each as if it were alone."""
    for part in range(parts):
        task = Task(query="q", batch=batch, partition=part, run=run)
        past = Past(log.markers.get, "task-0")

        def open_sink(task: Task = task, past: Past = past) -> TransactionalSink:
            past.check(task)
            return log.transactional_sink(f"task-{task.partition}")

        with suppress(ConfigError):
            publish_once(rows[part::parts], TOPICS, task, open_sink, lambda _: None)


def test_no_task_writes_from_an_old_checkpoint_however_the_work_is_divided_now() -> None:
    log = MemoryLog()
    log.ensure(["labelled", "rejected"])
    rows = [LABELLED | {"review_id": f"r{n}"} for n in range(6)]
    written(log, 0, 2, "run 1", rows[:2])
    for batch in (1, 2, 3, 4):
        written(log, batch, 1, "run 1", [rows[batch + 1]])
    assert sum(log.end_offsets("labelled").values()) == 6
    written(log, 1, 2, "run 2", rows[2:])  # all of it at once, with the checkpoint of batch 0
    assert sum(log.end_offsets("labelled").values()) == 6


def test_the_first_task_s_marker_is_looked_for_once_in_a_start() -> None:
    asked: list[str] = []

    def find(name: str) -> None:
        asked.append(name)

    for run in ("run a", "run a", "run b", "", ""):
        Past(find, "first").check(Task(query="q", batch=1, partition=2, run=run))
    assert len(asked) == 4


def test_a_marker_of_another_query_is_refused_whichever_task_left_it() -> None:
    last = Marker(query="other", batch=0, count=1, checksum=1)
    for _ in range(2):  # what was refused is not taken for seen
        with pytest.raises(ConfigError, match=r"another query \(other"):
            Past(lambda _: last, "f").check(Task(query="q", batch=1, partition=2, run="run c"))


def test_each_task_looks_at_the_first_one_s_marker_before_it_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = MemoryLog()
    log.ensure(["labelled", "rejected"])
    monkeypatch.setattr(app, "find_marker", lambda _, name: log.markers.get(name))
    monkeypatch.setattr(
        app, "open_transactional_sink", lambda _, name: log.transactional_sink(name)
    )
    kafka = KafkaSettings(labelled_topic="labelled", rejected_topic="rejected", stream_name="s")
    write_once([LABELLED], TOPICS, Task(query="q", batch=5, partition=0, run="one"), kafka)
    for batch, partition in ((4, 0), (4, 1), (3, 7)):
        task = Task(query="q", batch=batch, partition=partition, run="two")
        with pytest.raises(ConfigError, match="comes too late, as 5 is written"):
            write_once([LABELLED], TOPICS, task, kafka)
    write_once([LABELLED], TOPICS, Task(query="q", batch=6, partition=7, run="two"), kafka)
    assert sum(log.end_offsets("labelled").values()) == 2


def test_exactly_once_needs_a_streaming_query() -> None:
    with pytest.raises(ConfigError, match="needs a streaming query"):
        current_task()


def test_kafka_is_waited_for_as_long_as_the_option_says() -> None:
    wait = patient(KafkaSettings(bootstrap_servers="b:1", delivery_timeout=1e-9))
    with pytest.raises(TransientError, match=r"Kafka at b:1 .*deliveryTimeout = 1e-09.*: gone"):
        wait(TransientError("gone"))


def test_a_stream_is_called_by_its_checkpoint_or_by_a_name(tmp_path: Path) -> None:
    options = sink_options(checkpointLocation=str(tmp_path))
    assert options.kafka.stream_name == str(tmp_path)
    assert sink_options(checkpointLocation="s3a://b/c").kafka.stream_name == "s3a://b/c"
    assert sink_options(checkpointLocation="c").kafka.stream_name == str(Path("c").absolute())
    named = sink_options(checkpointLocation=str(tmp_path), streamName="mine")
    assert named.kafka.stream_name == "mine"
    assert sink_options().kafka.stream_name is None


def test_delivery_is_exactly_once_unless_told_otherwise() -> None:
    assert sink_options().kafka.delivery == "exactly_once"
    assert sink_options(delivery="AT_LEAST_ONCE").kafka.delivery == "at_least_once"
    with pytest.raises(ConfigError, match="'twice', not exactly_once or at_least_once"):
        sink_options(delivery="twice")
