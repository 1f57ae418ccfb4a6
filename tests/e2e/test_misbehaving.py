"""A fifth of all requests fail, in every scripted way at once, and the run goes on to its end."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Final

import pytest

from reviewstream.samples import write_sample
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.mock_openai.fault_kinds import KINDS
from tests.e2e.conftest import Pipeline, await_condition, with_changes
from tests.e2e.test_pipeline import Topic, free_port

pytestmark = pytest.mark.model

REVIEWS: Final = 3_000
STOPS: Final = {  # a person must act
    *("401", "403", "policy_404", "billing_limit_400", "budget_400"),
    *("quota_429", "quota_402", "quota_other_429", "error_200_402"),
}
FAULTS: Final = sorted(KINDS.keys() - STOPS - {"ok"})
# Each kind once, among four good answers; then chance decides.
EACH: Final = [one for kind in FAULTS for one in (kind, {"kind": "ok", "times": 4})]
# What a rejection may say, and the words of the fault that it must quote.
TRUE: Final = {
    "MODEL_BAD_REQUEST": ("HTTP 400: ", "HTTP 413: "),
    "MODEL_REFUSED": ("I'm sorry, I can't assist", "content filter", "no choice", "HTTP 40"),
    "MODEL_BAD_ANSWER": ("finish_reason", "$.labels", "JSON", "sentiment", "id", "reasoning"),
    "MODEL_UNAVAILABLE": ("the last attempt",),
}


@pytest.fixture
def endpoint() -> Iterator[OpenAIEndpoint]:
    with OpenAIEndpoint(judge="hash") as endpoint:
        yield endpoint


def test_every_review_is_labelled_or_rejected_with_a_true_reason_and_none_twice(
    pipeline: Pipeline, endpoint: OpenAIEndpoint, tmp_path: Path
) -> None:
    write_sample(file := tmp_path / "review.json", REVIEWS, seed=23)
    pipeline = with_changes(pipeline, "source", port=free_port(), max_rows_per_trigger=REVIEWS)
    pipeline = with_changes(
        pipeline, "openai", base_url=endpoint.base_url, pack=4, timeout=2.0, max_wait=0.5
    )
    endpoint.fault(*EACH, rate=0.2, faults=FAULTS, seed=5)
    with pipeline.start("serve", str(file), "--port", str(pipeline.settings.source.port)) as server:
        server.await_text("Ready.")
        counts = json.loads(pipeline.run("run", "--once", "--json").splitlines()[-1])
    met = endpoint.requests()["faults"]
    assert met.keys() - {"ok"} == set(FAULTS)

    kafka = pipeline.settings.kafka
    labelled = Topic(pipeline, kafka.labelled_topic).values()
    rejected = Topic(pipeline, kafka.rejected_topic).values()
    lines = file.read_bytes().splitlines(keepends=True)
    starts = list(accumulate(map(len, lines), initial=0))[:-1]
    assert Counter(one["origin"]["offset"] for one in [*labelled, *rejected]) == Counter(starts)
    assert (counts["labelled"], counts["rejected"]) == (len(labelled), len(rejected))
    assert len(rejected) < REVIEWS // 20
    for one in rejected:
        assert any(words in one["detail"] for words in TRUE[one["reason"]]), one
    report = await_condition(
        "documents",
        lambda: json.loads(pipeline.run("report", "--json")),
        lambda found: found["documents"] == len(labelled),
    )
    assert report["documents"] == len(labelled)
