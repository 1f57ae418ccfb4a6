"""The contract of `ChatModel`, on the fake and on the adapter against a real HTTP endpoint."""

from collections.abc import AsyncIterator, Iterator

import pytest
from pydantic import SecretStr

from reviewstream.adapters.openai.chat_completions import OpenAIChat
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.ports import ChatModel
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import (
    BudgetExceededError,
    FatalError,
    PermanentError,
    RateLimitError,
    TransientError,
)
from reviewstream.settings import OpenAISettings
from reviewstream.testing import FakeChatModel, judging
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.chat_model import GRIEF, ChatModelContract, Misbehave

pytestmark = pytest.mark.model

FAULTS: dict[str, ChatAnswer | Exception] = {
    "rate_429": RateLimitError("HTTP 429", retry_after=2.0),
    "500": TransientError("HTTP 500"),
    "reset": TransientError("connection lost"),
    "truncated_json": TransientError("not a completion"),
    "empty_choices": ChatAnswer(text="", refusal="the endpoint returned no choice"),
    "quota_429": BudgetExceededError("quota"),
    "401": FatalError("key"),
    "400": PermanentError("HTTP 400"),
    "refusal": ChatAnswer(text="", refusal="no"),
    "length": ChatAnswer(text='{"labels', finish_reason="length"),
}


def _judge(text: str) -> Sentiment:
    return Sentiment.NEGATIVE if text == GRIEF else Sentiment.POSITIVE


class TestFakeChatModel(ChatModelContract):
    @pytest.fixture
    def faults(self) -> list[str]:
        return []

    @pytest.fixture
    def model(self, faults: list[str]) -> ChatModel:
        honest = judging(_judge)

        def behave(request: ChatRequest) -> ChatAnswer | Exception:
            return FAULTS[faults.pop()] if faults else honest(request)

        return FakeChatModel(behave)

    @pytest.fixture
    def misbehave(self, faults: list[str]) -> Misbehave:
        return faults.append


class TestOpenAIChat(ChatModelContract):
    @pytest.fixture
    async def model(self, openai_endpoint: OpenAIEndpoint) -> AsyncIterator[ChatModel]:
        settings = OpenAISettings(
            base_url=openai_endpoint.base_url, api_key=SecretStr(openai_endpoint.api_key)
        )
        chat = OpenAIChat.connect(settings)
        yield chat
        await chat.aclose()

    @pytest.fixture
    def misbehave(self, openai_endpoint: OpenAIEndpoint) -> Iterator[Misbehave]:
        def fault(kind: str) -> None:
            more = {"retry_after": 2} if kind == "rate_429" else {}
            openai_endpoint.fault({"kind": kind, **more})

        yield fault
        openai_endpoint.reset()
