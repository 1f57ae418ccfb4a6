"""A run whose account at the endpoint is used up, as a user sees it."""

import json
from pathlib import Path

import pytest

from reviewstream.samples import write_sample
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users
from tests.e2e.conftest import Pipeline, with_changes
from tests.e2e.test_budget import run_once
from tests.e2e.test_pipeline import Topic, free_port

pytestmark = pytest.mark.model

REVIEWS = 300
PACK = 5
PARTITIONS = 2
IN_FLIGHT = 4  # requests of each


def test_a_run_stops_with_3_when_the_quota_is_spent_and_goes_on_without_loss_later(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    file = tmp_path / "reviews.json"
    write_sample(file, REVIEWS, seed=21)
    port, model = free_port(), {"pack": PACK, "concurrency": IN_FLIGHT}
    with OpenAIEndpoint(latency=100) as endpoint:
        pipeline = with_changes(pipeline, "openai", **model, base_url=endpoint.base_url)
        lines = {"max_rows_per_trigger": 150, "partitions": PARTITIONS}
        pipeline = with_changes(pipeline, "source", port=port, **lines)
        pipeline = with_changes(pipeline, "ledger", enabled=True, file=str(tmp_path / "ledger"))
        with pipeline.start("serve", str(file), "--port", str(port)) as server:
            server.await_text("Ready.")
            endpoint.fault({"kind": "ok", "times": 10}, {"kind": "quota_429", "times": 10_000})
            code, _, said = run_once(pipeline)
            assert code == 3, said
            (sentence,) = [line for line in said.splitlines() if line.startswith("reviewstream: ")]
            assert sentence.startswith(
                f"reviewstream: the quota at {endpoint.base_url} is spent (HTTP 429: "
            )
            assert sentence.endswith("Add credit or wait, then start again: nothing is lost")
            assert "Traceback" not in said
            endpoint.fault()
            code, out, said = run_once(pipeline, "--no-setup")
            assert code == 0, said
        found = endpoint.requests()
    refused, asked = found["faults"]["quota_429"], of_users(found["reviews"])
    assert 0 < refused <= PARTITIONS * IN_FLIGHT, "whoever is told of the quota asks no more"
    assert asked.total() <= REVIEWS + PACK * refused, "a text was paid for twice"
    published = Topic(pipeline, pipeline.settings.kafka.labelled_topic).values()
    assert len({each["review_id"] for each in published}) == REVIEWS
    counts = json.loads(out.splitlines()[-1])
    assert counts["rejected"] == 0
