"""What every `RateLimiter` must do with what fits; provide `limiter`."""

import asyncio

import pytest

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.ports import RateLimiter

ONE = Amount(tokens=1, micro_usd=1)
FIVE = Amount(tokens=100, micro_usd=5)


class RateLimiterContract:
    @pytest.mark.anyio
    async def test_what_fits_is_let_through(self, limiter: RateLimiter) -> None:
        await limiter.acquire(FIVE)
        limiter.settle(FIVE, Amount(tokens=70, micro_usd=5))

    @pytest.mark.anyio
    async def test_many_may_ask_at_once(self, limiter: RateLimiter) -> None:
        limiter.learn(RateLimits())
        await asyncio.gather(*(limiter.acquire(ONE) for _ in range(20)))

    @pytest.mark.anyio
    async def test_more_may_have_been_used_than_was_reserved(self, limiter: RateLimiter) -> None:
        await limiter.acquire(ONE)
        limiter.settle(ONE, Amount(tokens=2, micro_usd=1))
        await limiter.acquire(ONE)

    @pytest.mark.anyio
    async def test_a_pause_ends(self, limiter: RateLimiter) -> None:
        limiter.learn(RateLimits(requests_per_minute=60_000.0, tokens_per_minute=1e9))
        limiter.throttled(None)
        limiter.throttled(0.001)
        await limiter.acquire(ONE)

    @pytest.mark.anyio
    async def test_what_is_not_asked_for_is_given_up(self, limiter: RateLimiter) -> None:
        await limiter.acquire(FIVE)
        limiter.give_up(FIVE)
        await limiter.acquire(FIVE)

    @pytest.mark.anyio
    async def test_nobody_else_ends_who_belongs_to_no_run(self, limiter: RateLimiter) -> None:
        limiter.end("no quota")
        await limiter.check()
        await limiter.acquire(ONE)

    @pytest.mark.anyio
    async def test_no_limit_of_tokens_is_known_before_one_is_told(
        self, limiter: RateLimiter
    ) -> None:
        limiter.learn(RateLimits(requests_per_minute=60_000.0))
        await limiter.acquire(ONE)
        assert limiter.tokens_per_minute is None
