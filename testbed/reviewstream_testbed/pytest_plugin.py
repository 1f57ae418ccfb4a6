"""Real servers as fixtures. pytest finds this by its entry point: there is nothing to import.

A server is started by the first test that asks for its fixture, and lives for the whole run.
Every run of pytest imports this module, so it imports what the servers need when they are needed.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

from reviewstream_testbed.errors import TestbedError
from reviewstream_testbed.names import Index, Subject, Topic, new_prefix, unique_name
from reviewstream_testbed.providers import EMBEDDED, external_addresses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from reviewstream_testbed.elasticsearch import Elasticsearch
    from reviewstream_testbed.kafka import Kafka
    from reviewstream_testbed.kafka_connect import KafkaConnect
    from reviewstream_testbed.openai_endpoint import OpenAIEndpoint
    from reviewstream_testbed.review_server import ReviewServer
    from reviewstream_testbed.schema_registry import SchemaRegistry
    from reviewstream_testbed.testbed import Testbed

_NEEDED = ("aiohttp", "confluent_kafka", "jsonschema", "psutil", "pyspark", "vaderSentiment")
_HELP = "Who runs the servers: embedded (default), or external, by REVIEWSTREAM_TEST_* addresses."


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--testbed`, and the same as a setting."""
    parser.getgroup("reviewstream").addoption("--testbed", metavar="PROVIDER", help=_HELP)
    parser.addini("testbed", _HELP, default=EMBEDDED)


def pytest_configure(config: pytest.Config) -> None:
    """Refuse a wrong provider before any test runs."""
    try:
        external_addresses(_provider(config), os.environ)
    except TestbedError as error:
        raise pytest.UsageError(f"--testbed={_provider(config)}: {error}") from error


@pytest.fixture(scope="session")
def testbed_prefix() -> str:
    """What every name of this run begins with."""
    return new_prefix()


@pytest.fixture(scope="session")
def testbed(request: pytest.FixtureRequest, testbed_prefix: str) -> Iterator[Testbed]:
    """All servers of the run, each started when it is first asked for."""
    _require_extra()
    from reviewstream_testbed.testbed import Testbed  # noqa: PLC0415 - see above

    with Testbed((), provider=_provider(request.config), prefix=testbed_prefix) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(testbed: Testbed) -> Kafka:
    """Apache Kafka, ready."""
    return testbed.kafka


@pytest.fixture(scope="session")
def schema_registry(testbed: Testbed) -> SchemaRegistry:
    """A registry with Confluent's API, ready; in memory."""
    return testbed.schema_registry


@pytest.fixture(scope="session")
def kafka_connect(testbed: Testbed) -> KafkaConnect:
    """Kafka Connect, ready; it starts Kafka too."""
    return testbed.kafka_connect


@pytest.fixture(scope="session")
def elasticsearch(testbed: Testbed) -> Elasticsearch:
    """Elasticsearch, ready."""
    return testbed.elasticsearch


@pytest.fixture(scope="session")
def openai_endpoint(request: pytest.FixtureRequest) -> Iterator[OpenAIEndpoint]:
    """The mock OpenAI endpoint, ready; or the external one."""
    _require_extra()
    with _endpoint(_provider(request.config)) as endpoint:
        yield endpoint


@pytest.fixture
def review_server(tmp_path: Path) -> Iterator[Callable[..., ReviewServer]]:
    """Serve a file: `review_server(path, "--follow")`, with any options of `reviewstream serve`."""
    from reviewstream_testbed.review_server import ReviewServer  # noqa: PLC0415 - see above

    with ExitStack() as running:

        def serve(file: Path, *options: str) -> ReviewServer:
            log = tmp_path / f"{unique_name('', file.name)}.log"
            return running.enter_context(ReviewServer(file, *options, log=log))

        yield serve


@pytest.fixture
def topic(request: pytest.FixtureRequest, testbed_prefix: str) -> Topic:
    """A topic of this test's own; making it is up to the test."""
    return Topic(unique_name(testbed_prefix, request.node.name))


@pytest.fixture
def subject(topic: Topic) -> Subject:
    """The subject that belongs to `topic`'s values."""
    return Subject(f"{topic}-value")


@pytest.fixture
def index(request: pytest.FixtureRequest, testbed_prefix: str) -> Index:
    """An index of this test's own; making it is up to the test."""
    return Index(unique_name(testbed_prefix, request.node.name))


def _provider(config: pytest.Config) -> str:
    return str(config.getoption("--testbed") or config.getini("testbed"))


def _endpoint(provider: str) -> OpenAIEndpoint:
    from reviewstream_testbed.openai_endpoint import OpenAIEndpoint  # noqa: PLC0415 - see above

    if address := external_addresses(provider, os.environ).get("openai_endpoint"):
        from reviewstream_testbed.external import ExternalOpenAI  # noqa: PLC0415 - see above

        return ExternalOpenAI(address, api_key=os.environ.get("REVIEWSTREAM_TEST_OPENAI_API_KEY"))
    return OpenAIEndpoint()


def _require_extra() -> None:
    for module in _NEEDED:
        if find_spec(module) is None:
            needed = f"{module} is not installed: pip install 'reviewstream[testbed]'"
            pytest.fail(needed, pytrace=False)
