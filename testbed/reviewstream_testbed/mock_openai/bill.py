"""The bill: every request and its cost, to compare with a client's accounting.

An error costs nothing. An answer that is cut off or hangs, or whose client disconnects, is billed,
as real endpoints do. The client cannot know its cost: such entries are not `told`.
"""

from collections import deque
from dataclasses import asdict, dataclass
from typing import Any, Final, NamedTuple

KEPT: Final = 10_000  # newest entries; the totals include all
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
        """Tokens that are billed as output."""
        return self.visible + self.hidden


@dataclass(slots=True)
class Entry:
    """One request on the bill.

    Attributes:
        number: Number of the request in its tenant, from 1.
        tier: `default` or `flex`.
        completion_tokens: Including the hidden tokens.
        status: HTTP status, or None if no status was sent.
        fault: Kind of the injected fault, or "".
        delivery: `whole`; `cut`, `stall`, `truncated_json`, `stream_error`: a part of it; `hang`
            or `dropped`: nothing, as far as is known; `error`: an error, which costs nothing.
        told: Whether the client received the usage that is billed here.
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
    """The requests of a tenant and their costs."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque(maxlen=KEPT)
        self._count = 0
        self._all = dict.fromkeys(_SUMMED, 0)
        self._told = dict.fromkeys(_SUMMED, 0)

    def add(self, model: str, tier: str, tokens: Tokens, cost: int, fault: str) -> Entry:
        """Bill an answer before it is sent; `close` records how it was delivered.

        Args:
            model: Model name in the request.
            tier: Billed tier.
            tokens: Billed tokens.
            cost: Cost in micro-dollars.
            fault: Kind of the injected fault, or "".
        """
        entry = self._entry(model, tier, tokens, cost, fault)
        for name in _SUMMED:
            self._all[name] += getattr(entry, name)
        return entry

    def refuse(self, model: str, status: int | None, fault: str) -> None:
        """Record a request that costs nothing."""
        entry = self._entry(model, "default", Tokens(), 0, fault)
        entry.status, entry.delivery, entry.told = status, "error", True

    def close(self, entry: Entry, delivery: str, *, told: bool) -> None:
        """Record how an answer was delivered.

        Args:
            entry: Entry of the answer.
            delivery: See `Entry`.
            told: Whether the client received the usage.
        """
        entry.delivery, entry.told = delivery, told
        entry.status = None if delivery in {"hang", DROPPED} else 200
        if told:
            for name in _SUMMED:
                self._told[name] += getattr(entry, name)

    def shown(self) -> dict[str, Any]:
        """Return the response of `GET /_mock/bill`."""
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
