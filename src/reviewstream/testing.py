"""Fakes of the ports, for tests of your own: no network, no waiting, no chance.

`FakeChatModel` passes the contract that the real adapter passes; the project runs both through it.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta

import msgspec

from reviewstream.core.chat import ChatAnswer, ChatRequest
from reviewstream.core.prompts import estimate_tokens
from reviewstream.core.records import Sentiment
from reviewstream.pipeline.unlimited import NoLedger, NoLimit
from reviewstream.ports import LedgerEntry, LedgerKey

__all__ = ["FakeChatModel", "FakeClock", "MemoryLedger", "NoLedger", "NoLimit", "judging"]

Behaviour = Callable[[ChatRequest], ChatAnswer | Exception]


def judging(judge: Callable[[str], Sentiment], *, confidence: float | None = 1.0) -> Behaviour:
    """Return the behaviour of a model that labels every text as `judge` does."""

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
    """`ChatModel` that does what it is told.

    Args:
        behaviour: Called for every request; what it returns is answered, or raised. Without one,
            every review is POSITIVE.

    Attributes:
        requests: Every request, in the order of arrival.
        in_flight: Requests that are not answered yet.
        peak: The most requests that were ever in flight.
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
            await asyncio.sleep(0)  # lets the others run, as a network would
            answer = self._behaviour(request)
        finally:
            self.in_flight -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def aclose(self) -> None:
        """See `ChatModel.aclose`."""
        self.closed = True


class MemoryLedger:
    """`LedgerArchive` that lives as long as its process.

    Attributes:
        labels: Everything recorded.
        claimed: What is being bought just now.
    """

    def __init__(self) -> None:
        self.labels: dict[LedgerKey, LedgerEntry] = {}
        self.claimed: set[LedgerKey] = set()

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """See `LabelLedger.find`."""
        return {key: self.labels[key] for key in keys if key in self.labels}

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """See `LabelLedger.record`."""
        self.labels = {**entries, **self.labels}

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """See `LabelLedger.claim`."""
        mine = set(keys) - self.claimed
        self.claimed |= mine
        return mine

    def release(self, keys: Collection[LedgerKey]) -> None:
        """See `LabelLedger.release`."""
        self.claimed -= set(keys)

    def close(self) -> None:
        """See `LabelLedger.close`."""
        self.claimed.clear()

    def entries(self) -> Iterator[tuple[LedgerKey, LedgerEntry]]:
        """See `LedgerArchive.entries`."""
        return iter(list(self.labels.items()))

    def forget(self, keys: Collection[LedgerKey]) -> int:
        """See `LedgerArchive.forget`."""
        return sum(self.labels.pop(key, None) is not None for key in set(keys))


class FakeClock:
    """`Clock` whose time passes only in `sleep`.

    Args:
        now: The time at the start.
        jitter: What `jitter` returns.

    Attributes:
        sleeps: Every wait, in seconds.
    """

    def __init__(
        self, now: datetime = datetime(2026, 1, 1, tzinfo=UTC), *, jitter: float = 0.0
    ) -> None:
        self._now = now
        self._jitter = jitter
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        """See `Clock.now`."""
        return self._now

    def jitter(self) -> float:
        """See `Clock.jitter`."""
        return self._jitter

    async def sleep(self, seconds: float) -> None:
        """See `Clock.sleep`."""
        self.sleeps.append(seconds)
        self._now += timedelta(seconds=seconds)
        await asyncio.sleep(0)
