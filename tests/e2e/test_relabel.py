"""Reviews are labelled again, killed in the middle; no replay brings an old label back."""

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Consumer, Message, Producer, TopicPartition
from elasticsearch import Elasticsearch

from reviewstream.adapters.tcp.log_server import serving
from reviewstream.samples import write_sample
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users
from tests.e2e.conftest import Pipeline, await_condition, with_changes
from tests.e2e.test_pipeline import Topic

pytestmark = pytest.mark.model

REVIEWS = 300
PACK = 2
IN_FLIGHT = 4  # requests


@pytest.fixture
def labelled(pipeline: Pipeline, tmp_path: Path) -> Pipeline:
    """A pipeline that has labelled and indexed everything, with a ledger."""
    write_sample(file := tmp_path / "review.json", REVIEWS, seed=21)
    pipeline = with_changes(pipeline, "ledger", enabled=True, file=str(tmp_path / "ledger.sqlite3"))
    pipeline = with_changes(pipeline, "openai", pack=PACK, concurrency=IN_FLIGHT)
    with serving(file) as server:
        pipeline = with_changes(pipeline, "source", port=server.port)
        pipeline.run("run", "--once")
    await_generations(pipeline, {0: REVIEWS})
    return pipeline


def generations(pipeline: Pipeline) -> dict[int, int]:
    """Return how many documents there are of each generation, with nothing of ours."""
    settings = pipeline.settings.elasticsearch
    with Elasticsearch(settings.url) as client:
        client.indices.refresh(index=settings.index)
        by = {"by": {"terms": {"field": "provenance.generation"}}}
        answer = client.search(index=settings.index, size=0, aggs=by)
    return {
        bucket["key"]: bucket["doc_count"] for bucket in answer["aggregations"]["by"]["buckets"]
    }


def await_generations(pipeline: Pipeline, wanted: dict[int, int]) -> None:
    await_condition("generations", lambda: generations(pipeline), lambda found: found == wanted)


def relabel(pipeline: Pipeline, *arguments: str, code: int = 0) -> dict[str, Any]:
    said = pipeline.run("relabel", "--prompt-version", "2", "--json", *arguments, code=code)
    answer: dict[str, Any] = json.loads(said.splitlines()[-1])
    return answer


def first_record(pipeline: Pipeline) -> Message:
    """Return the oldest record of partition 0."""
    consumer = Consumer(
        {"bootstrap.servers": pipeline.settings.kafka.bootstrap_servers, "group.id": "once"}
    )
    consumer.assign([TopicPartition(pipeline.settings.kafka.labelled_topic, 0, 0)])
    try:
        return consumer.consume(1, timeout=60)[0]
    finally:
        consumer.close()


def replay(pipeline: Pipeline, old: Message) -> None:
    """Write an old record again, and wait until the connector has taken it."""
    topic = pipeline.settings.kafka.labelled_topic
    producer = Producer({"bootstrap.servers": pipeline.settings.kafka.bootstrap_servers})
    headers, value, key = old.headers(), old.value(), old.key()
    assert key is not None
    producer.produce(topic, key=key, value=value, headers=headers, partition=0)
    # The next one in the partition, under an id of its own: it is indexed after the old one.
    producer.produce(topic, key=b"sentinel", value=value, headers=headers, partition=0)
    assert producer.flush(60) == 0
    settings = pipeline.settings.elasticsearch
    with Elasticsearch(settings.url) as client:
        await_condition(
            "the record after it",
            lambda: bool(client.exists(index=settings.index, id="sentinel")),
            bool,
        )
        client.delete(index=settings.index, id="sentinel")


@pytest.mark.usefixtures("kafka", "schema_registry", "kafka_connect", "elasticsearch")  # together
def test_killed_and_started_again_all_get_one_newer_label_that_no_replay_undoes(
    labelled: Pipeline, openai_endpoint: OpenAIEndpoint
) -> None:
    topic = Topic(labelled, labelled.settings.kafka.labelled_topic)
    before = {value["review_id"]: value for value in topic.values()}
    texts = len({value["text"] for value in before.values()})
    openai_endpoint.reset()
    assert relabel(labelled, "--dry-run")["due"] == REVIEWS
    assert openai_endpoint.requests()["requests"] == 0

    openai_endpoint.fault(rate=1.0, faults=[{"kind": "slow", "seconds": 0.05}])  # time to be killed
    with labelled.start("relabel", "--prompt-version", "2") as command:
        await_condition("new labels", topic.count, lambda count: count > REVIEWS)
        command.signal(signal.SIGKILL)
    openai_endpoint.fault()
    killed_at = topic.count()
    assert REVIEWS < killed_at < 2 * REVIEWS
    answer = relabel(labelled)
    assert (answer["done"], answer["due"]) == (killed_at - REVIEWS, 2 * REVIEWS - killed_at)
    assert (answer["labelled"], answer["rejected"]) == (answer["due"], 0)

    times = of_users(openai_endpoint.requests()["reviews"])
    assert len(times) == texts
    assert sum(times.values()) - texts <= PACK * IN_FLIGHT  # what was in flight at the kill
    after = topic.values()
    newer = [value for value in after if value["provenance"]["generation"] == 1]
    assert Counter(value["review_id"] for value in newer) == Counter(before.keys())
    assert {value["provenance"]["prompt_version"] for value in newer} == {2}
    await_generations(labelled, {1: REVIEWS})

    replay(labelled, first_record(labelled))
    assert generations(labelled) == {1: REVIEWS}
    asked = openai_endpoint.requests()["requests"]
    assert relabel(labelled, "--generation", "2", "--where", "stars<=2", code=0)["from_ledger"] > 0
    assert openai_endpoint.requests()["requests"] == asked
