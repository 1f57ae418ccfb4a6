"""No key, no password and no word of a review is in any log, whatever goes wrong."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reviewstream.samples import expand
from reviewstream_testbed import SparkCluster
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.e2e.conftest import Pipeline, with_changes
from tests.e2e.test_pipeline import Topic, free_port

pytestmark = pytest.mark.model

REVIEWS = 60
AT_ONCE = 30  # lines in a micro-batch: the first one meets the faults, the second one the 401
WORD = "Kanarienvogelfutter"  # in every text
KEY = "sk-CANARY-4d1f0a7be2"
PASSWORDS = {
    "REVIEWSTREAM_REGISTRY__USERNAME": "somebody",
    "REVIEWSTREAM_REGISTRY__PASSWORD": "canary-registry-77",
    "REVIEWSTREAM_CONNECT__USERNAME": "somebody",
    "REVIEWSTREAM_CONNECT__PASSWORD": "canary-connect-77",
    "REVIEWSTREAM_ELASTICSEARCH__USERNAME": "somebody",
    "REVIEWSTREAM_ELASTICSEARCH__PASSWORD": "canary-elastic-77",
    "REVIEWSTREAM_KAFKA__SASL_PASSWORD": "canary-kafka-77",
}
SECRETS = (WORD, KEY, "canary-")
# One request in flight and one review in it: each fault hits another review. Between failures all
# is well, or they would be an outage; a second unreadable answer rejects a
# review, if the probe is answered.
FAILURES = ("400", "500", "503", "reset", "html", "truncated_json", "hang", "rate_429")
ANSWERS = ("refusal", "off_list_label", "not_json", "wrong_id", "length", "content_filter")
SCRIPT: tuple[str | dict[str, Any], ...] = (
    *(each for failure in FAILURES for each in (failure, "ok")),
    *(each for answer in ANSWERS for each in (answer, answer, "ok")),
    {"kind": "ok", "times": 20},
    {"kind": "401", "times": 50},
)


@dataclass
class Canary(Pipeline):
    """A pipeline whose every secret can be searched for."""

    def environ(self) -> dict[str, str]:
        names = super().environ() | PASSWORDS | {"OPENAI_API_KEY": KEY}
        return {name: value for name, value in names.items() if name != "PYTHONWARNINGS"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Reviews with the word in each, and a line that is none, with the word too."""
    lines = [json.loads(line) for line in expand(REVIEWS, seed=13)]
    for line in lines:
        line["text"] = f"{WORD}: {line['text']}"
    path = tmp_path / "source" / "review.json"
    path.parent.mkdir()
    texts = [json.dumps(line) for line in lines]
    path.write_text("\n".join([*texts, json.dumps({"text": WORD}), f"{WORD} {{"]) + "\n")
    return path


@pytest.fixture
def cluster(request: pytest.FixtureRequest) -> SparkCluster | None:
    """The cluster where tasks run, or None if it is this machine."""
    where: str = getattr(request, "param", "local")
    return None if where == "local" else request.getfixturevalue("spark_cluster")


@pytest.fixture
def canary(pipeline: Pipeline, tmp_path: Path, cluster: SparkCluster | None) -> Canary:
    (events := tmp_path / "events").mkdir()
    config = {"spark.eventLog.enabled": "true", "spark.eventLog.dir": events.as_uri()}
    config |= {"spark.eventLog.compress": "false"}  # it is searched
    spark: dict[str, object] = {"checkpoint": str(tmp_path / "checkpoint"), "config": config}
    if cluster is not None:
        spark |= {"master": cluster.master_url, "config": cluster.client_config | config}
    model = {"pack": 1, "concurrency": 1, "timeout": 2, "max_wait": 0.2}
    lines = {"partitions": 1, "max_rows_per_trigger": AT_ONCE}
    pipeline = with_changes(pipeline, "openai", **model)
    pipeline = with_changes(pipeline, "spark", **spark)
    pipeline = with_changes(pipeline, "source", port=free_port(), **lines)
    pipeline = with_changes(pipeline, "ledger", enabled=True, file=str(tmp_path / "ledger.sqlite3"))
    return Canary(pipeline.settings, tmp_path)


