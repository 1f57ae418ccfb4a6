"""Measures what exactly once costs: reviews per second into Kafka, beside the idempotent producer.

    python -m benchmarks.delivery [--tasks 20] [--rows 1000] [--rounds 5] [--writers 2] [--json]

A task is what the sink does with one Spark task's rows: encode, write, and wait until they are on
the topic. `writers` processes, as Spark's Python workers are, do `tasks` tasks each, of `rows`
rows, against the testbed's Kafka. The two ways take turns in the same processes; a first round of
each is not timed. `ratio` is that of the reviews per second, the median of the rounds.
"""

import argparse
import os
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache
from itertools import islice
from multiprocessing import get_context
from statistics import median
from typing import Any
from uuid import uuid4

from msgspec.structs import asdict

from benchmarks.command import run
from benchmarks.labelling import distinct_reviews
from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.app import open_record_sink
from reviewstream.core.delivery.publishing import Topics
from reviewstream.core.records.reviews import Provenance, Review
from reviewstream.settings import Delivery, KafkaSettings
from reviewstream.spark.sink import Task, publish, write_once
from reviewstream_testbed import Testbed

WAYS: tuple[Delivery, ...] = ("at_least_once", "exactly_once")
WHEN = datetime(2026, 1, 1, tzinfo=UTC)


@lru_cache
def rows(size: int) -> list[dict[str, Any]]:
    """Return labelled rows as Spark hands them over; made once in each process."""
    return [labelled(number, review) for number, review in enumerate(reviews(size))]


def reviews(size: int) -> Iterator[Review]:
    """Return some reviews."""
    return islice(distinct_reviews(), size)


def labelled(number: int, review: Review) -> dict[str, Any]:
    """Return a review as a row with a label."""
    provenance = Provenance(model="m", prompt_version=1, labelled_at=WHEN)
    return {
        **asdict(review),
        "sentiment": "POSITIVE",
        "confidence": 0.5,
        "provenance": asdict(provenance),
        "origin": {"source": "reviews.json", "offset": number},
        "rejection": None,
    }


def write(kafka: KafkaSettings, writer: int, tasks: int, size: int) -> float:
    """Do one writer's tasks, and return the seconds that they took."""
    given = rows(size)
    topics = Topics(
        labelled=kafka.labelled_topic, labelled_id=1, rejected=kafka.rejected_topic, rejected_id=2
    )
    began = time.perf_counter()
    for batch in range(tasks):
        if kafka.delivery == "exactly_once":
            write_once(
                given, topics, Task(query="q", batch=batch, partition=writer, run="r"), kafka
            )
        else:
            publish(given, topics, open_record_sink(kafka))
    return time.perf_counter() - began


def round_of(pool: Executor, kafka: KafkaSettings, options: argparse.Namespace) -> float:
    """Return the reviews per second of all writers together, each round to topics of its own."""
    mine = with_topics(kafka)
    sizes = options.tasks, options.rows
    working = [pool.submit(write, mine, writer, *sizes) for writer in range(options.writers)]
    slowest: float = max(each.result() for each in working)
    expected = options.writers * options.tasks * options.rows
    check(mine, expected)
    return float(expected / slowest)


def with_topics(kafka: KafkaSettings) -> KafkaSettings:
    """Make two topics of their own, and return the settings with them."""
    word = uuid4().hex[:8]
    mine = kafka.model_copy(update={"labelled_topic": f"l-{word}", "rejected_topic": f"r-{word}"})
    KafkaLog(mine).ensure([mine.labelled_topic, mine.rejected_topic])
    return mine


def check(kafka: KafkaSettings, expected: int) -> None:
    """See that as many records are on the topic as were given."""
    written = sum(1 for _ in KafkaLog(kafka).read_all(kafka.labelled_topic))
    if written != expected:
        raise SystemExit(f"{kafka.delivery}: {written:,} records on the topic, not {expected:,}")


def compared(speeds: Mapping[str, Sequence[float]]) -> dict[str, object]:
    """Return the reviews per second of both ways, and the ratio of exactly once to the other."""
    least, once = (speeds[way] for way in WAYS)
    ratios = [a / b for a, b in zip(once, least, strict=True)]
    return {
        "load": [round(load, 1) for load in os.getloadavg()],
        "reviews_per_second": {way: round(median(speeds[way])) for way in WAYS},
        "ratios": [round(each, 3) for each in ratios],
        "ratio": round(median(ratios), 3),
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Let the two ways take turns."""
    speeds: dict[str, list[float]] = {way: [] for way in WAYS}
    with (
        Testbed(["kafka"]) as bed,
        ProcessPoolExecutor(options.writers, mp_context=get_context("spawn")) as pool,
    ):
        for turn in range(options.rounds + 1):
            for way in WAYS:
                kafka = KafkaSettings(bootstrap_servers=bed.kafka.bootstrap_servers, delivery=way)
                speed = round_of(pool, kafka, options)
                if turn:
                    speeds[way].append(speed)
    sizes = {name: getattr(options, name) for name in ("writers", "tasks", "rows")}
    return sizes | compared(speeds)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=20, help="of each writer (%(default)s)")
    parser.add_argument("--rows", type=int, default=1_000, help="of each task (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--writers", type=int, default=2)
    run(parser, measure)


if __name__ == "__main__":
    main()
