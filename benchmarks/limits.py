"""Measures how much of an endpoint's rate limit the pipeline uses, and how often it is refused.

    python -m benchmarks.limits [--master local[2]|cluster] [--seconds 120]
        [--requests-per-minute 600] [--from-headers] [--json]

The mock endpoint enforces the limit within one second: a burst of more than a second's share is
refused. The settings name the limit, or with `--from-headers` nothing, and the pipeline learns it
from the endpoint's answers. Reviews are labelled one in a request for `seconds`, on two cores of
this machine, or on the testbed's cluster of two workers with ledger and limiter in a Redis. `used`
is the share of the limit that was answered, `refused` the share of requests answered 429.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from threading import Thread
from typing import Any

from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession

from benchmarks.command import run
from benchmarks.labelling import TASKS, UNLIMITED, distinct_reviews, frame
from reviewstream.cli.local import use_java
from reviewstream.settings import (
    LedgerSettings,
    LimitsSettings,
    OpenAISettings,
    Settings,
    SparkSettings,
)
from reviewstream.spark import label_reviews, spark_session
from reviewstream_testbed import Testbed
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.redis_server import MISSING, RedisServer, redis_program

CLUSTER = "cluster"
LATENCY = 200  # milliseconds
IN_FLIGHT = 16  # requests, of each task


@contextmanager
def surroundings(master: str, folder: Path) -> Iterator[tuple[SparkSession, LedgerSettings]]:
    """Start Spark, and with a cluster the Redis that its workers share."""
    with ExitStack() as stack:
        if master == CLUSTER:
            bed = stack.enter_context(Testbed(["spark_cluster"])).spark_cluster
            spark = SparkSettings(master=bed.master_url, config=dict(bed.client_config))
            redis = _redis(folder)
            stack.callback(redis.close)
            ledger = LedgerSettings(url=SecretStr(redis.url))
        else:
            spark = SparkSettings(master=master)
            ledger = LedgerSettings(file=str(folder / "ledger.sqlite3"))
        use_java()
        session = spark_session(spark)
        stack.callback(session.stop)
        yield session, ledger


def _redis(folder: Path) -> RedisServer:
    program = redis_program()
    if program is None:
        raise SystemExit(MISSING)
    return RedisServer(program, folder)


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Label for a while, and look at what the endpoint answered."""
    limit = options.requests_per_minute
    size = int(limit * (options.seconds + 30) / 60)  # more than there is time for
    with (
        tempfile.TemporaryDirectory() as folder,
        OpenAIEndpoint(
            latency=LATENCY,
            judge="hash",
            requests_per_minute=limit,
            tokens_per_minute=UNLIMITED,
            window_seconds=1.0,
        ) as endpoint,
        surroundings(options.master, Path(folder)) as (session, ledger),
    ):
        openai = OpenAISettings(
            base_url=endpoint.base_url,
            api_key=SecretStr(endpoint.api_key),
            pack=1,
            concurrency=IN_FLIGHT,
        )
        named = None if options.from_headers else limit
        limits = LimitsSettings(requests_per_minute=named)
        settings = Settings.model_construct(openai=openai, ledger=ledger, limits=limits)
        rows = frame(session, list(islice(distinct_reviews(), size)))
        rows.count()
        working = Thread(target=label, args=(rows, settings), daemon=True)
        working.start()
        found = watched(endpoint, options.seconds)
        session.sparkContext.cancelAllJobs()
        working.join()
    answered, refused, seconds = found
    return {
        "load": [round(load, 1) for load in os.getloadavg()],
        "master": options.master,
        "requests_per_minute": limit,
        "seconds": round(seconds, 1),
        "answered": answered,
        "refused_429": refused,
        "used": round(answered / (limit * seconds / 60), 3),
        "refused": round(refused / max(answered + refused, 1), 4),
    }


def label(rows: DataFrame, settings: Settings) -> None:
    """Label all, until the job is cancelled."""
    labelled = rows.transform(label_reviews(settings))
    try:
        labelled.write.format("noop").mode("overwrite").save()
    except Exception as err:
        if "cancelled" not in str(err).lower():
            raise


def watched(endpoint: OpenAIEndpoint, seconds: float) -> tuple[int, int, float]:
    """Return the requests answered and refused from the first one on, and how long that was."""
    while not endpoint.requests()["requests"]:
        time.sleep(0.02)
    began = time.perf_counter()
    time.sleep(seconds)
    statuses, took = endpoint.requests()["statuses"], time.perf_counter() - began
    return statuses.get("200", 0), statuses.get("429", 0), took


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--master", default=f"local[{TASKS}]", help="or `cluster` (%(default)s)")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--requests-per-minute", type=int, default=600)
    parser.add_argument("--from-headers", action="store_true", help="the settings name no limit")
    run(parser, measure)


if __name__ == "__main__":
    main()
