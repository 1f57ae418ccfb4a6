"""The whole pipeline on a Spark cluster, one of whose executors is killed in the middle."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from pydantic import SecretStr
from pyspark.sql import SparkSession

from reviewstream import app
from reviewstream.adapters.tcp.log_server import serving
from reviewstream.cli.reconcile import comparison
from reviewstream.cli.sources import served_source
from reviewstream.core.reconcile.reconciliation import Reconciliation
from reviewstream.samples import write_sample
from reviewstream.settings import Settings, SparkSettings
from reviewstream.spark import batch_counts, start_query
from reviewstream.spark.session import configuration
from reviewstream_testbed import SparkCluster
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.spark_session import spark_session
from tests.e2e.conftest import PATIENCE, Pipeline, await_condition, with_changes

REVIEWS = 400
BAD = 3
AT_ONCE = 100  # lines in a micro-batch, in two tasks


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write_sample(path := tmp_path / "review.json", REVIEWS, seed=9)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[REVIEWS // 2 : REVIEWS // 2] = [b"{bad %d\n" % number for number in range(BAD)]
    path.write_bytes(b"".join(lines))
    return path


@pytest.fixture
def settings(pipeline: Pipeline, file: Path, tmp_path: Path) -> Iterator[Settings]:
    with serving(file) as server:
        pipeline = with_changes(pipeline, "source", port=server.port, max_rows_per_trigger=AT_ONCE)
        pipeline = with_changes(pipeline, "openai", api_key=SecretStr("sk-mock"))
        pipeline = with_changes(pipeline, "ledger", file=str(tmp_path / "ledger.sqlite3"))
        pipeline = with_changes(pipeline, "spark", checkpoint=str(tmp_path / "checkpoint"))
        yield pipeline.settings


@pytest.fixture
def session(spark_cluster: SparkCluster) -> Iterator[SparkSession]:
    pages = {"spark.ui.enabled": "true", "spark.ui.port": "0"}
    master, config = spark_cluster.master_url, spark_cluster.client_config | pages
    with spark_session(configuration(SparkSettings(master=master, config=config))) as running:
        yield running


def executors(session: SparkSession) -> list[dict[str, Any]]:
    """Return what Spark's status API says of every executor there has been."""
    context = session.sparkContext
    url = f"{context.uiWebUrl}/api/v1/applications/{context.applicationId}/allexecutors"
    return [each for each in httpx2.get(url, timeout=60).json() if each["id"] != "driver"]


def busy(session: SparkSession) -> list[str]:
    return [each["id"] for each in executors(session) if each["isActive"] and each["activeTasks"]]


def sums_of(settings: Settings) -> Reconciliation:
    """Wait for the index, and compare the stages as the command does."""
    compared = comparison(settings, lambda _stage, _done, _total: None, seconds=PATIENCE)
    with served_source(settings.source) as (name, lines):
        return compared.run(name, lines)


@pytest.mark.usefixtures("kafka", "schema_registry", "kafka_connect", "elasticsearch")  # together
def test_a_killed_executor_loses_no_review_and_doubles_none(
    settings: Settings,
    session: SparkSession,
    spark_cluster: SparkCluster,
    openai_endpoint: OpenAIEndpoint,
) -> None:
    app.prepare(settings)
    running = start_query(session, settings, available_now=True)
    try:
        await_condition("batches", lambda: batch_counts(running.query), lambda found: found)
        openai_endpoint.pause()  # until it goes on, the tasks that run cannot end
        both = await_condition("busy executors", lambda: busy(session), lambda ids: len(ids) == 2)
        done = batch_counts(running.query)
        assert done[-1].offset < (done[-1].head or 0)
        spark_cluster.kill_executor(0)
        await_condition("lost executor", lambda: busy(session), lambda ids: ids != both)
    finally:
        openai_endpoint.resume()
    assert running.query.awaitTermination(int(PATIENCE)), running.query.lastProgress

    sums = sums_of(settings)
    assert sums.adds_up, sums.named
    assert (sums.source.lines, sums.rejected.records) == (REVIEWS + BAD, BAD)
    assert (sums.labelled.records, sums.documents) == (REVIEWS, REVIEWS)

    worked = {each["id"] for each in executors(session) if each["completedTasks"]}
    assert {*both} <= worked
    assert len({*both}) == 2
