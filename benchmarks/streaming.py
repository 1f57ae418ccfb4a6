"""Measures what exactly once costs a stream: reviews per second through Spark into Kafka.

    python -m benchmarks.streaming [--model] [--batches 20] [--rows 1000] [--rounds 3] [--json]

Rows go from Parquet files through `format("reviews-kafka")` to the testbed's Kafka: `batches`
micro-batches of two tasks, each of `rows` rows. They are labelled already; or with `--model` by the
mock endpoint, on the way, without a ledger. The idempotent producer and exactly once take turns in
one Spark session, each with a topic and a checkpoint of its own. The first micro-batch of each,
which starts Python workers, is not timed. `ratio` is that of the reviews per second, the median of
the rounds.
"""

import argparse
import tempfile
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet
from pydantic import SecretStr
from pyspark.sql import DataFrame, SparkSession

from benchmarks.command import run
from benchmarks.delivery import WAYS, check, compared, rows, with_topics
from benchmarks.labelling import TASKS, UNLIMITED, running_spark
from reviewstream.settings import (
    KafkaSettings,
    LedgerSettings,
    LimitsSettings,
    OpenAISettings,
    RegistrySettings,
    Settings,
)
from reviewstream.spark import label_reviews, register
from reviewstream.spark.columns import LABEL, LABELLED, arrow_type
from reviewstream.spark.options import sink_options
from reviewstream_testbed import Testbed
from reviewstream_testbed.mock_openai import OpenAIEndpoint

PATIENCE = 600  # seconds


def write_files(folder: Path, options: argparse.Namespace) -> None:
    """Write a file for each task; one more micro-batch than is timed."""
    schema = pa.schema([pa.field(each.name, arrow_type(each.dataType)) for each in LABELLED])
    known = rows(options.rows)
    for task in range((options.batches + 1) * TASKS):
        mine = [row | {"review_id": f"{task:06}{row['review_id'][6:]}"} for row in known]
        parquet.write_table(pa.Table.from_pylist(mine, schema), folder / f"{task:06}.parquet")


def unlabelled(labelled: DataFrame, endpoint: OpenAIEndpoint) -> DataFrame:
    """Return the rows without their labels, labelled again by the endpoint."""
    settings = Settings.model_construct(
        openai=OpenAISettings(
            base_url=endpoint.base_url, api_key=SecretStr(endpoint.api_key), pack=20, concurrency=16
        ),
        ledger=LedgerSettings(enabled=False),
        limits=LimitsSettings(),
    )
    names = [each.name for each in LABEL]
    return labelled.drop(*names).transform(label_reviews(settings))


def speed(
    session: SparkSession, files: Path, kafka: KafkaSettings, endpoint: OpenAIEndpoint | None
) -> float:
    """Return the reviews per second of one query over all files."""
    ids = {"labelledSchemaId": "1", "rejectedSchemaId": "2"}
    reading = session.readStream.schema(LABELLED).option("maxFilesPerTrigger", TASKS)
    labelled = reading.parquet(str(files))
    if endpoint:
        labelled = unlabelled(labelled, endpoint)
    with tempfile.TemporaryDirectory() as checkpoint:
        writer = labelled.writeStream.format("reviews-kafka")
        writer = writer.options(**sink_options(kafka, RegistrySettings()), **ids)
        query = writer.trigger(availableNow=True).start(checkpointLocation=checkpoint)
        if not query.awaitTermination(PATIENCE):
            raise SystemExit(f"{kafka.delivery}: not done after {PATIENCE} s")
        timed = [each for each in query.recentProgress if each.numInputRows][1:]
    return float(sum(each.numInputRows for each in timed) * 1000 / sum(map(_milliseconds, timed)))


def _milliseconds(progress: object) -> int:
    return int(getattr(progress, "batchDuration"))  # noqa: B009 - pyspark's stubs do not have it


def model(options: argparse.Namespace) -> AbstractContextManager[OpenAIEndpoint | None]:
    """Return an endpoint without limits that answers after 200 ms, if one is wanted."""
    if not options.model:
        return nullcontext()
    return OpenAIEndpoint(
        latency=200, judge="hash", requests_per_minute=UNLIMITED, tokens_per_minute=UNLIMITED
    )


def measure(options: argparse.Namespace) -> dict[str, object]:
    """Let the two ways take turns."""
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    expected = (options.batches + 1) * TASKS * options.rows
    with (
        Testbed(["kafka"]) as bed,
        model(options) as endpoint,
        running_spark() as session,
        tempfile.TemporaryDirectory() as files,
    ):
        register(session)
        servers = bed.kafka.bootstrap_servers
        write_files(Path(files), options)
        for _ in range(options.rounds):
            for way in WAYS:
                mine = with_topics(KafkaSettings(bootstrap_servers=servers, delivery=way))
                speeds[way].append(speed(session, Path(files), mine, endpoint))
                check(mine, expected)
    return {"rows_of_a_task": options.rows} | compared(speeds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", action="store_true", help="label them on the way")
    parser.add_argument("--batches", type=int, default=20, help="that are timed (%(default)s)")
    parser.add_argument("--rows", type=int, default=1_000, help="of each task (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3)
    run(parser, measure)


if __name__ == "__main__":
    main()
