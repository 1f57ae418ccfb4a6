"""The machine's clock."""

import time
from datetime import UTC, datetime

import pytest

from reviewstream.adapters.system_clock import SystemClock
from reviewstream.core.retry.ports import Clock


@pytest.fixture
def clock() -> Clock:
    return SystemClock()


def test_now_is_now_in_utc(clock: Clock) -> None:
    before = datetime.now(UTC)
    assert before <= clock.now() <= datetime.now(UTC)
    assert clock.now().tzinfo is UTC


def test_jitter_varies_from_0_to_1(clock: Clock) -> None:
    drawn = [clock.jitter() for _ in range(100)]
    assert all(0 <= one < 1 for one in drawn)
    assert len(set(drawn)) > 90


@pytest.mark.anyio
async def test_sleep_takes_as_long_as_it_says(clock: Clock) -> None:
    started = time.monotonic()
    await clock.sleep(0.05)
    assert time.monotonic() - started >= 0.05
