"""The contract of `ChatModel`, on the fake, the decorators, and the adapter over real HTTP."""

from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from functools import reduce
from typing import TypeAlias

import pytest
from pydantic import SecretStr

from reviewstream.adapters.openai.chat_completions import OpenAIChat
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.circuit_breaker import Circuit, CircuitBreaker
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.health import Health
from reviewstream.core.labelling.limits.turns import Turns
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import ChatModel
from reviewstream.core.labelling.probe import Probe
from reviewstream.core.labelling.rate_limited_model import RateLimitedModel
from reviewstream.core.labelling.shutdown import Shutdown
from reviewstream.core.labelling.wait_log import WaitLog
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import (
    BudgetExceededError,
    FatalError,
    PermanentError,
    RateLimitError,
    TransientError,
)
from reviewstream.settings import OpenAISettings
from reviewstream.testing import FakeChatModel, FakeClock, NoLimit, judging
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.chat_model import GRIEF, ChatModelContract, Misbehave

Decorator: TypeAlias = Callable[[ChatModel], ChatModel]

POLICY = LabelPolicy(model="m")

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


def _metered(model: ChatModel) -> ChatModel:
    turns = Turns(NoLimit(), Shutdown())
    return RateLimitedModel(model, turns, POLICY, Negotiation(POLICY.options), [], 1)


def _guarded(model: ChatModel) -> ChatModel:
    clock, negotiation = FakeClock(), Negotiation(POLICY.options)
    circuit = Circuit(
        Probe(lambda _charges, _texts: model, POLICY, negotiation, Health()),
        clock,
        policy=POLICY,
        negotiation=negotiation,
        shutdown=Shutdown(),
        log=WaitLog(clock),
    )
    return CircuitBreaker(model, circuit)


DECORATORS: dict[str, tuple[Decorator, ...]] = {
    "alone": (),
    "metered": (_metered,),
    "guarded": (_guarded,),
    "metered-guarded": (_metered, _guarded),
    "guarded-metered": (_guarded, _metered),
}


def _decorated(model: ChatModel, decorators: Iterable[Decorator]) -> ChatModel:
    return reduce(lambda inner, decorate: decorate(inner), decorators, model)


class TestFakeChatModel(ChatModelContract):
    """The fake in the decorators of a labeller: in any order, and without either."""

    @pytest.fixture
    def faults(self) -> list[str]:
        return []

    @pytest.fixture(params=DECORATORS)
    def model(self, faults: list[str], request: pytest.FixtureRequest) -> ChatModel:
        honest = judging(_judge)

        def behave(request: ChatRequest) -> ChatAnswer | Exception:
            return FAULTS[faults.pop()] if faults else honest(request)

        return _decorated(FakeChatModel(behave), DECORATORS[request.param])

    @pytest.fixture
    def misbehave(self, faults: list[str]) -> Misbehave:
        return faults.append

    @pytest.mark.anyio
    async def test_a_model_is_closed_with_its_decorators(self) -> None:
        for decorators in DECORATORS.values():
            fake = FakeChatModel()
            await _decorated(fake, decorators).aclose()
            assert fake.closed


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
