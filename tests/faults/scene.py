"""Reviews on their way through the whole pipeline, for something to go wrong on the way."""

import contextlib
import json
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from reviewstream.samples import write_sample
from reviewstream_testbed import Link, ReviewServer, Testbed
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users
from tests.e2e.conftest import Command, Pipeline, await_condition, with_changes

REVIEWS: Final = 2_000
BAD_EVERY: Final = 100  # one line in so many is no review
RUNS: Final = 4  # a fault may end a run; what it left is done by the next
BATCH: Final = 500
DELIVERY: Final = 45.0  # seconds that a task tries to write its records
BAD: Final = b'{"review_id": "cut off'


def write_reviews(file: Path, *, seed: int) -> None:
    """Write reviews, and bad lines between them."""
    write_sample(file, REVIEWS, seed=seed)
    lines = file.read_bytes().splitlines(keepends=True)
    for number in range(0, len(lines), BAD_EVERY):
        lines[number] = BAD + str(number).encode() + b"\n"
    file.write_bytes(b"".join(lines))


@dataclass
class Scene:
    """One pipeline of its own on servers that all share.

    Attributes:
        to_server: The network between Spark and the review server.
        to_model: The network between Spark and the endpoint.
        to_kafka: The network between Spark and Kafka.
        to_search: The network between Connect and Elasticsearch.
        seed: Of the reviews in the file.
        notes: What ended a run before its end: its last words.
    """

    pipeline: Pipeline
    bed: Testbed
    endpoint: OpenAIEndpoint
    file: Path
    server: ReviewServer
    to_server: Link
    to_model: Link
    to_kafka: Link
    to_search: Link
    seed: int
    run: Command | None = None
    notes: list[str] = field(default_factory=list)

    def lines(self) -> tuple[int, int, int]:
        """Return how many lines the file has, how many are no reviews, and how many ids it has."""
        lines = self.file.read_bytes().splitlines()
        good = [line for line in lines if not line.startswith(BAD)]
        ids = {json.loads(line)["review_id"] for line in good}
        return len(lines), len(lines) - len(good), len(ids)

    def labelled(self) -> int:
        """Return how many different texts the model was asked about."""
        return len(of_users(self.endpoint.requests()["reviews"]))

    def command(self) -> Command:
        """Return the run that is under way."""
        assert self.run is not None
        return self.run

    def flow(self, moment: int, recover: Callable[[], None] | None) -> Iterator[None]:
        """Run until everything was read; yield when the model was asked about `moment` texts.

        Args:
            moment: When the fault comes.
            recover: What a person does once the first run has ended; None: nothing.
        """
        for number in range(RUNS):
            status = yield from self._run(None if number else moment)
            if status:
                self.notes.append(last_words(self.command().log.read_text()))
            elif number or recover is None:
                return
            if recover is not None and not number:
                recover()
        raise AssertionError(f"it does not come to an end: {self.notes}")

    def _run(self, moment: int | None) -> Generator[None, None, int]:
        with self.pipeline.start("run", "--once") as self.run:
            if moment is not None:
                await_condition("texts", self.labelled, lambda count: count >= moment)
                yield
            poll = self.run.process.poll
            return int(await_condition("end of the run", poll, lambda code: code is not None))

    def reconciliation(self) -> dict[str, Any]:
        """Return what `reviewstream reconcile` finds once the index has caught up."""
        done = self.pipeline.finished("reconcile", str(self.file), "--wait", "30", "--json")
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        return found


def last_words(log: str) -> str:
    """Return the last line that a run printed, which says why it ended."""
    lines = [line for line in log.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "(killed)"


@contextlib.contextmanager
def set_up(pipeline: Pipeline, bed: Testbed, folder: Path, *, seed: int) -> Iterator[Scene]:
    """Start what is this scene's own: endpoint, review server, and the networks to both."""
    write_reviews(file := folder / "review.json", seed=seed)
    with contextlib.ExitStack() as stack:
        endpoint = stack.enter_context(OpenAIEndpoint(latency=100, judge="hash"))
        server = stack.enter_context(ReviewServer(file, log=folder / "serve.log"))
        to_server = stack.enter_context(Link(server.host, server.port))
        to_model = stack.enter_context(Link("127.0.0.1", endpoint.port))
        to_kafka = stack.enter_context(bed.kafka.link())
        to_search = stack.enter_context(Link("127.0.0.1", bed.elasticsearch.port))
        url = f"http://{to_model.host}:{to_model.port}/v1"
        pipeline = with_changes(
            pipeline, "openai", base_url=url, concurrency=2, pack=10, timeout=10.0
        )
        pipeline = with_changes(
            pipeline, "source", port=to_server.port, partitions=2, max_rows_per_trigger=BATCH
        )
        pipeline = with_changes(
            pipeline,
            "kafka",
            bootstrap_servers=f"{to_kafka.host}:{to_kafka.port}",
            delivery_timeout=DELIVERY,
        )
        search = {"connection.url": f"http://{to_search.host}:{to_search.port}"}
        pipeline = with_changes(pipeline, "connect", connector=search)
        pipeline = with_changes(
            pipeline, "ledger", enabled=True, file=str(folder / "ledger.sqlite3")
        )
        links = to_server, to_model, to_kafka, to_search
        yield Scene(pipeline, bed, endpoint, file, server, *links, seed)
