"""A fake chat model with scripted behaviour."""

import asyncio
from collections.abc import Callable

import msgspec

from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.prompts import estimate_tokens
from reviewstream.core.records.reviews import Sentiment

Behaviour = Callable[[ChatRequest], ChatAnswer | Exception]


def judging(judge: Callable[[str], Sentiment], *, confidence: float | None = 1.0) -> Behaviour:
    """Return the behaviour of a model that labels every text with `judge`."""

    def answer(request: ChatRequest) -> ChatAnswer:
        reviews = msgspec.json.decode(request.user)["reviews"]
        labels = [
            {"id": one["id"], "sentiment": judge(one["text"]), "confidence": confidence}
            for one in reviews
        ]
        text = msgspec.json.encode({"labels": labels}).decode()
        return ChatAnswer(
            text=text,
            model="fake",
            prompt_tokens=estimate_tokens(request.system + request.user),
            completion_tokens=estimate_tokens(text),
        )

    return answer


class FakeChatModel:
    """`ChatModel` with scripted behaviour.

    Args:
        behaviour: Called for every request; its result is returned, or raised if it is an
            exception. Without it every review is POSITIVE.

    Attributes:
        requests: All requests, in the order of arrival.
        in_flight: Number of unanswered requests.
        peak: Highest number of requests in flight at once.
        closed: Whether `aclose` was called.
    """

    def __init__(self, behaviour: Behaviour | None = None) -> None:
        self._behaviour = behaviour or judging(lambda _: Sentiment.POSITIVE)
        self.requests: list[ChatRequest] = []
        self.in_flight = 0
        self.peak = 0
        self.closed = False

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        """See `ChatModel.answer`."""
        self.requests.append(request)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await asyncio.sleep(0)  # lets other tasks run, as a network call does
            answer = self._behaviour(request)
        finally:
            self.in_flight -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        """See `ChatModel.aclose`."""
        self.closed = True
