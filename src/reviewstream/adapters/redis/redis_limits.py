"""`LimitStore` in a Redis, shared by all machines of a cluster."""

from collections.abc import Callable, Sequence
from importlib.resources import files
from typing import Final, cast

from reviewstream.adapters.redis.connection import RedisClient
from reviewstream.core.labelling.limits import pace
from reviewstream.core.labelling.limits.operations import (
    Abort,
    LimitKey,
    Observe,
    Operation,
    Poll,
    Release,
    Reply,
    Reserve,
    Throttled,
)

LIMITS: Final = "reviewstream:limits"  # a hash; limits.lua documents its fields
SCRIPT: Final = "limits.lua"
_CONSTANTS: Final = (
    *("BURST", "CALM", "CUT", "GUESS", "HEARING", "HIGHEST", "LISTEN", "LONGEST_PAUSE", "LOWEST"),
    *("LOWEST_GUESS", "MARGIN", "MINUTE", "NEAR", "RECOVERY", "SEEN", "STALE", "STEP_BACK"),
)


class RedisLimits:
    """`LimitStore` in one hash, which one atomic script changes.

    Args:
        url: `redis://`, `rediss://` or `unix://`; never shown, as it may contain a password.
        timeout: Seconds to wait for an answer.
        now: Returns seconds since 1970; None: the clock of Redis, the same for all machines.

    Raises:
        ConfigError: The URL is malformed.
    """

    def __init__(
        self, url: str, *, timeout: float = 30.0, now: Callable[[], float] | None = None
    ) -> None:
        self._redis = RedisClient(url, timeout=timeout)
        self._script = self._redis.client.register_script(script())
        self._now = now

    def apply(self, operation: Operation, terms: LimitKey) -> Reply:
        """See `LimitStore.apply`."""
        own, budget = terms.limits, terms.budget_micro_usd
        arguments = (
            "" if self._now is None else repr(self._now()),
            f"pace:{terms.model}",
            f"account:{terms.account}",
            f"reserved:{terms.account}",
            repr(own.requests_per_minute or 0.0),
            repr(own.tokens_per_minute or 0.0),
            "" if budget is None else budget,
            *_spelled(operation),
            f"ended:{terms.account}",
            f"why:{terms.account}",
            terms.run,
            operation.why if isinstance(operation, Abort) else "",
        )
        with self._redis.plain_errors(LIMITS):
            return _reply(cast("list[bytes]", self._script(keys=[LIMITS], args=arguments)))

    def close(self) -> None:
        """See `LimitStore.close`."""
        self._redis.client.close()


def script() -> str:
    """Return the script with our constants."""
    lines = [f"local {name} = {getattr(pace, name)!r}" for name in _CONSTANTS]
    text = files(__package__).joinpath(SCRIPT).read_text(encoding="utf-8")
    return "\n".join([*lines, text])


def _reply(found: Sequence[bytes]) -> Reply:
    *numbers, why = found
    requests, tokens, wait, spacing, spent, reserved, is_spent, is_pending, allowed = map(
        float, numbers
    )
    return Reply(
        place=pace.Ticket(requests=requests, tokens=tokens),
        wait=wait,
        spacing=spacing,
        spent=int(spent),
        reserved=int(reserved),
        is_spent=bool(is_spent),
        is_pending=bool(is_pending),
        tokens_per_minute=allowed,
        ended=why.decode(),
    )


def _spelled(operation: Operation) -> tuple[str | float, ...]:
    """Return the script's name of an operation, and its four numbers."""
    match operation:
        case Reserve(tokens=tokens, micro_usd=cost, lease=lease):
            return "take", tokens, cost, repr(lease), 0
        case Poll(place=place, lease=lease):
            return "look", repr(place.requests), repr(place.tokens), repr(lease), 0
        case Release(requests=count, tokens=tokens, micro_usd=cost, reserved=reserved):
            return "give_back", count, tokens, cost, reserved
        case Throttled(retry_after=retry_after):
            return "refusal", repr(retry_after), 0, 0, 0
        case Observe(limits=limits):
            requests, most = limits.requests_per_minute or 0.0, limits.tokens_per_minute or 0.0
            return "learn", repr(requests), repr(most), 0, 0
        case Abort():
            return "end", 0, 0, 0, 0
