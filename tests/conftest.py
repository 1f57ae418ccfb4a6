"""Shared by every test."""

from importlib.util import find_spec

import pytest

# The servers' fixtures; without the extra [testbed] the tests that need none still run.
pytest_plugins = ["reviewstream_testbed.pytest_plugin"] if find_spec("psutil") else []


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
