"""However often and wherever it is killed: who reads committed records finds every review once.

`REVIEWSTREAM_TEST_KILLS` and `REVIEWSTREAM_TEST_REVIEWS` say how many; every twentieth kill or so
is one of the driver, which takes its workers and their open transactions along.
"""

import contextlib
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final
from uuid import uuid4

import psutil
import pytest
from confluent_kafka import Consumer

from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.samples import write_sample
from reviewstream.settings import (
    KafkaSettings,
    LedgerSettings,
    OpenAISettings,
    RegistrySettings,
    Settings,
    SourceSettings,
    SparkSettings,
)
from reviewstream_testbed import Kafka, SchemaRegistry
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.e2e.conftest import PATIENCE, Command, Pipeline
from tests.e2e.test_kills import driver, workers
from tests.e2e.test_pipeline import free_port

pytestmark = [pytest.mark.model, pytest.mark.faults, pytest.mark.timeout(3600)]

KILLS: Final = int(os.environ.get("REVIEWSTREAM_TEST_KILLS", "30"))
REVIEWS: Final = int(os.environ.get("REVIEWSTREAM_TEST_REVIEWS", "4000"))
ROWS: Final = max(50, REVIEWS // 40)  # of a micro-batch
TASKS: Final = 2
MOST_APART: Final = 1.0  # seconds between two kills
DRIVERS: Final = 0.05  # of all kills


@pytest.fixture
def endpoint() -> Iterator[OpenAIEndpoint]:
    with OpenAIEndpoint(judge="hash") as endpoint:
        yield endpoint


@pytest.fixture
def mine(
    kafka: Kafka, schema_registry: SchemaRegistry, endpoint: OpenAIEndpoint, tmp_path: Path
) -> Pipeline:
    name = f"kills-{uuid4().hex[:8]}"
    settings = Settings.model_construct(
        source=SourceSettings(port=free_port(), partitions=TASKS, max_rows_per_trigger=ROWS),
        openai=OpenAISettings(base_url=endpoint.base_url),
        ledger=LedgerSettings(enabled=True, file=str(tmp_path / "ledger.sqlite3")),
        kafka=KafkaSettings(
            bootstrap_servers=kafka.bootstrap_servers,
            labelled_topic=f"{name}.labelled",
            rejected_topic=f"{name}.rejected",
        ),
        registry=RegistrySettings(url=schema_registry.url, auto_register=True),
        spark=SparkSettings(master=f"local[{TASKS},{10 * KILLS}]"),
    )
    topics = settings.kafka.labelled_topic, settings.kafka.rejected_topic
    KafkaLog(settings.kafka).ensure(topics)
    return Pipeline(settings, tmp_path)


def kill_one(run: Command, dice: random.Random, killed: Counter[str]) -> None:
    """Kill the driver or a worker, if there is one just now."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if dice.random() < DRIVERS:
            for process in driver(run):
                process.kill()
            killed["driver"] += 1
        elif found := workers(run):
            dice.choice(found).kill()
            killed["worker"] += 1


def torment(
    run: Command, dice: random.Random, killed: Counter[str], written: Callable[[], int]
) -> int:
    """Kill, so many in each micro-batch that they are spread over all; return how it ended."""
    run.await_text("Ready.")
    while run.process.poll() is None and killed.total() < KILLS:
        time.sleep(dice.uniform(0, MOST_APART))  # the moment of the kill, not a wait for anything
        if killed.total() * REVIEWS < (written() + ROWS) * KILLS:
            kill_one(run, dice, killed)
    return run.process.wait(10 * PATIENCE)


def read_independently(servers: str, topic: str) -> Counter[bytes | None]:
    """Count the keys on a topic, with nothing but a consumer that reads committed records."""
    consumer = Consumer(
        {
            "bootstrap.servers": servers,
            "group.id": f"independent-{uuid4().hex}",
            "auto.offset.reset": "earliest",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
        }
    )
    keys: Counter[bytes | None] = Counter()
    consumer.subscribe([topic])
    try:
        quiet = time.monotonic() + 15
        while time.monotonic() < quiet:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                keys[message.key()] += 1
                quiet = time.monotonic() + 5
    finally:
        consumer.close()
    return keys


def test_after_any_kills_every_review_is_on_the_topic_once(
    mine: Pipeline, capsys: pytest.CaptureFixture[str]
) -> None:
    write_sample(mine.folder / "review.json", REVIEWS, seed=23)
    lines = (mine.folder / "review.json").read_bytes().splitlines()
    expected = Counter(json.loads(line)["review_id"].encode() for line in lines)
    seed = random.SystemRandom().randrange(1 << 32)
    dice = random.Random(seed)  # noqa: S311 - nothing secret
    killed: Counter[str] = Counter()
    log, topic = KafkaLog(mine.settings.kafka), mine.settings.kafka.labelled_topic
    starts, code = 0, None
    with mine.start("serve", "review.json", "--port", str(mine.settings.source.port)) as server:
        server.await_text("Ready.")
        while code != 0:
            starts += 1
            assert starts <= 2 + 2 * KILLS, "it does not get to its end"
            with mine.start("run", "--once", "--no-setup") as run:
                code = torment(run, dice, killed, lambda: sum(log.end_offsets(topic).values()))
    found = read_independently(mine.settings.kafka.bootstrap_servers, topic)
    with capsys.disabled():
        print(f"\n{REVIEWS} reviews, {dict(killed)} killed, {starts} starts, seed {seed}")  # noqa: T201 - the figure is the result
    assert killed.total() > KILLS // 2
    assert {key: n for key, n in found.items() if n > 1} == {}
    assert found == expected
