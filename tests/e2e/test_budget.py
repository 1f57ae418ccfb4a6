"""A run that may spend only so much, as a user sees it."""

import json
from pathlib import Path

import pytest

from reviewstream.samples import write_sample
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users
from tests.e2e.conftest import Pipeline, with_changes
from tests.e2e.test_pipeline import free_port

pytestmark = pytest.mark.model

REVIEWS = 600


def run_once(pipeline: Pipeline, *more: str) -> tuple[int, str, str]:
    done = pipeline.finished("run", "--once", "--json", *more)
    return done.returncode, done.stdout, done.stderr


def test_a_run_stops_with_3_when_its_budget_is_spent_and_a_larger_one_completes_it(
    pipeline: Pipeline, tmp_path: Path
) -> None:
    file = tmp_path / "reviews.json"
    write_sample(file, REVIEWS, seed=21)
    port = free_port()
    with OpenAIEndpoint(latency=100) as endpoint:
        pipeline = with_changes(pipeline, "openai", base_url=endpoint.base_url, pack=5)
        pipeline = with_changes(pipeline, "source", port=port, max_rows_per_trigger=200)
        pipeline = with_changes(pipeline, "ledger", enabled=True, file=str(tmp_path / "ledger"))
        with pipeline.start("serve", str(file), "--port", str(port)) as server:
            server.await_text("Ready.")
            code, _, said = run_once(pipeline, "--budget-usd", "0.008")
            assert code == 3, said
            (sentence,) = [line for line in said.splitlines() if line.startswith("reviewstream: ")]
            assert sentence.startswith("reviewstream: the budget is spent: $0.00")
            assert "of $0.008, and the next request may cost $0.0" in sentence
            assert "Traceback" not in said
            asked = of_users(endpoint.requests()["reviews"])
            assert 0 < len(asked) < REVIEWS
            code, _, said = run_once(pipeline, "--budget-usd", "0.008")
            assert code == 3, "a new start has no new budget"
            code, out, said = run_once(pipeline, "--budget-usd", "5")
            assert code == 0, said
        asked = of_users(endpoint.requests()["reviews"])
    assert set(asked.values()) == {1}, "a text was paid for twice"
    counts = json.loads(out.splitlines()[-1])
    assert counts["rejected"] == 0
