"""What did not get through gets through in the end, by the commands that a person would give."""

import json
from pathlib import Path
from typing import Any

import pytest
from elasticsearch import Elasticsearch

from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.samples import write_sample
from tests.e2e.conftest import Pipeline, await_condition, with_changes
from tests.e2e.test_pipeline import free_port

pytestmark = pytest.mark.model

REVIEWS = 60


def write_reviews(file: Path) -> None:
    """Write reviews, one of them with ten times its stars, and a line that is none."""
    write_sample(file, REVIEWS, seed=8)
    lines = file.read_bytes().splitlines(keepends=True)
    fields = json.loads(lines[7]) | {"stars": 50.0}
    lines[7] = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
    file.write_bytes(b"".join([*lines, b"no review\n"]))


def set_up_wrongly(pipeline: Pipeline, client: Elasticsearch) -> None:
    """Set everything up, and then put an index behind the alias that no document of ours fits."""
    kafka, alias = pipeline.settings.kafka, pipeline.settings.elasticsearch.index
    KafkaLog(kafka).ensure((kafka.labelled_topic, kafka.rejected_topic, kafka.dead_letter_topic))
    for command in (("schemas", "register"), ("index", "setup"), ("connector", "apply")):
        pipeline.run(*command)
    for name in client.indices.get_alias(name=alias):
        client.indices.delete(index=name)
    mapping = {"properties": {"stars": {"type": "boolean"}}}
    client.indices.create(index=f"{alias}-wrong", mappings=mapping, aliases={alias: {}})


def listed(pipeline: Pipeline, *arguments: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(pipeline.run("rejects", "list", *arguments, "--json"))
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    write_reviews(file := tmp_path / "review.json")
    return file


def test_dead_letters_and_rejected_lines_are_sent_again_and_everything_adds_up(
    pipeline: Pipeline, source: Path, tmp_path: Path
) -> None:
    pipeline = with_changes(pipeline, "source", port=(port := free_port()))
    alias = pipeline.settings.elasticsearch.index
    with Elasticsearch(pipeline.settings.elasticsearch.url) as client:
        set_up_wrongly(pipeline, client)
        with pipeline.start("serve", str(source), "--port", str(port)) as server:
            server.await_text("Ready.")
            pipeline.run("run", "--once", "--no-setup")
        await_condition(
            "dead letters", lambda: listed(pipeline, "--dlq")["total"], lambda n: n == REVIEWS - 1
        )
        client.indices.delete(index=f"{alias}-wrong")
    pipeline.run("index", "setup")
    pipeline.run("rejects", "replay", "--dlq")

    repairs = tmp_path / "rejects.jsonl"
    pipeline.run("rejects", "list", "--open", "--reason", "OUT_OF_RANGE", "--out", str(repairs))
    repairs.write_text(repairs.read_text().replace('stars\\":50.0', 'stars\\":5.0'))
    pipeline.run("rejects", "replay", "--file", str(repairs))

    (left,) = listed(pipeline, "--open")["rejects"]
    assert left["reason"] == "NOT_JSON"
    found = json.loads(pipeline.run("reconcile", str(source), "--wait", "60", "--json"))
    assert found["adds_up"], found
    assert found["labelled"]["reviews"] == found["documents"] == REVIEWS
    assert found["rejected"]["lines"] == 1
