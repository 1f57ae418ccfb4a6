"""Waits between attempts."""

import math

from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.labelling.backoff import backoff

jitters = st.floats(0, 1, exclude_max=True)


def test_waits_double_from_the_base_up_to_the_cap() -> None:
    waits = [backoff(attempt, jitter=0, base=0.5, cap=5) for attempt in range(1, 7)]
    assert waits == [0.5, 1, 2, 4, 5, 5]


def test_unless_told_otherwise_waits_go_from_half_a_second_to_half_a_minute() -> None:
    assert [backoff(attempt, jitter=0) for attempt in (1, 6, 7, 8)] == [0.5, 16, 30, 30]


def test_jitter_shortens_a_wait_by_up_to_half() -> None:
    assert backoff(2, jitter=0.5, base=1) == 1.5


@given(st.integers(), jitters, st.floats(0.001, 10), st.floats(0.001, 1000))
@example(attempt=10**400, jitter=0.0, base=0.5, cap=30.0)
@example(attempt=-(10**400), jitter=0.0, base=0.5, cap=30.0)
def test_a_wait_is_always_finite_positive_and_under_the_cap(
    attempt: int, jitter: float, base: float, cap: float
) -> None:
    wait = backoff(attempt, jitter=jitter, base=base, cap=cap)
    assert math.isfinite(wait)
    assert 0 < wait <= cap


@given(st.integers(1, 100), jitters)
def test_a_later_attempt_never_waits_less(attempt: int, jitter: float) -> None:
    assert backoff(attempt + 1, jitter=jitter) >= backoff(attempt, jitter=jitter)
