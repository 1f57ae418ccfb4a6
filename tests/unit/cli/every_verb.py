"""Every verb, as it is driven against servers, files and settings that are anything.

No Spark and no server is started: `run` has a SPARK_HOME without a Spark, `demo` too little memory,
and `serve` a port that is taken. What they do after that, with a file and answers of anybody, is
driven in `tests/e2e`: it needs a JVM.
"""

import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Final

import click
import psutil
import pytest
from click.testing import CliRunner, Result

from reviewstream import app
from reviewstream.adapters.kafka import transactions as kafka_transactions
from reviewstream.adapters.kafka.record_log import KafkaLog
from reviewstream.cli import main
from reviewstream.settings import KafkaSettings
from reviewstream.testing import FakeClock, MemoryTransactionalSink
from tests.unit.core.rejects.test_replaying import Pipeline

DOCUMENTED: Final = {0, 1, 2, 3}  # exit codes; signals are none of this
PATIENCE: Final = 0.2  # seconds for an answer of Kafka
LINE: Final = (
    '{"review_id":"a","user_id":"b","business_id":"c","stars":4,"useful":0,"funny":0,"cool":0,'
    '"text":"ok","date":"2018-01-01 00:00:00"}\n'
)
GOLD: Final = '{"review_id":"a","sentiment":"POSITIVE"}\n'

# FILE, GOLD, PORT and OUT are replaced. By the verb's name, each way in which it is driven.
VERBS: Final[Mapping[str, tuple[tuple[str, ...], ...]]] = {
    "connector apply": ((),),
    "connector pause": ((),),
    "connector restart": (("--json",),),
    "connector resume": ((),),
    "connector status": ((),),
    "connector validate": ((),),
    "demo": (("--reviews", "FILE"), ("--real-model",)),
    "doctor": ((), ("--model",)),
    "evaluate": (("--json",), ("--file", "GOLD")),
    "index setup": ((), ("--json",)),
    "ledger export": (("OUT",),),
    "ledger import": (("FILE",),),
    "ledger prune": (("--older-than", "1"), ("--model", "m")),
    "ledger stats": ((), ("--json",)),
    "plan": (("FILE",), ("FILE", "--budget-usd", "1", "--json")),
    "reconcile": (("FILE",), ()),
    "rejects list": ((), ("--dlq", "--json"), ("--open",)),
    "rejects replay": ((), ("--dlq",), ("--file", "FILE")),
    "rejects show": (("review.json@0",), ("review.json@0", "--raw")),
    "relabel": (("--prompt-version", "2"), ("--prompt-version", "2", "--dry-run", "--json")),
    "report": ((), ("--json",)),
    "run": (("--once",), ("--once", "--no-setup")),
    "schemas check": ((),),
    "schemas diff": (
        ("labelled_review", "registry:reviews.labelled-value"),
        ("FILE", "labelled_review"),
    ),
    "schemas register": ((),),
    "schemas show": (("--json",),),
    "search": (("fine",), ("fine", "--json")),
    "serve": (("FILE", "--host", "127.0.0.1", "--port", "PORT"),),
}
CALLS: Final = tuple((*verb.split(), *way) for verb, ways in VERBS.items() for way in ways)


def leaves(command: click.Command, path: tuple[str, ...] = ()) -> Iterator[str]:
    """Give the name of every verb that there is."""
    if not isinstance(command, click.Group):
        yield " ".join(path)
        return
    context = click.Context(command)
    for name in command.list_commands(context):
        below = command.get_command(context, name)
        assert below is not None
        yield from leaves(below, (*path, name))


@dataclass(repr=False)
class Talker:
    """A server without a protocol.

    Attributes:
        port: Where.
        words: Said to each client whenever it has said something.
        is_first: Say them at once, too.
    """

    port: int
    words: bytes = b""
    is_first: bool = False

    def answer(self, server: socket.socket) -> None:
        with suppress(OSError):  # it is closed
            while True:
                client, _ = server.accept()
                client.settimeout(1)
                with client, suppress(OSError):
                    self.talk(client)

    def talk(self, client: socket.socket) -> None:
        if self.is_first:
            client.sendall(self.words)
        while self.words and client.recv(4_096):
            client.sendall(self.words)


