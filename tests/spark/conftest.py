"""What the tests of this folder share: our formats in the testbed's session, and waiting."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.streaming.query import StreamingQuery

from reviewstream.samples import expand
from reviewstream.settings import SparkSettings
from reviewstream.spark import register
from reviewstream.spark.session import SPARK_HOME, configuration, python_for


@pytest.fixture(scope="session")
def spark_config(spark_config: dict[str, str]) -> dict[str, str]:
    # The pyspark and the Python that are installed here, whatever the shell says.
    for name in (SPARK_HOME, "PYSPARK_PYTHON"):
        os.environ.pop(name, None)
    settings = SparkSettings(master="local[2]")
    os.environ["PYSPARK_PYTHON"] = python_for(settings)
    return spark_config | configuration(settings)


@pytest.fixture(scope="session")
def spark(spark: SparkSession) -> SparkSession:
    register(spark)
    register(spark)  # twice is fine
    return spark


def sample(count: int, *, seed: int) -> list[bytes]:
    """Return lines of sample reviews, without their newlines."""
    return [line.rstrip(b"\n") for line in expand(count, seed=seed)]


def await_condition(what: str, condition: Callable[[], object], *, timeout: float = 60.0) -> None:
    """Wait until `condition` gives something true."""
    deadline = time.monotonic() + timeout
    while not (last := condition()):
        assert time.monotonic() < deadline, f"{what}: still {last!r} after {timeout:g} s"
        time.sleep(0.05)


def start(rows: DataFrame, folder: Path, *, available_now: bool = False) -> StreamingQuery:
    """Write rows to `folder/rows`, exactly once, with the checkpoint beside them."""
    writer = rows.writeStream.format("parquet").option("path", str(folder / "rows"))
    writer = writer.option("checkpointLocation", str(folder / "checkpoint"))
    return (writer.trigger(availableNow=True) if available_now else writer).start()


def finish(query: StreamingQuery) -> None:
    """Wait until a query with `available_now` has ended."""
    assert query.awaitTermination(120), query.lastProgress
