"""One limit and one budget for everyone, over what they share."""

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Final

from reviewstream.core.backoff import backoff
from reviewstream.core.chat import RateLimits
from reviewstream.core.costs import budget_micro_usd
from reviewstream.core.limits import (
    Amount,
    End,
    GiveBack,
    Learn,
    Look,
    Operation,
    Refusal,
    Reply,
    Take,
    Terms,
    spent_sentence,
)
from reviewstream.errors import ConfigError, LimitError, StopError, TransientError
from reviewstream.pipeline.policy import known_prices
from reviewstream.pipeline.remembering import ledger_name
from reviewstream.ports import Clock, LimitStore
from reviewstream.settings import LimitsSettings, OpenAISettings

JITTER: Final = 0.5  # seconds; less than the margin of a minute, so that no minute has too many
NAP: Final = 1.0  # seconds; who waits longer looks whether another task has ended the run
RELEARN: Final = timedelta(seconds=60)  # what everybody knows is not told with every answer


def no_price(model: OpenAISettings) -> str:
    """Return the sentence that says what to do about a model without a price."""
    return (
        f"no price of {model.model} is known: set openai.input_usd_per_million and"
        " openai.output_usd_per_million, to 0 if it costs nothing"
    )


def terms_of(model: OpenAISettings, limits: LimitsSettings) -> Terms:
    """Return the terms that the settings describe.

    Raises:
        ConfigError: there is a budget, and nobody knows what the model costs.
    """
    budget = limits.budget_usd
    if budget is not None and known_prices(model) is None:
        raise ConfigError(f"limits.budget_usd is set, and {no_price(model)}")
    return Terms(
        model=ledger_name(model),
        account=limits.account or "",
        limits=RateLimits(
            requests_per_minute=limits.requests_per_minute,
            tokens_per_minute=limits.tokens_per_minute,
        ),
        budget_micro_usd=None if budget is None else budget_micro_usd(budget),
    )


def spent_micro_usd(store: LimitStore, terms: Terms) -> int:
    """Return what the account has spent, what is reserved just now included."""
    return store.apply(GiveBack(), terms).spent


class SharedLimiter:
    """`RateLimiter` for all who share a store.

    Whoever must wait takes a place in one queue, which costs one trip to the store, sleeps until
    his turn should come, and looks whether it has: a pause or a slower rate may have come between.

    Args:
        store: Shared with everybody.
        terms: The same for everybody.
        clock: To wait.
        attempts: To reach the store, before nobody is let through any more.
    """

    def __init__(self, store: LimitStore, terms: Terms, clock: Clock, *, attempts: int) -> None:
        self._store = store
        self._terms = terms
        self._clock = clock
        self._attempts = attempts
        self._told: tuple[RateLimits, datetime] | None = None

    async def acquire(self, most: Amount) -> None:
        """See `RateLimiter.acquire`.

        Raises:
            LimitError: It would overdraw the budget, or another task has ended the run.
            StopError: The store stays away.
        """
        reply = await self._insist(Take(tokens=most.tokens, micro_usd=most.micro_usd))
        if reply.is_spent:
            self.end(sentence := spent_sentence(self._terms, reply, most.micro_usd))
            raise LimitError(sentence)
        _pass(reply)
        try:
            while reply.wait > 0:
                await self._clock.sleep(self._nap(reply))
                reply = await self._insist(Look(place=reply.place))
                _pass(reply)
        except BaseException:
            self._tell(GiveBack(requests=1, tokens=most.tokens, micro_usd=most.micro_usd))
            raise

    def end(self, why: str) -> None:
        """See `RateLimiter.end`."""
        if self._terms.run:
            self._tell(End(why=why))

    def check(self) -> None:
        """See `RateLimiter.check`."""
        if self._terms.run:
            with suppress(TransientError):
                _pass(self._store.apply(End(), self._terms))

    def settle(self, reserved: Amount, used: Amount) -> None:
        """See `RateLimiter.settle`."""
        if reserved != used or self._told is None:  # others wait for the first answer
            tokens, cost = reserved.tokens - used.tokens, reserved.micro_usd - used.micro_usd
            self._tell(GiveBack(tokens=tokens, micro_usd=cost))

    def throttled(self, retry_after: float | None) -> None:
        """See `RateLimiter.throttled`."""
        self._tell(Refusal(retry_after=retry_after or 0.0))

    def learn(self, limits: RateLimits) -> None:
        """See `RateLimiter.learn`."""
        now = self._clock.now()
        if self._is_known(limits, now):
            return
        self._told = limits, now
        self._tell(Learn(limits=limits))

    def _nap(self, reply: Reply) -> float:
        wait = reply.wait + self._clock.jitter() * min(reply.spacing, JITTER)
        return min(wait, NAP) if self._terms.run else wait

    def _is_known(self, limits: RateLimits, now: datetime) -> bool:
        if self._told is None:
            return False
        told, at = self._told
        return limits == RateLimits() or (limits == told and now < at + RELEARN)

    def _tell(self, operation: Operation) -> None:
        """Do what can wait for the next time; what is not given back stays charged."""
        with suppress(TransientError):
            self._store.apply(operation, self._terms)

    async def _insist(self, operation: Operation) -> Reply:
        """Do what cannot be done without; it is asked for again where the store is away."""
        for attempt in range(1, self._attempts):
            try:
                return self._store.apply(operation, self._terms)
            except TransientError:
                await self._clock.sleep(backoff(attempt, jitter=self._clock.jitter()))
        try:
            return self._store.apply(operation, self._terms)
        except TransientError as err:
            raise StopError(f"nobody may ask the model without its limits: {err}") from err


def _pass(reply: Reply) -> None:
    if reply.ended:
        raise LimitError(reply.ended)
