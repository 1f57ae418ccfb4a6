"""What every `Clock` must do; provide `clock`."""

from datetime import UTC

import pytest

from reviewstream.core.retry.ports import Clock

SECONDS = 0.02


class ClockContract:
    def test_the_time_is_in_utc(self, clock: Clock) -> None:
        assert clock.now().tzinfo is UTC

    @pytest.mark.anyio
    async def test_at_least_the_time_that_was_slept_has_passed(self, clock: Clock) -> None:
        before = clock.now()
        await clock.sleep(SECONDS)
        # Half: the time of day may be set back a little while one sleeps.
        assert (clock.now() - before).total_seconds() >= SECONDS / 2

    @pytest.mark.anyio
    async def test_no_time_is_slept_at_once(self, clock: Clock) -> None:
        await clock.sleep(0)

    def test_chance_is_at_least_0_and_below_1(self, clock: Clock) -> None:
        assert all(0 <= clock.jitter() < 1 for _ in range(1_000))
