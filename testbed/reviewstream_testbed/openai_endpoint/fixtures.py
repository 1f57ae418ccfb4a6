"""The endpoint as a pytest fixture."""

from collections.abc import Iterator

import pytest

from reviewstream_testbed.openai_endpoint.process import OpenAIEndpoint


@pytest.fixture(scope="session")
def openai_endpoint() -> Iterator[OpenAIEndpoint]:
    """A mock OpenAI endpoint for the whole run; call `reset()` to begin anew."""
    with OpenAIEndpoint() as endpoint:
        yield endpoint
