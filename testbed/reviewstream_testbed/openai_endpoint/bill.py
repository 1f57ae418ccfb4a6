"""The bill: every request and its cost, to compare a client's books with.

An error bills nothing. An answer that is cut or hangs, or that its client does not wait for, is
billed, as real endpoints do. Its client cannot know how much: such entries are not `told`.
"""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

KEPT: Final = 10_000  # entries, the newest; the totals are of all
WHOLE: Final = "whole"
DROPPED: Final = "dropped"
_SUMMED: Final = ("prompt_tokens", "cached_tokens", "completion_tokens", "cost_micro_usd")


class Tokens(NamedTuple):
    """The tokens of one request.

    Attributes:
        prompt: Tokens of the prompt, the cached ones included.
        cached: Tokens of the prompt that were cached.
        visible: Tokens of the answer.
        hidden: Tokens of the reasoning before it.
    """

    prompt: int = 0
    cached: int = 0
    visible: int = 0
    hidden: int = 0

    @property
    def completion(self) -> int:
        """All that is billed as output."""
        return self.visible + self.hidden


@dataclass(slots=True)
class Entry:
    """One request on the bill.

    Attributes:
        number: Of the request in its room, from 1.
        tier: `default` or `flex`.
        completion_tokens: The hidden ones included.
        status: HTTP status; None: none was ever sent.
        fault: The kind that it met; "": none.
        delivery: `whole`; `cut`, `stall`, `truncated_json`, `stream_error`: a part of it; `hang`
            or `dropped`: nothing, as far as is known; `error`: an error, which costs nothing.
        told: The client has been told what is billed here.
    """

    number: int
    model: str
    tier: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    reasoning_tokens: int
    cost_micro_usd: int
    status: int | None
    fault: str
    delivery: str
    told: bool


class Bill:
    """The requests of a room, and what they cost."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._count = 0
        self._all = dict.fromkeys(_SUMMED, 0)
        self._told = dict.fromkeys(_SUMMED, 0)

    def add(self, model: str, tier: str, tokens: Tokens, cost: int, fault: str) -> Entry:
        """Bill an answer that is about to be sent; `close` says what became of it.

        Args:
            model: As it was asked for.
            tier: That is billed.
            tokens: That are billed.
            cost: Micro-dollars.
            fault: That the request meets.
        """
        entry = self._entry(model, tier, tokens, cost, fault)
        for name in _SUMMED:
            self._all[name] += getattr(entry, name)
        return entry

    def refuse(self, model: str, status: int | None, fault: str) -> None:
        """Note a request that costs nothing."""
        entry = self._entry(model, "default", Tokens(), 0, fault)
        entry.status, entry.delivery, entry.told = status, "error", True

    def close(self, entry: Entry, delivery: str, *, told: bool) -> None:
        """Say what became of an answer.

        Args:
            entry: Its entry.
            delivery: See `Entry`.
            told: The client has been told what it costs.
        """
        entry.delivery, entry.told = delivery, told
        entry.status = None if delivery in {"hang", DROPPED} else 200
        if told:
            for name in _SUMMED:
                self._told[name] += getattr(entry, name)

    def shown(self) -> dict[str, Any]:
        """Return what `GET /_mock/bill` answers."""
        untold = {name: self._all[name] - self._told[name] for name in _SUMMED}
        return {
            "entries": [asdict(one) for one in self._entries],
            "totals": {"requests": self._count, **self._all, "told": self._told, "untold": untold},
        }

    def _entry(self, model: str, tier: str, tokens: Tokens, cost: int, fault: str) -> Entry:
        self._count += 1
        entry = Entry(
            number=self._count,
            model=model,
            tier=tier,
            prompt_tokens=tokens.prompt,
            cached_tokens=tokens.cached,
            completion_tokens=tokens.completion,
            reasoning_tokens=tokens.hidden,
            cost_micro_usd=cost,
            status=None,
            fault=fault,
            delivery=DROPPED,
            told=False,
        )
        self._entries.append(entry)
        return entry
