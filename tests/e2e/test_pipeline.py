"""The whole pipeline, command by command, against servers that stay up for the whole run."""

import json
import signal
import socket
from collections import Counter
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

from reviewstream.samples import write_sample
from tests.e2e.conftest import (
    PATIENCE,
    Command,
    Pipeline,
    await_condition,
    is_running,
    with_changes,
)

REVIEWS = 900


@dataclass
class Topic:
    """Reads a topic with nothing of ours: confluent-kafka and the registry alone."""

    pipeline: Pipeline
    name: str

    def count(self) -> int:
        return len(self._messages())

    def values(self) -> list[dict[str, Any]]:
        registry = SchemaRegistryClient({"url": self.pipeline.settings.registry.url})
        decode = AvroDeserializer(registry)
        context = SerializationContext(self.name, MessageField.VALUE)
        try:
            return [decode(message.value(), context) for message in self._messages()]
        finally:
            registry.close()

    def _messages(self) -> list[Message]:
        """Read to the end of each partition: offsets count the ends of transactions too."""
        consumer = Consumer(
            {
                "bootstrap.servers": self.pipeline.settings.kafka.bootstrap_servers,
                "group.id": "second-opinion",
                "auto.offset.reset": "earliest",
                "isolation.level": "read_committed",
                "enable.partition.eof": True,
            }
        )
        try:
            topics = consumer.list_topics(timeout=10).topics
            parts = list(topics[self.name].partitions) if self.name in topics else []
            consumer.assign([TopicPartition(self.name, part, OFFSET_BEGINNING) for part in parts])
            found: list[Message] = []
            unread = len(parts)
            while unread:
                message = consumer.poll(60)
                assert message is not None, f"{self.name}: no answer, {unread} partitions unread"
                if (error := message.error()) is None:
                    found.append(message)
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    unread -= 1
            return found
        finally:
            consumer.close()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    file = tmp_path / "review.json"
    write_sample(file, REVIEWS, seed=3)
    return file


def line_starts(file: Path) -> list[int]:
    lines = file.read_bytes().splitlines(keepends=True)
    return list(accumulate(map(len, lines), initial=0))[:-1]


def test_an_outage_and_a_restart_lose_and_double_no_line(pipeline: Pipeline, reviews: Path) -> None:
    port = free_port()
    pipeline = with_changes(pipeline, "source", port=port, max_rows_per_trigger=100)
    topic = Topic(pipeline, pipeline.settings.kafka.labelled_topic)
    serve = ("serve", str(reviews), "--port", str(port))
    slowly = (*serve, "--rate", "60")  # so that there is something left when it is stopped
    with pipeline.start("run") as run:
        with pipeline.start(*slowly) as server:
            server.await_text("Ready.")
            await_condition("first records", topic.count, lambda count: count >= 200)
            server.signal(signal.SIGKILL)
        run.await_text("waiting for it")
        before = topic.count()
        with pipeline.start(*slowly) as server:
            server.await_text("Ready.")
            await_condition("records after the outage", topic.count, lambda n: n >= before + 200)
            java = run.await_java()
            assert run.signal(signal.SIGTERM) == 128 + signal.SIGTERM
            assert not is_running(java)
            run.await_text("reviewstream: stopped by SIGTERM; the micro-batch that runs is")
            stopped_at = topic.count()
            assert stopped_at < REVIEWS
    with pipeline.start(*serve) as server:
        server.await_text("Ready.")
        counts = json.loads(pipeline.run("run", "--once", "--json").splitlines()[-1])
    assert counts["labelled"] == REVIEWS - stopped_at
    values = topic.values()
    assert Counter(value["origin"]["offset"] for value in values) == Counter(line_starts(reviews))


def test_spark_never_outlives_the_run_and_its_end_is_one_sentence(pipeline: Pipeline) -> None:
    pipeline = with_changes(pipeline, "source", port=free_port())
    with pipeline.start("run", "--no-setup", "--progress", "none") as run:
        java = run.await_java()
        assert run.signal(signal.SIGINT) == 128 + signal.SIGINT
        assert not is_running(java)
        assert ours(run) == ["reviewstream: stopped by Ctrl-C; ending Spark"]
    with pipeline.start("run", "--progress", "none") as run:
        run.await_text("Ready.")
        run.await_java().kill()
        assert run.process.wait(PATIENCE) == 2
        (sentence,) = ours(run)
        assert "Spark's Java process was killed by SIGKILL" in sentence
    with pipeline.start("run", "--progress", "none") as run:
        run.await_text("Ready.")
        java = run.await_java()
        run.process.kill()
        await_condition("Spark without us", lambda: is_running(java), lambda found: not found)


def ours(run: Command) -> list[str]:
    """Return the lines that say how it ended; there is no trace of anything."""
    printed = run.log.read_text()
    assert "Traceback" not in printed
    assert "Exception" not in printed
    return [line for line in printed.splitlines() if line.startswith("reviewstream: ")]


def test_the_index_is_complete_searched_and_reported(pipeline: Pipeline, reviews: Path) -> None:
    port = free_port()
    pipeline = with_changes(pipeline, "source", port=port)
    with pipeline.start("serve", str(reviews), "--port", str(port)) as server:
        server.await_text("Ready.")
        pipeline.run("run", "--once")
    values = Topic(pipeline, pipeline.settings.kafka.labelled_topic).values()
    ids = {value["review_id"] for value in values}
    assert len(ids) == REVIEWS

    def report() -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(pipeline.run("report", "--json"))
        return answer

    answer = await_condition("documents", report, lambda found: found["documents"] == REVIEWS)
    assert answer["sentiments"] == Counter(value["sentiment"] for value in values)
    hits = json.loads(pipeline.run("search", "friendly", "--sentiment", "positive", "--json"))
    assert hits["hits"]
    for hit in hits["hits"]:
        assert "friendl" in hit["document"]["text"].lower()
        assert hit["document"]["sentiment"] == "POSITIVE"


def test_the_plain_port_is_read_by_nc(pipeline: Pipeline, reviews: Path) -> None:
    plain = free_port()
    with pipeline.start("serve", str(reviews), "--port", "0", "--plain-port", str(plain)) as server:
        server.await_text("Ready.")
        with socket.create_connection(("127.0.0.1", plain), timeout=10) as connection:
            received = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert received == reviews.read_bytes()
