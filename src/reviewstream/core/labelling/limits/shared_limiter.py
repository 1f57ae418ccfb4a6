"""Rate limiter and budget over a shared store."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.budget import pending_sentence, spent_sentence
from reviewstream.core.labelling.limits.operations import (
    LEASE,
    Abort,
    Amount,
    LimitKey,
    Observe,
    Operation,
    Poll,
    Release,
    Reply,
    Reserve,
    Throttled,
)
from reviewstream.core.labelling.offload import Inline, Offload
from reviewstream.core.labelling.ports import LimitStore
from reviewstream.core.labelling.wait_log import WaitLog
from reviewstream.core.retry import waits
from reviewstream.core.retry.ports import Clock
from reviewstream.errors import BudgetExceededError, FatalError, TransientError

JITTER: Final = 0.5  # seconds; below a minute's margin, so that no minute exceeds its limit
NAP: Final = 1.0  # seconds; longer waits are interrupted to check whether the run was ended
RELEARN: Final = timedelta(seconds=60)  # unchanged limits are not stored more often
SETTLING: Final = 0.25  # seconds between two checks for settled requests
# Kinds of wait, for `WaitLog`.
BUDGET, STORE, RATE = "budget", "store of the limits", "rate"
LONG: Final = 10.0  # seconds; longer waits for the rate are logged


def spent_micro_usd(store: LimitStore, terms: LimitKey) -> int:
    """Return the amount that the account has spent, current reservations included."""
    return store.apply(Release(), terms).spent


class SharedLimiter:
    """`RateLimiter` over a shared store.

    A request that must wait takes a place in one queue, which costs one call to the store. It
    sleeps until its expected turn and then polls, because a pause or a slower rate may have
    intervened.

    Args:
        store: Store shared by all clients.
        terms: Limit key; the same for all clients.
        clock: Clock for the waits.
        patience: Seconds after a request's turn until it has ended or its process is dead: its
            reservation stays charged, but is not waited for any longer.
        offload: Runs the calls to the store; None: they block this thread.
    """

    def __init__(
        self,
        store: LimitStore,
        terms: LimitKey,
        clock: Clock,
        *,
        patience: float = LEASE,
        offload: Offload | None = None,
    ) -> None:
        self._store = store
        self._terms = terms
        self._clock = clock
        self._patience = patience
        self._offload = offload or Inline()
        self._told: tuple[RateLimits, datetime] | None = None
        self._tokens = terms.limits.tokens_per_minute
        self._fault: Exception | None = None
        self._pending = asyncio.Lock()  # one waiter for the budget polls for all
        self._log = WaitLog(clock)

    @property
    def tokens_per_minute(self) -> float | None:
        """See `RateLimiter.tokens_per_minute`."""
        return self._tokens

    async def acquire(self, most: Amount) -> None:
        """See `RateLimiter.acquire`.

        Raises:
            BudgetExceededError: The request would overdraw the budget, or another task has ended
                the run.
            FatalError: The store remains unavailable.
            ConfigError: The store is damaged, now or when an earlier request was settled.
        """
        reply = await self._reserve(most)
        if reply.is_spent:
            self.end(sentence := spent_sentence(self._terms, reply, most.micro_usd))
            raise BudgetExceededError(sentence)
        _pass(reply)
        try:
            while reply.wait > 0:
                self._say(reply)
                await self._clock.sleep(self._nap(reply))
                look = Poll(place=reply.place, lease=self._patience)
                reply = await self._call_with_retry(partial(self._apply, look))
                _pass(reply)
        except BaseException:
            self._tell(_everything(most))
            raise

    def give_up(self, reserved: Amount) -> None:
        """See `RateLimiter.give_up`."""
        self._tell(_everything(reserved))
        if self._told is None:  # others wait for the first answer, which will not arrive
            self._tell(Release())

    def end(self, why: str) -> None:
        """See `RateLimiter.end`."""
        if self._terms.run:
            self._tell(Abort(why=why))

    async def check(self) -> None:
        """See `RateLimiter.check`.

        Raises:
            BudgetExceededError: Another task has ended the run.
            ConfigError: The store is damaged.
        """
        if self._terms.run:
            with suppress(TransientError):  # an unreachable store cannot report an end
                _pass(await self._offload.run(partial(self._apply, Abort())))
        self._raise_fault()

    def settle(self, reserved: Amount, used: Amount) -> None:
        """See `RateLimiter.settle`."""
        is_first = self._told is None  # others wait for the first answer
        if reserved != used or reserved.micro_usd or is_first:
            tokens, cost = reserved.tokens - used.tokens, reserved.micro_usd - used.micro_usd
            self._tell(Release(tokens=tokens, micro_usd=cost, reserved=reserved.micro_usd))

    def throttled(self, retry_after: float | None) -> None:
        """See `RateLimiter.throttled`."""
        self._tell(Throttled(retry_after=retry_after or 0.0))

    def learn(self, limits: RateLimits) -> None:
        """See `RateLimiter.learn`."""
        now = self._clock.now()
        if self._is_known(limits, now):
            return
        self._told = limits, now
        own, told = self._terms.limits.tokens_per_minute, limits.tokens_per_minute
        if told:
            self._tokens = min(own or told, told)
        self._tell(Observe(limits=limits))

    def _say(self, reply: Reply) -> None:
        """Log a long wait for the rate, with the possible sources of its limit."""
        if reply.wait >= LONG:
            self._log.wait(
                RATE,
                f"labelling waits {reply.wait:.0f} s for its turn: the rate limit of"
                f" {self._terms.model}, by limits.requests_per_minute, limits.tokens_per_minute or"
                " the headers of the endpoint",
            )

    def _nap(self, reply: Reply) -> float:
        wait = reply.wait + self._clock.jitter() * min(reply.spacing, JITTER)
        return min(wait, NAP) if self._terms.run else wait

    def _is_known(self, limits: RateLimits, now: datetime) -> bool:
        if self._told is None:
            return False
        told, at = self._told
        return limits == RateLimits() or (limits == told and now < at + RELEARN)

    async def _reserve(self, most: Amount) -> Reply:
        """Reserve a request's maximum usage once it is certain whether the budget covers it."""
        reply = await self._take(most)
        if not reply.is_pending:
            return reply
        async with self._pending:
            while (reply := await self._take(most)).is_pending:
                self._log.wait(BUDGET, pending_sentence(self._terms, reply, most.micro_usd))
                await self._clock.sleep(SETTLING)
        self._log.over(BUDGET)
        return reply

    async def _take(self, most: Amount) -> Reply:
        take = Reserve(tokens=most.tokens, micro_usd=most.micro_usd, lease=self._patience)
        taken: list[Reply] = []

        def work() -> Reply:
            taken.append(reply := self._apply(take))
            return reply

        def undo() -> None:
            if taken and not (taken[-1].is_spent or taken[-1].is_pending or taken[-1].ended):
                self._do(_everything(most))

        try:
            return await self._call_with_retry(work)
        except asyncio.CancelledError:  # the store may still apply the reservation
            self._submit(undo)
            raise

    async def _call_with_retry(self, work: Callable[[], Reply]) -> Reply:
        """Make a call that a request depends on, and retry it while the store is unavailable."""
        try:
            reply = await waits.STORE.retry(lambda: self._run(work), self._clock, self._failed)
        except TransientError as err:
            raise FatalError(
                f"the store of the limits that all tasks share is unavailable for"
                f" {waits.STORE.total:.0f} s, and no request is sent without it: {err}"
            ) from err
        self._log.over(STORE)
        return reply

    async def _run(self, work: Callable[[], Reply]) -> Reply:
        self._raise_fault()
        return await self._offload.run(work)

    def _failed(self, err: TransientError) -> None:
        self._log.wait(STORE, f"waiting for the limits that all tasks share: {err}")

    def _tell(self, operation: Operation) -> None:
        """Submit an operation without waiting; an amount that is not released stays charged."""
        self._submit(partial(self._do, operation))

    def _submit(self, work: Callable[[], None]) -> None:
        """Submit work without raising, because an answer that was paid for would be lost."""
        try:
            self._offload.submit(work)
        except RuntimeError as err:  # closed
            self._fault = self._fault or err

    def _do(self, operation: Operation) -> None:
        try:
            self._apply(operation)
        except TransientError:
            pass
        except Exception as err:  # noqa: BLE001 - no caller waits: raised later
            self._fault = self._fault or err

    def _apply(self, operation: Operation) -> Reply:
        reply = self._store.apply(operation, self._terms)
        self._tokens = reply.tokens_per_minute or self._tokens
        return reply

    def _raise_fault(self) -> None:
        """Raise the error of an operation that was submitted without waiting."""
        if self._fault is not None:
            raise self._fault


def _everything(reserved: Amount) -> Release:
    cost = reserved.micro_usd
    return Release(requests=1, tokens=reserved.tokens, micro_usd=cost, reserved=cost)


def _pass(reply: Reply) -> None:
    if reply.ended:
        raise BudgetExceededError(reply.ended)
