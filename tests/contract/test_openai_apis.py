"""The contract of OpenAI's chat completions, on the mock or on the endpoint that is named.

On an endpoint that others run, `REVIEWSTREAM_TEST_OPENAI_SPEND=1` lets the paid tests run: they
take fewer than 3,000 tokens. `REVIEWSTREAM_TEST_OPENAI_MODEL` names the model.
"""

import os
from collections.abc import Iterator

import pytest
from openai import OpenAI

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.providers import external_addresses
from tests.contract.openai_api import CompletionsContract, OpenAIApi, RefusalsContract

pytestmark = pytest.mark.model

MODEL = "gpt-4o-mini"


@pytest.fixture
def openai_api(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIApi]:
    model = os.environ.get("REVIEWSTREAM_TEST_OPENAI_MODEL", MODEL)
    with OpenAI(
        base_url=openai_endpoint.base_url,
        api_key=openai_endpoint.api_key,
        max_retries=0,
        timeout=60,
    ) as client:
        yield OpenAIApi(client, model)


@pytest.fixture(autouse=True)
def _allowed(request: pytest.FixtureRequest) -> None:
    """Spend no money unasked."""
    costs = request.node.get_closest_marker("paid") is not None
    if costs and is_foreign(request.config) and "REVIEWSTREAM_TEST_OPENAI_SPEND" not in os.environ:
        pytest.skip("it costs money: set REVIEWSTREAM_TEST_OPENAI_SPEND=1")


def is_foreign(config: pytest.Config) -> bool:
    provider = config.getoption("--testbed") or config.getini("testbed")
    return "openai_endpoint" in external_addresses(str(provider), os.environ)


class TestCompletions(CompletionsContract):
    pass


class TestRefusals(RefusalsContract):
    pass
