"""What every `RateLimiter` must do with what fits; provide `limiter`."""

import asyncio

import pytest

from reviewstream.ports import RateLimiter


class RateLimiterContract:
    @pytest.mark.anyio
    async def test_what_fits_is_let_through(self, limiter: RateLimiter) -> None:
        await limiter.acquire(requests=1, tokens=100)
        limiter.settle(reserved_tokens=100, used_tokens=70, cost_micro_usd=3)

    @pytest.mark.anyio
    async def test_many_may_ask_at_once(self, limiter: RateLimiter) -> None:
        await asyncio.gather(*(limiter.acquire(requests=1, tokens=1) for _ in range(20)))

    @pytest.mark.anyio
    async def test_more_may_have_been_used_than_was_reserved(self, limiter: RateLimiter) -> None:
        await limiter.acquire(requests=1, tokens=1)
        limiter.settle(reserved_tokens=1, used_tokens=2, cost_micro_usd=0)
        await limiter.acquire(requests=1, tokens=1)