@contextmanager
def talking() -> Iterator[Talker]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        talker = Talker(server.getsockname()[1])
        thread = threading.Thread(target=talker.answer, args=[server])
        thread.start()
        try:
            yield talker
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


@dataclass(frozen=True)
class World:
    """Where verbs are run.

    Attributes:
        folder: With the files; the current one.
        talker: Where every server is, unless a call says otherwise.
    """

    folder: Path
    talker: Talker

    @property
    def port(self) -> int:
        return self.talker.port

    def run(self, call: tuple[str, ...], *overrides: str) -> Result:
        """Run a verb; of settings that are given twice the last one counts."""
        places = {
            "FILE": str(self.folder / "r.json"),
            "GOLD": str(self.folder / "gold.jsonl"),
            "OUT": str(self.folder / "out"),
            "PORT": str(self.port),
        }
        arguments = [places.get(each, each) for each in call]
        options = [part for one in (*self.settings(), *overrides) for part in ("-s", one)]
        return CliRunner().invoke(main, [*arguments, *options])

    def settings(self) -> tuple[str, ...]:
        url = f"url=http://127.0.0.1:{self.port}"
        return (
            *(f"{section}.{url}" for section in ("registry", "connect", "elasticsearch")),
            f"openai.base_url=http://127.0.0.1:{self.port}/v1",
            "openai.api_key=x",
            "openai.startup_timeout=0.01",
            "openai.max_wait=0.01",
            f"kafka.bootstrap_servers=127.0.0.1:{self.port}",
            "kafka.delivery_timeout=0.1",
            f"source.port={self.port}",
        )


@contextmanager
def world(folder: Path) -> Iterator[World]:
    """Give a world in which each verb ends by itself, soon."""
    (folder / "r.json").write_text(LINE)
    (folder / "gold.jsonl").write_text(GOLD)
    short = SimpleNamespace(available=1)
    with talking() as talker, pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME", "REVIEWSTREAM_CACHE"):
            patch.setenv(name, str(folder))
        patch.setenv("REVIEWSTREAM_LEDGER__ENABLED", "true")
        patch.setenv("SPARK_HOME", str(folder / "no-spark"))
        for name in ("JAVA_HOME", "PYSPARK_PYTHON"):  # verbs set them
            patch.setenv(name, str(folder))
        patch.setattr(psutil, "virtual_memory", lambda: short)
        patch.setattr("reviewstream.adapters.system_clock.SystemClock", FakeClock)
        patch.setattr(kafka_transactions, "FENCE_TIMEOUT", PATIENCE)
        patch.setattr(kafka_transactions, "FENCE_SLICE", PATIENCE)
        patch.setattr(app, "open_log", quick_log)
        yield World(folder, talker)


def quick_log(settings: KafkaSettings) -> KafkaLog:
    return KafkaLog(settings, timeout=PATIENCE)


def topics_of(bed: Pipeline, patch: pytest.MonkeyPatch) -> None:
    """Have the verbs find the topics of a bed instead of Kafka."""
    patch.setattr(app, "open_log", lambda _: bed.log)
    patch.setattr(app, "open_record_sink", lambda _: bed.log.sink())
    patch.setattr(
        app, "open_transactional_sink", lambda _, name: MemoryTransactionalSink(bed.log, name)
    )


def check(result: Result) -> None:
    """Only what ends by itself ends in a sentence; anything else would be a traceback."""
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exc_info
    assert result.exit_code in DOCUMENTED
    assert "Traceback" not in result.output
    if result.exit_code == 2:
        *_, last = result.stderr.splitlines()
        assert last.startswith(("reviewstream: ", "Error: "))
        assert len(last) < 2_000
