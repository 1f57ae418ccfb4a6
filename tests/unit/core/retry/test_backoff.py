"""Waits between attempts."""

import math
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.retry.backoff import Attempts, Backoff
from reviewstream.errors import PermanentError, TransientError
from reviewstream.testing import FakeClock
from tests.unit.timer import FakeTimer

BACKOFF = Backoff(first=0.5, longest=5.0, total=20.0, least=1.0)
BUSY = TransientError("busy")

jitters = st.floats(0, 1, exclude_max=True)
seconds = st.floats(0.001, 1000)


def test_waits_double_from_the_first_up_to_the_longest() -> None:
    waits = [BACKOFF.wait(failures, jitter=0) for failures in range(-1, 7)]
    assert waits == [0.5, 0.5, 0.5, 1, 2, 4, 5, 5]


def test_a_limit_cuts_our_own_wait() -> None:
    assert BACKOFF.wait(3, jitter=0, limit=0.75) == 0.75
    assert BACKOFF.wait(9, jitter=0, limit=60) == BACKOFF.longest


def test_jitter_shortens_our_own_wait_by_up_to_half() -> None:
    assert BACKOFF.wait(3, jitter=0.5) == 1.5


def test_jitter_lengthens_a_wait_that_was_asked_for() -> None:
    assert BACKOFF.wait(1, jitter=0.5, asked=2.0) == 2.5


def test_a_wait_that_was_asked_for_is_cut_to_the_limit() -> None:
    assert BACKOFF.wait(1, jitter=0.9, asked=3600) == BACKOFF.longest
    assert BACKOFF.wait(1, jitter=0.9, asked=math.inf, limit=60) == 60


@pytest.mark.parametrize("asked", [0.0, -1.0, 0.0001])
def test_who_asks_for_no_wait_is_not_asked_in_a_loop(asked: float) -> None:
    waits = [BACKOFF.wait(failures, jitter=0, asked=asked) for failures in range(1, 5)]
    assert waits == [0.5, 1.0, 1.0, 1.0]
    unbounded = replace(BACKOFF, least=math.inf)
    waits = [unbounded.wait(failures, jitter=0, asked=asked) for failures in range(1, 5)]
    assert waits == [0.5, 1, 2, 4]


@given(st.integers(), jitters, st.none() | st.floats(allow_nan=False), st.none() | seconds)
@example(failures=10**400, jitter=0.0, asked=None, limit=None)
@example(failures=-(10**400), jitter=0.0, asked=-1e308, limit=None)
def test_a_wait_is_always_finite_positive_and_within_its_limit(
    failures: int, jitter: float, asked: float | None, limit: float | None
) -> None:
    wait = BACKOFF.wait(failures, jitter=jitter, asked=asked, limit=limit)
    assert math.isfinite(wait)
    assert 0 < wait <= (BACKOFF.longest if limit is None else limit)


@given(st.integers(1, 100), jitters, st.none() | seconds)
def test_a_later_attempt_never_waits_less(
    failures: int, jitter: float, asked: float | None
) -> None:
    first, second = (
        BACKOFF.wait(count, jitter=jitter, asked=asked) for count in (failures, failures + 1)
    )
    assert second >= first


@given(jitters, st.floats(0, 60))
def test_an_attempt_never_comes_before_the_time_that_was_asked_for(
    jitter: float, asked: float
) -> None:
    assert BACKOFF.wait(1, jitter=jitter, asked=asked, limit=60) >= asked


class Failing:
    """A call that fails some times, and then says how often it was made."""

    def __init__(self, failures: int, error: Exception = BUSY) -> None:
        self._failures = failures
        self._error = error
        self.calls = 0

    async def __call__(self) -> int:
        self.calls += 1
        if self.calls <= self._failures:
            raise self._error
        return self.calls


@pytest.mark.anyio
async def test_a_call_is_made_again_until_it_succeeds() -> None:
    clock, failures = FakeClock(), list[TransientError]()
    assert await BACKOFF.retry(Failing(3), clock, failures.append) == 4
    assert clock.sleeps == [0.5, 1.0, 2.0]
    assert failures == [BUSY] * 3


@pytest.mark.anyio
async def test_a_call_that_succeeds_is_made_once() -> None:
    clock = FakeClock()
    assert await BACKOFF.retry(Failing(0), clock, lambda _: None) == 1
    assert clock.sleeps == []


@pytest.mark.anyio
async def test_a_call_waits_as_its_error_asks() -> None:
    clock = FakeClock(jitter=0.5)
    busy = TransientError("busy", retry_after=2.0)
    await BACKOFF.retry(Failing(1, busy), clock, lambda _: None)
    assert clock.sleeps == [2.5]


@pytest.mark.anyio
async def test_after_the_total_a_failure_is_final() -> None:
    clock, failures = FakeClock(), list[TransientError]()
    begun, call = clock.now(), Failing(99)
    with pytest.raises(TransientError, match="busy"):
        await BACKOFF.within(7.5).retry(call, clock, failures.append)
    assert clock.now() - begun == timedelta(seconds=7.5)
    assert (call.calls, len(failures)) == (5, 4)


@pytest.mark.anyio
async def test_a_failure_that_is_final_is_not_tried_again() -> None:
    call = Failing(1, PermanentError("refused"))
    with pytest.raises(PermanentError, match="refused"):
        await BACKOFF.retry(call, FakeClock(), lambda _: None)
    assert call.calls == 1


def test_attempts_wait_in_between_and_end_after_the_total() -> None:
    timer = FakeTimer()
    timer.seconds = 100.0
    attempts = Attempts(BACKOFF.within(7.5), timer)
    count = 0
    while attempts.again():
        count += 1
    assert timer.slept == [0.5, 1.0, 2.0, 4.0, 5.0]
    assert count == 5
    assert not attempts.again()
