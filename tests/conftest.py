"""Shared by every test."""

import os
from importlib.util import find_spec

import pytest
from hypothesis import HealthCheck, settings

# A busy machine is no finding; `HYPOTHESIS_PROFILE=long` looks longer.
_QUIET = [HealthCheck.too_slow]
settings.register_profile("default", deadline=None, suppress_health_check=_QUIET)
settings.register_profile("long", deadline=None, suppress_health_check=_QUIET, max_examples=10_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))

# The servers' fixtures; without the extra [testbed] the tests that need none still run.
pytest_plugins = ["reviewstream_testbed.pytest_plugin"] if find_spec("psutil") else []


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"
