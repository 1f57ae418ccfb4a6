"""What these tests need: an engine, and the images."""

import os
from collections.abc import Iterator

import pytest
from docker import DockerClient

from reviewstream_testbed import TestbedError
from reviewstream_testbed.containers.image_sources import connect


@pytest.fixture(scope="session")
def client() -> Iterator[DockerClient]:
    """A client of the engine. Where there is none, `tox -e containers` starts one."""
    try:
        client = connect(os.environ)
    except TestbedError as error:
        if os.environ.get("REVIEWSTREAM_TEST_REQUIRE_ENGINE") in {"1", "true"}:
            raise
        pytest.skip(str(error))
    yield client
    client.close()
