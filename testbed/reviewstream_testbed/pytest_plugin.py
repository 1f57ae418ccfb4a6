"""Fixtures for real servers. pytest loads this plugin by its entry point; no import is needed.

The first test that uses a server's fixture starts the server, which then runs until the session
ends. pytest-xdist's workers share one testbed, which the controller owns. Every run of pytest
imports this module, so it imports the servers' dependencies lazily.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final

import pytest

from reviewstream_testbed.names import Index, Subject, Topic, new_prefix, unique_name
from reviewstream_testbed.providers import CONTAINERS, EMBEDDED, external_addresses
from reviewstream_testbed.testbed_error import TestbedError
from reviewstream_testbed.testbed_extras import Extra, missing

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator
    from pathlib import Path

    from pyspark.sql import SparkSession

    from reviewstream_testbed.mock_openai import OpenAIEndpoint
    from reviewstream_testbed.services.elasticsearch import Elasticsearch
    from reviewstream_testbed.services.kafka import Kafka
    from reviewstream_testbed.services.kafka_connect import KafkaConnect
    from reviewstream_testbed.services.review_server import ReviewServer
    from reviewstream_testbed.services.schema_registry import SchemaRegistry
    from reviewstream_testbed.services.spark_cluster import SparkCluster
    from reviewstream_testbed.sharing.shared_testbed import SharedTestbed
    from reviewstream_testbed.testbed import Testbed

_HELP = (
    "Who runs the servers: embedded (default), containers, or external, by REVIEWSTREAM_TEST_*"
    " addresses."
)
_SECURE_HELP = (
    "Embedded servers ask for passwords: Kafka by SASL_SSL, the others behind TLS."
    " Each fixture's `client_config` has them."
)
_ENDPOINT: Final = "openai_endpoint"  # the other parts need the extra of the servers
_PARTS: Final = (
    "kafka",
    "schema_registry",
    "kafka_connect",
    "elasticsearch",
    _ENDPOINT,
    "spark_cluster",
)
_SHARED: Final = "reviewstream_testbed"  # key of a worker's input
_owner = pytest.StashKey["SharedTestbed"]()
_wanted = pytest.StashKey[tuple[str, ...]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--testbed` and `--testbed-secure`, also as ini settings."""
    parser.getgroup("reviewstream").addoption("--testbed", metavar="PROVIDER", help=_HELP)
    parser.addini("testbed", _HELP, default=EMBEDDED)
    parser.getgroup("reviewstream").addoption(
        "--testbed-secure", action="store_true", help=_SECURE_HELP
    )
    parser.addini("testbed_secure", _SECURE_HELP, type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Reject an invalid provider before any test runs."""
    try:
        external_addresses(_provider(config), os.environ)
    except TestbedError as error:
        raise pytest.UsageError(f"--testbed={_provider(config)}: {error}") from error
    if _is_secure(config) and _provider(config) != EMBEDDED:
        raise pytest.UsageError("--testbed-secure is for embedded servers")


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 - xdist may not be installed
    """Give a worker on this machine the address and key of the run's testbed."""
    if not node.gateway.spec.popen:
        return
    owner = node.config.stash.get(_owner, None)
    if owner is None:
        owner = node.config.stash[_owner] = _own(node.config)
    address = owner.address
    node.workerinput[_SHARED] = {"path": address.path, "key": address.key, "prefix": owner.prefix}


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> Generator[None]:
    """Stop the shared servers after all workers have ended."""
    yield
    if owner := session.config.stash.get(_owner, None):
        try:
            owner.close()
        except TestbedError as error:
            pytest.exit(str(error), pytest.ExitCode.TESTS_FAILED)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Record the servers that the test uses, so that they start together."""
    item.config.stash[_wanted] = tuple(filter(_is_ours(item), _PARTS))


@pytest.fixture(scope="session")
def testbed_prefix(request: pytest.FixtureRequest) -> str:
    """Name prefix of this run, or of this worker."""
    if shared := _shared(request.config):
        return f"{shared['prefix']}{_worker(request.config)}-"
    return new_prefix()


@pytest.fixture(scope="session")
def testbed(request: pytest.FixtureRequest, testbed_prefix: str) -> Iterator[Testbed]:
    """All servers of the run, each started on first use."""
    _require("")
    if _provider(request.config) == CONTAINERS:
        _require("containers")
    with _testbed(request.config, testbed_prefix) as running:
        yield running


@pytest.fixture(scope="session")
def kafka(request: pytest.FixtureRequest, testbed: Testbed) -> Kafka:
    """Apache Kafka, ready."""
    _start_wanted(request, testbed)
    return testbed.kafka


@pytest.fixture(scope="session")
def schema_registry(request: pytest.FixtureRequest, testbed: Testbed) -> SchemaRegistry:
    """A registry with Confluent's API, ready; in memory."""
    _start_wanted(request, testbed)
    return testbed.schema_registry


@pytest.fixture(scope="session")
def kafka_connect(request: pytest.FixtureRequest, testbed: Testbed) -> KafkaConnect:
    """Kafka Connect, ready; starts Kafka too."""
    _start_wanted(request, testbed)
    return testbed.kafka_connect


@pytest.fixture(scope="session")
def elasticsearch(request: pytest.FixtureRequest, testbed: Testbed) -> Elasticsearch:
    """Elasticsearch, ready."""
    _start_wanted(request, testbed)
    return testbed.elasticsearch


@pytest.fixture(scope="session")
def spark_cluster(request: pytest.FixtureRequest, testbed: Testbed) -> SparkCluster:
    """A Spark master with two workers, ready."""
    _start_wanted(request, testbed)
    return testbed.spark_cluster


@pytest.fixture(scope="session")
def spark_config(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Spark settings of `spark`; override the fixture to change them."""
    _require("servers")
    from reviewstream_testbed.spark_session import LOCAL  # noqa: PLC0415 - see above

    return LOCAL | {"spark.sql.warehouse.dir": str(tmp_path_factory.mktemp("warehouse"))}


@pytest.fixture(scope="session")
def spark(spark_config: dict[str, str]) -> Iterator[SparkSession]:
    """A Spark session in this process, with two cores."""
    from reviewstream_testbed.spark_session import spark_session  # noqa: PLC0415 - see above

    with spark_session(spark_config) as running:
        yield running


@pytest.fixture(scope="session")
def openai_endpoint(request: pytest.FixtureRequest, testbed: Testbed) -> OpenAIEndpoint:
    """The mock OpenAI endpoint, ready; or the external one."""
    _start_wanted(request, testbed)
    return testbed.openai_endpoint


@pytest.fixture
def review_server(tmp_path: Path) -> Iterator[Callable[..., ReviewServer]]:
    """Serve a file: `review_server(path, "--follow")`, with any options of `reviewstream serve`."""
    from reviewstream_testbed.services.review_server import ReviewServer  # noqa: PLC0415 - see above

    with ExitStack() as running:

        def serve(file: Path, *options: str) -> ReviewServer:
            log = tmp_path / f"{unique_name('', file.name)}.log"
            return running.enter_context(ReviewServer(file, *options, log=log))

        yield serve


@pytest.fixture
def topic(request: pytest.FixtureRequest, testbed_prefix: str) -> Topic:
    """A topic with a unique name; the test creates it."""
    name = unique_name(testbed_prefix, request.node.name)
    return Topic(name, lambda: request.getfixturevalue("testbed"))


@pytest.fixture
def subject(topic: Topic) -> Subject:
    """The subject of `topic`'s values."""
    return Subject(f"{topic}-value")


@pytest.fixture
def index(request: pytest.FixtureRequest, testbed_prefix: str) -> Index:
    """An index with a unique name; the test creates it."""
    return Index(unique_name(testbed_prefix, request.node.name))


def _provider(config: pytest.Config) -> str:
    return str(config.getoption("--testbed") or config.getini("testbed"))


def _is_secure(config: pytest.Config) -> bool:
    return bool(config.getoption("--testbed-secure") or config.getini("testbed_secure"))


def _shared(config: pytest.Config) -> dict[str, Any] | None:
    """Return the input from the controller, or None if this process is not a worker."""
    told: dict[str, Any] = getattr(config, "workerinput", {})
    return told.get(_SHARED)


def _worker(config: pytest.Config) -> str:
    return str(getattr(config, "workerinput", {}).get("workerid", ""))


def _own(config: pytest.Config) -> SharedTestbed:
    from reviewstream_testbed.sharing.shared_testbed import SharedTestbed  # noqa: PLC0415 - see above

    prefix = new_prefix()
    owner = SharedTestbed(lambda: _new_testbed(config, prefix), prefix=prefix)
    config.add_cleanup(owner.close)
    return owner


def _testbed(config: pytest.Config, prefix: str) -> Testbed:
    shared = _shared(config)
    if shared is None:
        return _new_testbed(config, prefix)
    from reviewstream_testbed.sharing.borrowed_testbed import BorrowedTestbed  # noqa: PLC0415 - see above
    from reviewstream_testbed.sharing.shared_testbed import SharedAddress  # noqa: PLC0415 - see above

    address = SharedAddress(path=shared["path"], key=shared["key"])
    return BorrowedTestbed(address, prefix=prefix, tenant=_worker(config))


def _new_testbed(config: pytest.Config, prefix: str) -> Testbed:
    from reviewstream_testbed.testbed import Testbed  # noqa: PLC0415 - see above

    return Testbed((), provider=_provider(config), prefix=prefix, secure=_is_secure(config))


def _is_ours(item: pytest.Item) -> Callable[[str], bool]:
    """Return a predicate: does the test use this plugin's fixture of a name, not an override?"""
    found = getattr(item, "_fixtureinfo", None)  # a doctest lacks it

    def is_ours(name: str) -> bool:
        fixtures = found.name2fixturedefs.get(name) if found else None
        return fixtures is not None and fixtures[-1].func.__module__ == __name__

    return is_ours


def _start_wanted(request: pytest.FixtureRequest, testbed: Testbed) -> None:
    """Start all servers that the test uses together; pytest sets up fixtures one by one."""
    wanted = request.config.stash.get(_wanted, ())
    parts = {request.fixturename, *wanted}
    if _ENDPOINT in parts:
        _require("openai")
    if parts - {_ENDPOINT}:
        _require("servers")
    testbed.start_soon(*wanted)


def _require(extra: Extra) -> None:
    if sentence := missing(extra):
        pytest.fail(sentence, pytrace=False)
