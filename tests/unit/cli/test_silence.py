"""No verb waits in silence: it says which server it is asking."""

import re
import socket
import time
from collections.abc import Iterator
from threading import Event, Thread

import pytest
from click.testing import CliRunner
from rich.errors import LiveError
from rich.progress import Progress

from reviewstream import app
from reviewstream.adapters.kafka import record_sink
from reviewstream.adapters.kafka import transactions as kafka_transactions
from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.adapters.openai.chat_completions import OpenAIChat
from reviewstream.asking import asking
from reviewstream.cli import local, main, steps
from reviewstream.cli.progress import Mode, stages
from reviewstream.core.labelling.prompts import build_prompt
from reviewstream.errors import ReviewStreamError
from reviewstream.settings import KafkaSettings, OpenAISettings
from tests.unit.cli.test_steps import console, text

PATIENCE = 0.5  # seconds; of a server that says nothing, and of those who ask it
KAFKA, REGISTRY, CONNECT = "Kafka", "the schema registry", "Kafka Connect"
ELASTICSEARCH = "Elasticsearch"


@pytest.fixture
def mute() -> Iterator[str]:
    """Address of a server that takes connections, and hangs up a while later without a word."""
    over = Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.05)

        def hear() -> None:
            while not over.is_set():
                try:
                    taken, _ = listener.accept()
                except TimeoutError:
                    continue
                with taken:
                    over.wait(PATIENCE)

        thread = Thread(target=hear)
        thread.start()
        try:
            yield "{}:{}".format(*listener.getsockname())
        finally:
            over.set()
            thread.join()


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_log(settings: KafkaSettings) -> KafkaLog:
        return KafkaLog(settings, timeout=PATIENCE)

    monkeypatch.setattr(app, "open_log", open_log)
    monkeypatch.setattr(record_sink, "CONNECT", PATIENCE / 5)
    monkeypatch.setattr(kafka_transactions, "FENCE_TIMEOUT", PATIENCE)
    monkeypatch.setattr(kafka_transactions, "FENCE_SLICE", PATIENCE / 5)
    monkeypatch.setattr(local, "use_java", lambda: None)
    monkeypatch.setattr(steps, "QUIET", 0.1)
    monkeypatch.setattr(steps, "TICK", 0.02)


def run(address: str, verb: str, *more: str) -> tuple[str, str]:
    addresses = {
        "kafka.bootstrap_servers": address,
        **{f"{name}.url": f"http://{address}" for name in ("registry", "connect", "elasticsearch")},
        "openai.base_url": f"http://{address}/v1",
        "source.host": address.partition(":")[0],
        "source.port": address.partition(":")[2],
    }
    options = [each for one in addresses.items() for each in ("-s", "=".join(one))]
    result = CliRunner().invoke(main, [*verb.split(), *options, *more])
    assert result.exit_code in {1, 2}, result.output
    return result.stdout, result.stderr


@pytest.mark.parametrize(
    ("verb", "who"),
    [
        ("rejects list", KAFKA),
        ("rejects list --open --dlq", KAFKA),
        ("rejects show x", KAFKA),
        ("rejects replay", KAFKA),
        ("rejects replay --dry-run", KAFKA),
        ("relabel --prompt-version 2", KAFKA),
        ("run", KAFKA),
        ("reconcile", "the review server"),
        ("search", ELASTICSEARCH),
        ("report", ELASTICSEARCH),
        ("index setup", ELASTICSEARCH),
        ("schemas register", REGISTRY),
        ("schemas check", REGISTRY),
        ("schemas show", REGISTRY),
        ("schemas diff labelled_review registry:x", REGISTRY),
        ("connector apply", CONNECT),
        ("connector status", CONNECT),
        ("connector validate", CONNECT),
        ("connector pause", CONNECT),
        ("connector resume", CONNECT),
        ("connector restart", CONNECT),
    ],
)
def test_a_verb_says_which_server_does_not_answer(mute: str, verb: str, who: str) -> None:
    said, told = run(mute, verb, "--json")
    assert re.search(rf"asking {re.escape(who)} at (http://)?{re.escape(mute)}", told), told
    assert "asking" not in said


@pytest.mark.anyio
async def test_a_model_that_does_not_answer_is_named(mute: str) -> None:
    model, where = OpenAIChat.connect(OpenAISettings(base_url=f"http://{mute}/v1")), console()
    with steps.telling_waits(Mode.LOG, where), pytest.raises(ReviewStreamError):
        await model.answer(build_prompt(["cold soup"]).request)
    await model.aclose()
    assert f"asking the model's endpoint at http://{mute}" in text(where)


def test_a_wait_is_told_once_and_then_now_and_then() -> None:
    where = console()
    with steps.telling_waits(Mode.LOG, where), asking("Kafka at k:1"):
        while "asking Kafka" not in text(where):
            pass
    assert text(where) == "Still at it: asking Kafka at k:1 (0 s)\n"


def test_calls_that_follow_one_another_are_one_wait() -> None:
    where = console()
    with steps.telling_waits(Mode.LOG, where):
        ends = time.monotonic() + 60
        while "asking Kafka" not in text(where) and time.monotonic() < ends:
            with asking("Kafka at k:1"):
                Event().wait(0.05)  # less than it takes to be told
    assert text(where) == "Still at it: asking Kafka at k:1 (0 s)\n"


def test_calls_that_overlap_are_told_by_themselves() -> None:
    where = console()
    with steps.telling_waits(Mode.LOG, where):
        for _ in range(4):
            with asking("a model", is_series=False):
                Event().wait(0.05)
    assert text(where) == ""


@pytest.mark.parametrize("mode", [Mode.LOG, Mode.RICH, Mode.NONE])
def test_quick_calls_are_told_nowhere(mode: Mode) -> None:
    where = console(terminal=True)
    with steps.telling_waits(mode, where), asking("Kafka at k:1"):
        pass
    assert text(where) == ""


def test_a_terminal_shows_a_wait_until_it_is_over() -> None:
    where = console(terminal=True)
    with steps.telling_waits(Mode.RICH, where):
        with asking("Kafka at k:1"):
            while "asking Kafka at k:1" not in text(where) or "0:00:0" not in text(where):
                pass
        shown = text(where)
    assert "\x1b[2K\x1b[?25h" in shown  # the line is gone before anything else is printed
    assert text(where) == shown


@pytest.mark.parametrize("is_old", [False, True])
def test_a_wait_is_told_beside_a_bar(monkeypatch: pytest.MonkeyPatch, *, is_old: bool) -> None:
    where = console(terminal=True)
    with stages(Mode.RICH, where) as bars, steps.telling_waits(Mode.RICH, where):
        if is_old:
            monkeypatch.setattr(Progress, "start", refusing)
        bars.update("read", 1, 2)
        with asking("Kafka at k:1"):
            while "asking Kafka at k:1" not in text(where):
                pass
        bars.update("read", 2, 2)
    assert "2/2" in text(where)


def refusing(_: object) -> None:
    """Be `Progress.start` of rich before 14.1."""
    raise LiveError("Only one live display may be active at once")
