"""The pipeline as a user runs it: `reviewstream` in processes of its own."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from pydantic import SecretStr

from reviewstream.settings import (
    ConnectSettings,
    ElasticsearchSettings,
    KafkaSettings,
    LimitsSettings,
    RegistrySettings,
    Settings,
)
from reviewstream_testbed import Testbed
from reviewstream_testbed.mock_openai import OpenAIEndpoint

SUBMIT = "org.apache.spark.deploy.SparkSubmit"  # a JVM of ours runs this class
PATIENCE = 120.0  # seconds for anything that a busy machine may take its time for


def await_condition(what: str, ask: Callable[[], Any], is_met: Callable[[Any], bool]) -> Any:
    """Ask until the answer will do; the last answer is in the failure."""
    deadline = time.monotonic() + PATIENCE
    while not is_met(answer := ask()):
        if time.monotonic() > deadline:
            pytest.fail(f"{what}: still {answer!r} after {PATIENCE:g} s")
        time.sleep(0.1)
    return answer


def command_of(process: psutil.Process) -> str:
    """Return a process's command line, empty if it has just ended."""
    try:
        return " ".join(process.cmdline())
    except psutil.NoSuchProcess:  # a zombie too
        return ""


def is_running(process: psutil.Process) -> bool:
    """Say whether it is there; another one with its number is not it."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False


@dataclass
class Command:
    """A running `reviewstream`, with its output in a file."""

    process: subprocess.Popen[bytes]
    log: Path

    def await_text(self, text: str) -> str:
        return str(
            await_condition(f"{self.log.name} prints {text!r}", self._text, lambda t: text in t)
        )

    def signal(self, number: signal.Signals) -> int:
        """Send a signal to the whole process group, as a terminal does."""
        os.killpg(self.process.pid, number)
        return self.process.wait(PATIENCE)

    def await_java(self) -> psutil.Process:
        """Return Spark's JVM, as soon as it is there."""
        ours = psutil.Process(self.process.pid)

        def found() -> list[psutil.Process]:
            return [each for each in ours.children() if SUBMIT in command_of(each)]

        java: list[psutil.Process] = await_condition("a JVM", found, bool)
        return java[0]

    def _text(self) -> str:
        text = self.log.read_text()
        if self.process.poll() is not None:
            return text + f"(ended with {self.process.returncode})"
        return text


@dataclass
class Pipeline:
    """Settings of one pipeline of this test's own, and the command line that gets them."""

    settings: Settings
    folder: Path

    def run(self, *arguments: str, code: int = 0) -> str:
        """Run a command to its end; return what it printed on standard output."""
        done = self.finished(*arguments)
        assert done.returncode == code, (
            f"{arguments}: {done.returncode}\n{done.stderr}\n{done.stdout}"
        )
        return done.stdout

    def finished(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a command to whatever end it comes."""
        return subprocess.run(
            [sys.executable, "-m", "reviewstream", *arguments],
            env=self.environ(),
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )

    @contextlib.contextmanager
    def start(self, *arguments: str) -> Iterator[Command]:
        """Run a command beside the test; it is killed at the end."""
        log = self.folder / f"{arguments[0]}-{uuid4().hex[:6]}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "reviewstream", *arguments],
                env=self.environ(),
                cwd=self.folder,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            yield Command(process, log)
        finally:
            process.kill()
            process.wait()

    def environ(self) -> dict[str, str]:
        """Return the settings as a user would export them."""
        names = dict(os.environ)
        for section, values in self.settings.model_dump(exclude_unset=True).items():
            for name, given in values.items():
                value = given.get_secret_value() if isinstance(given, SecretStr) else given
                text = value if isinstance(value, str) else json.dumps(value)
                names[f"REVIEWSTREAM_{section}__{name}".upper()] = text
        names["OPENAI_API_KEY"] = "sk-mock"
        return names


@pytest.fixture
def pipeline(
    tmp_path: Path,
    testbed: Testbed,
    openai_endpoint: OpenAIEndpoint,
    spark_class_data: None,  # noqa: ARG001 - each test starts Spark
) -> Pipeline:
    name = f"reviews-{uuid4().hex[:8]}"
    settings = Settings.model_construct(
        kafka=KafkaSettings(
            bootstrap_servers=testbed.kafka.bootstrap_servers,
            labelled_topic=f"{name}.labelled",
            rejected_topic=f"{name}.rejected",
            dead_letter_topic=f"{name}.dlq",
        ),
        registry=RegistrySettings(url=testbed.schema_registry.url, auto_register=True),
        connect=ConnectSettings(
            url=testbed.kafka_connect.url,
            name=name,
            connector_class=testbed.kafka_connect.sink_connector_class,
            value_converter=testbed.kafka_connect.value_converter,
            value_converter_config=dict(testbed.kafka_connect.value_converter_config),
            connector={"connection.url": testbed.elasticsearch.internal_url},
        ),
        elasticsearch=ElasticsearchSettings(url=testbed.elasticsearch.url, index=name),
        limits=LimitsSettings(file=str(tmp_path / "limits.sqlite3")),
    )
    return with_changes(Pipeline(settings, tmp_path), "openai", base_url=openai_endpoint.base_url)


def with_changes(pipeline: Pipeline, section: str, **changes: Any) -> Pipeline:
    """Return the pipeline with some settings changed."""
    part = getattr(pipeline.settings, section)
    changed = {**part.model_dump(exclude_unset=True), **changes}
    settings = pipeline.settings.model_copy(update={section: type(part)(**changed)})
    return Pipeline(settings, pipeline.folder)
