"""Shared by every test."""

import os
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:  # where nothing is installed, the tests that need no server run too
    from reviewstream_testbed import Index, Topic

# A busy machine is no finding; `HYPOTHESIS_PROFILE=long` looks longer.
_QUIET = [HealthCheck.too_slow]
settings.register_profile("default", deadline=None, suppress_health_check=_QUIET)
settings.register_profile("long", deadline=None, suppress_health_check=_QUIET, max_examples=10_000)
settings.register_profile(  # the same examples for every mutant: a verdict can be repeated
    "mutation", deadline=None, suppress_health_check=_QUIET, derandomize=True, max_examples=30
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# No test reads or fills the ledger of whoever runs it; the tests of the ledger have their own.
os.environ["REVIEWSTREAM_LEDGER__ENABLED"] = "false"
os.environ.pop("REVIEWSTREAM_LEDGER_URL", None)
# Nor what it shares of limits and budgets; a process that a test starts has this one's.
_STATE = TemporaryDirectory(prefix="reviewstream-tests-")
os.environ.setdefault("REVIEWSTREAM_LIMITS__FILE", f"{_STATE.name}/limits.sqlite3")

# A test's Spark lives for a minute: its JVM would spend half of its time on making itself fast.
for _name in ("SPARK_SUBMIT_OPTS", "SPARK_LAUNCHER_OPTS"):
    os.environ.setdefault(_name, "-XX:+UseSerialGC -XX:TieredStopAtLevel=1")

pytest_plugins = ["pytester"]
# The contracts are no test modules by name: without this, a failed assertion shows no values.
pytest.register_assert_rewrite("tests.contract")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With other servers than the embedded ones, run again only what has to do with servers."""
    if config.getoption("--testbed", default=None) != "containers":
        return
    same = [item for item in items if {"contract", "e2e"} & {*item.path.parts} and not asks(item)]
    items[:] = [item for item in items if item not in same]
    config.hook.pytest_deselected(items=same)


def asks(item: pytest.Item) -> bool:
    return "testbed" in getattr(item, "fixturenames", ())


@pytest.fixture(scope="session")
def spark_class_data() -> None:
    """Halve the start of every Spark: its JVM takes its classes from an archive."""
    # Where nothing is installed, the tests that need no server run too.
    from reviewstream_testbed.installation.spark_class_data import (
        OPTIONS,
        short_run_options,
        write_class_data,
    )

    write_class_data()
    os.environ[OPTIONS] = short_run_options()


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


# Most tests want a name and nothing else; so do the fakes, which know nothing of the testbed.
@pytest.fixture
def topic(topic: "Topic") -> str:
    return topic.name


@pytest.fixture
def subject(topic: str) -> str:
    return f"{topic}-value"


@pytest.fixture
def index(index: "Index") -> str:
    return index.name
