"""What every `RateLimiter` must do with what fits; provide `limiter`."""

import asyncio

import pytest

from reviewstream.core.chat import RateLimits
from reviewstream.ports import RateLimiter


class RateLimiterContract:
    @pytest.mark.anyio
    async def test_what_fits_is_let_through(self, limiter: RateLimiter) -> None:
        await limiter.acquire(tokens=100, cost_micro_usd=5)
        settle(limiter, reserved_tokens=100, used_tokens=70)

    @pytest.mark.anyio
    async def test_many_may_ask_at_once(self, limiter: RateLimiter) -> None:
        limiter.learn(RateLimits())
        await asyncio.gather(*(limiter.acquire(tokens=1, cost_micro_usd=1) for _ in range(20)))

    @pytest.mark.anyio
    async def test_more_may_have_been_used_than_was_reserved(self, limiter: RateLimiter) -> None:
        await limiter.acquire(tokens=1, cost_micro_usd=1)
        settle(limiter, reserved_tokens=1, used_tokens=2)
        await limiter.acquire(tokens=1, cost_micro_usd=1)

    @pytest.mark.anyio
    async def test_a_pause_ends(self, limiter: RateLimiter) -> None:
        limiter.learn(RateLimits(requests_per_minute=60_000.0, tokens_per_minute=1e9))
        limiter.throttled(None)
        limiter.throttled(0.001)
        await limiter.acquire(tokens=1, cost_micro_usd=1)


def settle(limiter: RateLimiter, *, reserved_tokens: int, used_tokens: int) -> None:
    """Settle a request that cost what was reserved."""
    limiter.settle(
        reserved_tokens=reserved_tokens,
        used_tokens=used_tokens,
        reserved_micro_usd=1,
        used_micro_usd=1,
    )
