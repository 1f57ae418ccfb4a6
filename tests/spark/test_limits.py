"""A budget and a limit that hold for every task of a query."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from pyspark.errors import StreamingQueryException
from pyspark.sql import DataFrame, SparkSession

from reviewstream.adapters.tcp.log_server import serving
from reviewstream.errors import BudgetExceededError
from reviewstream.settings import LedgerSettings, LimitsSettings, OpenAISettings, Settings
from reviewstream.spark import label_reviews
from reviewstream.spark.query import failure
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users
from tests.spark.conftest import await_condition, finish, sample, start

COUNT = 240
PACK = 4
SLOW = b"Slow food! "


@pytest.fixture(scope="module")
def endpoint() -> Iterator[OpenAIEndpoint]:
    with OpenAIEndpoint(latency=400) as running:
        yield running


@pytest.fixture
def settings(endpoint: OpenAIEndpoint, tmp_path: Path) -> Settings:
    endpoint.reset()
    return Settings(
        openai=OpenAISettings(
            base_url=endpoint.base_url,
            api_key=SecretStr(endpoint.api_key),
            pack=PACK,
            concurrency=4,
        ),
        ledger=LedgerSettings(file=str(tmp_path / "ledger.sqlite3")),
        limits=LimitsSettings(account="mine"),
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.json"
    lines = sample(COUNT, seed=9)
    late = [line.replace(b'"text":"', b'"text":"' + SLOW) for line in lines[COUNT // 2 :]]
    path.write_bytes(b"\n".join([*lines[: COUNT // 2], *late]))
    return path


def labelled(spark: SparkSession, port: int, settings: Settings) -> DataFrame:
    stream = spark.readStream.format("reviews").option("port", port).option("partitions", 2).load()
    return stream.transform(label_reviews(settings))


def with_budget(settings: Settings, usd: float | None) -> Settings:
    limits = settings.limits.model_copy(update={"budget_usd": usd})
    return settings.model_copy(update={"limits": limits})


def test_a_spent_budget_ends_the_query_and_a_larger_one_goes_on_without_loss(
    spark: SparkSession, settings: Settings, file: Path, endpoint: OpenAIEndpoint, tmp_path: Path
) -> None:
    # One task is still waiting for its answers when the other one fails.
    slow = {"kind": "slow", "seconds": 2.0}
    endpoint.fault(rate=1.0, faults=[slow], match=SLOW.decode())
    with serving(file) as server:
        poor = labelled(spark, server.port, with_budget(settings, 0.002))
        query = start(poor, tmp_path, available_now=True)
        with pytest.raises(StreamingQueryException) as caught:
            query.awaitTermination(60)
        error = failure(caught.value)
        assert isinstance(error, BudgetExceededError)
        assert "raise --budget-usd (limits.budget_usd) and start again" in str(error)
        assert "\n" not in str(error)
        asked = of_users(endpoint.requests()["reviews"])
        assert 0 < len(asked) < COUNT
        endpoint.fault()
        with pytest.raises(StreamingQueryException, match="budget is spent"):
            start(poor, tmp_path, available_now=True).awaitTermination(60)  # no new budget
        rich = labelled(spark, server.port, with_budget(settings, 5.0))
        finish(start(rich, tmp_path, available_now=True))
    rows = spark.read.parquet(str(tmp_path / "rows")).collect()
    assert len(rows) == COUNT
    assert all(row.sentiment for row in rows)
    asked = of_users(endpoint.requests()["reviews"])
    assert set(asked.values()) == {1}, "a text was asked about twice"


def test_tasks_that_wait_for_their_turn_end_with_the_one_that_finds_the_budget_spent(
    spark: SparkSession, settings: Settings, file: Path, endpoint: OpenAIEndpoint, tmp_path: Path
) -> None:
    slow = settings.limits.model_copy(update={"requests_per_minute": 30.0})
    settings = settings.model_copy(update={"limits": slow})
    with serving(file) as server:
        poor = labelled(spark, server.port, with_budget(settings, 0.0016))
        query = start(poor, tmp_path, available_now=True)
        with pytest.raises(StreamingQueryException, match="budget is spent"):
            query.awaitTermination(60)
        asked = len(of_users(endpoint.requests()["reviews"]))
        await_condition("all tasks end", lambda: is_idle(spark), timeout=10)
        asked_later = of_users(endpoint.requests()["reviews"])
        assert len(asked_later) <= asked + PACK, "somebody went on asking"
        fast = settings.model_copy(update={"limits": LimitsSettings(account="mine")})
        rich = labelled(spark, server.port, with_budget(fast, 5.0))
        finish(start(rich, tmp_path, available_now=True))
    assert spark.read.parquet(str(tmp_path / "rows")).count() == COUNT
    asked_at_last = of_users(endpoint.requests()["reviews"])
    assert set(asked_at_last.values()) == {1}, "a text was asked about twice"


def is_idle(spark: SparkSession) -> bool:
    executors = spark.sparkContext._jsc.sc().statusTracker().getExecutorInfos()
    return not any(each.numRunningTasks() for each in executors)