def printed(canary: Canary, *arguments: str, code: int) -> None:
    """Run a command in the foreground, with all that it prints in a file."""
    with canary.start(*arguments) as command:
        assert command.process.wait(200) == code, command.log.read_text()


def found_in(folder: Path, *, besides: Path) -> list[str]:
    """Return where a secret is in a file's bytes or name; Spark's are not compressed here."""
    files = [each for each in folder.rglob("*") if each.is_file() and besides not in each.parents]
    return [
        f"{secret} in {file.relative_to(folder)}: {context(file.read_bytes(), secret)}"
        for file in files
        for secret in SECRETS
        if secret.encode() in file.read_bytes() or secret in file.name
    ]


def context(data: bytes, secret: str) -> str:
    at = data.find(secret.encode())
    return data[max(0, at - 200) : at + 100].decode(errors="replace")


def keep_logs(cluster: SparkCluster, folder: Path) -> None:
    """Put what its processes logged, executors included, where it is searched."""
    logs = cluster.logs()
    assert "Executor" in logs
    (folder / "cluster.log").write_text(logs)


@pytest.mark.parametrize(
    "cluster", ["local", pytest.param("cluster", marks=pytest.mark.faults)], indirect=True
)
@pytest.mark.usefixtures("kafka", "schema_registry", "kafka_connect", "elasticsearch")  # together
def test_nothing_that_is_logged_or_kept_holds_a_secret_or_a_word_of_a_review(
    canary: Canary, file: Path, openai_endpoint: OpenAIEndpoint, cluster: SparkCluster | None
) -> None:
    port = str(canary.settings.source.port)
    with canary.start("serve", str(file), "--port", port) as server:
        server.await_text("Ready.")
        openai_endpoint.fault(*SCRIPT)
        printed(canary, "run", "--once", code=2)  # ends at the 401
        openai_endpoint.fault()
        printed(canary, "run", "--once", "--json", code=0)
    openai_endpoint.fault("refusal", "refusal")
    printed(canary, "relabel", "--prompt-version", "2", code=1)

    rejected = Topic(canary, canary.settings.kafka.rejected_topic).values()
    reasons = {each["reason"] for each in rejected}
    assert {"MODEL_REFUSED", "MODEL_BAD_ANSWER", "MODEL_BAD_REQUEST", "NOT_JSON"} <= reasons
    everything = "".join(log.read_text() for log in canary.folder.glob("*.log"))
    assert "refuses the API key (HTTP 401: " in everything
    assert list((canary.folder / "events").rglob("*"))
    if cluster is not None:
        keep_logs(cluster, canary.folder)
    (canary.folder / "endpoint.log").write_text(openai_endpoint.logs())
    assert len(found_in(file.parent, besides=canary.folder / "printed")) == 1  # it does find
    assert found_in(canary.folder, besides=file.parent) == []
    assert (canary.folder / "ledger.sqlite3").exists()


LEAK = f"""
import logging, os, sys
from reviewstream.settings import SparkSettings
from reviewstream.spark import spark_session


def leak(batches):
    logging.warning("an executor's logger tells {WORD}")
    print("an executor prints Authorization: Bearer", "{KEY}", file=sys.stderr)
    yield from batches


session = spark_session(SparkSettings.model_validate_json(sys.argv[1]))
session.range(2).repartition(2).mapInArrow(leak, "id long").collect()
logging.warning("the driver's logger tells {WORD}")
print("the driver prints Authorization: Bearer", "{KEY}")
session.stop()
"""


@pytest.mark.faults
@pytest.mark.parametrize("cluster", ["cluster"], indirect=True)
def test_what_the_driver_or_an_executor_logs_of_a_secret_is_found(
    canary: Canary, cluster: SparkCluster
) -> None:
    told = canary.settings.spark.model_dump_json()
    leaking = subprocess.run(
        [sys.executable, "-c", LEAK, told],
        env=canary.environ(),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    logs = canary.folder / "logs"
    logs.mkdir()
    (logs / "driver.log").write_text(leaking.stdout + leaking.stderr)
    keep_logs(cluster, logs)
    found = "\n".join(found_in(logs, besides=canary.folder / "printed"))
    for who in ("the driver", "an executor"):
        assert f"{who}'s logger tells {WORD}" in found
        assert f"{who} prints Authorization: Bearer {KEY}" in found
