"""Compares labelling in packs with one synchronous call per row in a UDF, on the same endpoint.

    python -m benchmarks.labelling [--reviews 20000] [--rows 200] [--latency 200] [--json]

The mock endpoint answers after `latency` milliseconds. Both ways run in Spark on the same two
cores: `label_reviews` with a ledger of its own, all reviews distinct, with `pack` reviews in a
request and `in_flight` requests over both tasks; and a UDF that asks about one row after the other,
each task with a client that it keeps. `to_udf` is the ratio of their reviews per second, `to_ideal`
that of the pipeline's to what the latency alone allows: in flight x pack / latency. A first small
job of each starts Spark's Python workers, and is not timed.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F  # noqa: N812 - as every Spark user writes it
from pyspark.sql.types import StringType

from benchmarks.command import run
from reviewstream.cli.local import use_java
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.parsing import parse_review
from reviewstream.core.records.reviews import Origin, Review
from reviewstream.samples import expand
from reviewstream.settings import (
    LedgerSettings,
    LimitsSettings,
    OpenAISettings,
    Settings,
    SparkSettings,
)
from reviewstream.spark import label_reviews, spark_session
from reviewstream.spark.columns import source_batch
from reviewstream_testbed.mock_openai import OpenAIEndpoint

TASKS = 2  # and cores
WARM_UP = 40  # reviews
UNLIMITED = 1_000_000_000  # a minute: what the endpoint tells of its limits is kept to
SENTIMENTS = ("POSITIVE", "NEUTRAL", "NEGATIVE")


def distinct_reviews() -> Iterator[Review]:
    """Return sample reviews of which no two have the same text, for ever."""
    seen: set[str] = set()
    for seed in count():
        for line in expand(5_000, seed=seed):
            outcome = parse_review(line.rstrip(b"\n"))
            if isinstance(outcome, Ok) and outcome.value.text not in seen:
                seen.add(outcome.value.text)
                yield outcome.value


@contextmanager
def running_spark() -> Iterator[SparkSession]:
    """Start Spark on this machine's first cores."""
    use_java()
    session = spark_session(SparkSettings(master=f"local[{TASKS}]"))
    try:
        yield session
    finally:
        session.stop()


def frame(session: SparkSession, reviews: list[Review]) -> DataFrame:
    """Return reviews as `format("reviews")` gives them, dealt to the tasks."""
    origins = (Origin(source="sample", offset=number) for number in range(len(reviews)))
    rows = pa.Table.from_batches([source_batch(zip(reviews, origins, strict=True))])
    return session.createDataFrame(rows).repartition(TASKS).cache()


def timed(rows: DataFrame, wanted: int) -> float:
    """Return how many rows with a sentiment Spark makes in a second.

    Raises:
        ValueError: There are other than `wanted` of them.
    """
    began = time.perf_counter()
    found = rows.filter(F.col("sentiment").isin(*SENTIMENTS)).count()
    seconds = time.perf_counter() - began
    if found != wanted:
        raise ValueError(f"{found} of {wanted} reviews have a label")
    return found / seconds


def by_pipeline(settings: Settings) -> Callable[[DataFrame], DataFrame]:
    """Label as a user of the library does."""
    return lambda rows: rows.transform(label_reviews(settings))


def by_udf(base_url: str, api_key: str, model: str) -> Callable[[DataFrame], DataFrame]:
    """Label as tutorials do: one call after the other, an answer of one word."""
    clients: list[Any] = []  # one in each task, made when it is first needed

    def ask(text: str) -> str:
        from openai import OpenAI  # noqa: PLC0415 - this runs in Spark's workers alone

        if not clients:
            clients.append(OpenAI(base_url=base_url, api_key=api_key))
        answer = clients[0].chat.completions.create(
            model=model,
            messages=[
                {"role": "system", "content": "Answer POSITIVE, NEUTRAL or NEGATIVE, no more."},
                {"role": "user", "content": text},
            ],
        )
        return str(answer.choices[0].message.content)

    asked = F.udf(ask, StringType())
    return lambda rows: rows.withColumn("sentiment", asked("text"))


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Measure both ways, one after the other."""
    reviews = list(islice(distinct_reviews(), 2 * WARM_UP + options.rows + options.reviews))
    parts = iter(reviews)
    with (
        tempfile.TemporaryDirectory() as folder,
        OpenAIEndpoint(
            latency=options.latency,
            judge="hash",
            requests_per_minute=UNLIMITED,
            tokens_per_minute=UNLIMITED,
        ) as endpoint,
        running_spark() as session,
    ):
        settings = _settings(options, endpoint, Path(folder))
        ways = {
            "udf": (by_udf(endpoint.base_url, endpoint.api_key, "gpt-4o-mini"), options.rows),
            "pipeline": (by_pipeline(settings), options.reviews),
        }
        speeds: dict[str, float] = {}
        for name, (label, size) in ways.items():
            for wanted in (WARM_UP, size):
                rows = frame(session, list(islice(parts, wanted)))
                rows.count()  # it is in Spark before the clock starts
                speeds[name] = timed(label(rows), wanted)
        asked = endpoint.requests()
    ideal = options.in_flight * options.pack / (options.latency / 1000)
    return {
        "load": [round(load, 1) for load in os.getloadavg()],
        "udf_per_s": round(speeds["udf"], 1),
        "pipeline_per_s": round(speeds["pipeline"]),
        "ideal_per_s": round(ideal),
        "peak_in_flight": asked["peak_in_flight"],
        "to_udf": round(speeds["pipeline"] / speeds["udf"], 1),
        "to_ideal": round(speeds["pipeline"] / ideal, 2),
    }


def _settings(options: argparse.Namespace, endpoint: OpenAIEndpoint, folder: Path) -> Settings:
    return Settings.model_construct(
        openai=OpenAISettings(
            base_url=endpoint.base_url,
            api_key=SecretStr(endpoint.api_key),
            pack=options.pack,
            concurrency=options.in_flight // TASKS,
        ),
        ledger=LedgerSettings(file=str(folder / "ledger.sqlite3")),
        limits=LimitsSettings(),
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--reviews", type=int, default=20_000, help="labelled by the pipeline")
    parser.add_argument("--rows", type=int, default=200, help="labelled by the UDF")
    parser.add_argument("--latency", type=float, default=200, metavar="MS", help="of the endpoint")
    parser.add_argument("--pack", type=int, default=20)
    parser.add_argument("--in-flight", type=int, default=32, help="requests, over both tasks")
    run(parser, measure)


if __name__ == "__main__":
    main()
