"""Whatever is killed, and whenever: no label is bought twice, and none is lost.

What was in flight at the kill is asked about again, as nobody knows its answer.
"""

import contextlib
import hashlib
import json
import random
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import psutil
import pytest
from pydantic import SecretStr

from reviewstream.samples import write_sample
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users
from tests.contract.redis_server import MISSING, RedisServer, redis_program
from tests.e2e.conftest import (
    PATIENCE,
    Command,
    Pipeline,
    await_condition,
    command_of,
    with_changes,
)
from tests.e2e.test_pipeline import free_port

pytestmark = pytest.mark.model

REVIEWS: Final = 3_000
PACK: Final = 10
CONCURRENCY: Final = 2  # per Spark task
TASKS: Final = 2
LEASE: Final = 5.0  # seconds; the next run waits for what a killed one was buying
LATENCY: Final = 100  # milliseconds, so that a kill finds requests in flight
TASK: Final = "pyspark.worker"  # the daemon of the processes that run tasks, and these themselves

Find = Callable[[Command, int], list[psutil.Process]]


@pytest.fixture
def texts(tmp_path: Path) -> set[str]:
    """Write the reviews, and return their different texts."""
    write_sample(tmp_path / "review.json", REVIEWS, seed=17)
    lines = (tmp_path / "review.json").read_bytes().splitlines()
    return {json.loads(line)["text"] for line in lines}


@pytest.fixture
def endpoint() -> Iterator[OpenAIEndpoint]:
    with OpenAIEndpoint(latency=LATENCY, judge="hash") as endpoint:
        yield endpoint


@pytest.fixture
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """Settings of a ledger in a file, or in a Redis."""
    if request.param == "file":
        yield {"file": str(tmp_path / "ledger.sqlite3")}
        return
    server = RedisServer(redis_program() or pytest.skip(MISSING), tmp_path)
    yield {"url": SecretStr(server.url), "lease": LEASE}
    server.close()


@pytest.fixture
def mine(pipeline: Pipeline, endpoint: OpenAIEndpoint, ledger: dict[str, Any]) -> Pipeline:
    pipeline = with_changes(
        pipeline,
        "openai",
        base_url=endpoint.base_url,
        concurrency=CONCURRENCY,
        pack=PACK,
    )
    pipeline = with_changes(pipeline, "ledger", enabled=True, **ledger)
    return with_changes(
        pipeline, "source", port=free_port(), partitions=TASKS, max_rows_per_trigger=REVIEWS // 3
    )


def asked(endpoint: OpenAIEndpoint) -> dict[str, int]:
    """Return how often each text was asked about, by its SHA-256."""
    return of_users(endpoint.requests()["reviews"])


def driver(run: Command, _: int = 0) -> list[psutil.Process]:
    """Return the driver's processes: ours, and the JVM that it started."""
    ours = psutil.Process(run.process.pid)
    return [ours, *(each for each in ours.children(recursive=True) if each.name() == "java")]


def workers(run: Command) -> list[psutil.Process]:
    """Return the processes that run tasks, sinks among them, without the daemon that forks them.

    Spark has another daemon, whose forks plan.
    """
    children = psutil.Process(run.process.pid).children(recursive=True)
    forks = [each for each in children if TASK in command_of(each)]
    return [each for each in forks if each.parent() in forks]


def labelling(run: Command, port: int) -> list[psutil.Process]:
    """Return the workers that label: they are connected to the model, which listens on `port`."""
    return [each for each in workers(run) if is_connected(each, port)]


def is_connected(process: psutil.Process, port: int) -> bool:
    """Say whether a process has an open connection to a port."""
    with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
        return any(
            each.status == psutil.CONN_ESTABLISHED and each.raddr.port == port
            for each in process.net_connections("tcp")
        )
    return False


def kill(find: Callable[[], list[psutil.Process]]) -> None:
    """Kill processes as soon as there are some: a kill that hits none is no kill."""
    for process in await_condition("processes to kill", find, bool):
        with contextlib.suppress(psutil.NoSuchProcess):  # it has just ended
            process.kill()


def kill_until_over(find: Callable[[], list[psutil.Process]], run: Command) -> None:
    """Kill processes, and what takes their place, until the run is over."""

    def is_over() -> bool:
        with contextlib.suppress(psutil.NoSuchProcess):
            for process in find():
                process.kill()
        return run.process.poll() is not None

    kill(find)
    await_condition("end of the run", is_over, bool)


VICTIMS: Final[dict[str, tuple[Find, ...]]] = {
    "driver": (driver,),
    "worker": (labelling,),
    "both": (labelling, driver),
}


@pytest.mark.parametrize(
    ("victim", "ledger"),
    [
        ("both", "file"),
        pytest.param("driver", "file", marks=pytest.mark.faults),
        pytest.param("worker", "file", marks=pytest.mark.faults),
        pytest.param("both", "redis", marks=pytest.mark.faults),
    ],
    indirect=["ledger"],
)
def test_a_kill_at_any_moment_costs_what_was_in_flight_at_most(
    mine: Pipeline, endpoint: OpenAIEndpoint, texts: set[str], victim: str
) -> None:
    moment = random.SystemRandom().randrange(PACK, len(texts) * 3 // 4)
    serve = ("serve", "review.json", "--port", str(mine.settings.source.port))
    with mine.start(*serve) as server:
        server.await_text("Ready.")
        with mine.start("run", "--once") as run:
            await_condition("texts", lambda: len(asked(endpoint)), lambda count: count >= moment)
            *first, last = (partial(find, run, endpoint.port) for find in VICTIMS[victim])
            for find in first:
                kill(find)
            # A worker that had done its part is not missed: then the next one is killed.
            kill_until_over(last, run)
            assert run.process.wait(PATIENCE) != 0
        before = asked(endpoint)
        assert len(before) < len(texts), "the kill came after the end"
        mine.run("run", "--once")

    times = asked(endpoint)
    assert times.keys() == {hashlib.sha256(text.encode()).hexdigest() for text in texts}
    again = sum(times.values()) - len(times)
    assert again <= TASKS * CONCURRENCY * PACK, f"asked again about {again}, at {moment}"
    report = await_condition(
        "documents",
        lambda: json.loads(mine.run("report", "--json")),
        lambda found: found["documents"] == REVIEWS,
    )
    assert report["documents"] == REVIEWS
