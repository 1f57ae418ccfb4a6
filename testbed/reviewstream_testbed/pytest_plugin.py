"""Real servers as fixtures: `pytest_plugins = ["reviewstream_testbed.pytest_plugin"]`.

A server is started by the first test that asks for its fixture, and lives for the whole run.
"""

import os
from collections.abc import Iterator
from uuid import uuid4

import pytest

from reviewstream_testbed.elasticsearch import Elasticsearch
from reviewstream_testbed.kafka import Kafka
from reviewstream_testbed.kafka_connect import KafkaConnect
from reviewstream_testbed.openai_endpoint import OpenAIEndpoint
from reviewstream_testbed.schema_registry import SchemaRegistry
from reviewstream_testbed.testbed import Testbed


@pytest.fixture(scope="session")
def testbed() -> Iterator[Testbed]:
    """All servers of the run, each started when it is first asked for."""
    with Testbed(()) as running:
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
def openai_endpoint() -> Iterator[OpenAIEndpoint]:
    """The mock OpenAI endpoint, ready."""
    with OpenAIEndpoint() as endpoint:
        yield endpoint


@pytest.fixture
def topic(request: pytest.FixtureRequest) -> str:
    """A topic name of this test's own; making the topic is up to the test."""
    return _unique(request)


@pytest.fixture
def subject(topic: str) -> str:
    """The subject that belongs to `topic`'s values."""
    return f"{topic}-value"


@pytest.fixture
def index(request: pytest.FixtureRequest) -> str:
    """An index name of this test's own."""
    return _unique(request)


def _unique(request: pytest.FixtureRequest) -> str:
    """Name it after the test, so that a server's log is readable."""
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in request.node.name.lower())
    worker = os.environ.get("PYTEST_XDIST_WORKER", "main")
    return f"{words[:60].strip('-')}-{worker}-{uuid4().hex[:8]}"
