"""The mock endpoint's rate limits: what is given over any time, and whoever waits is served."""

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream_testbed.mock_openai.mock_dialects import LimitHeaders
from reviewstream_testbed.mock_openai.rate_answers import duration, headers, refused
from reviewstream_testbed.mock_openai.rate_limits import (
    MAX_LIMIT,
    MINUTE,
    ROUNDING,
    Allowance,
    Limits,
    limits_of,
)

requests_per_minute = st.integers(1, 100_000)
tokens_per_minute = st.integers(1, 10_000_000)
windows = st.floats(0.01, MINUTE)
pauses = st.floats(0, 2 * MINUTE)
sizes = st.integers(0, 20_000)
limits = st.builds(Limits, requests_per_minute, tokens_per_minute, windows)


def _most(limit: int, window: float, lasting: float, largest: int) -> float:
    """A full bucket, what flows in meanwhile, and what one request may owe."""
    capacity = max(1.0, limit * window / MINUTE)
    return capacity + limit / MINUTE * lasting + max(0.0, largest - capacity) + ROUNDING


@given(limits, st.lists(st.tuples(pauses, sizes), max_size=60))
@example(Limits(60, 600, 1.0), [(0.0, 10)] * 5 + [(1.0, 10)] * 5)
def test_over_any_time_no_more_is_given_than_flowed_in(
    enforced: Limits, asked: list[tuple[float, int]]
) -> None:
    allowance = Allowance(enforced, 0.0)
    now, admitted = 0.0, []
    for pause, tokens in asked:
        now += pause
        if allowance.admit(tokens, now) is None:
            admitted.append((now, tokens))
    rpm, tpm, window = enforced
    assert rpm is not None
    assert tpm is not None
    for first, (start, _) in enumerate(admitted):
        for last, (end, _) in enumerate(admitted[first:], first):
            within = [tokens for _, tokens in admitted[first : last + 1]]
            assert len(within) <= _most(rpm, window, end - start, 1) + 1e-6
            assert sum(within) <= _most(tpm, window, end - start, max(within)) * (1 + 1e-9)


@given(limits, st.floats(0, 1e6), st.lists(st.tuples(pauses, sizes), max_size=20), sizes)
def test_whoever_waits_as_long_as_told_is_admitted(
    enforced: Limits, start: float, before: list[tuple[float, int]], tokens: int
) -> None:
    allowance = Allowance(enforced, start)
    now = start
    for pause, earlier in before:
        now += pause
        allowance.admit(earlier, now)
    refusal = allowance.admit(tokens, now)
    if refusal is not None and refusal.wait is not None:
        assert refusal.wait > 0
        assert allowance.admit(tokens, now + refusal.wait) is None


@given(limits, st.lists(st.tuples(pauses, sizes), max_size=20))
def test_a_full_limit_comes_back_in_the_time_that_the_headers_tell(
    enforced: Limits, asked: list[tuple[float, int]]
) -> None:
    allowance = Allowance(enforced, 0.0)
    fresh = allowance.standings(0, 0.0)
    now = 0.0
    for pause, tokens in asked:
        now += pause
        allowance.admit(tokens, now)
    told = allowance.standings(0, now)
    later = allowance.standings(0, now + max(one.reset for one in told.values()) + 1e-6)
    for what, standing in told.items():
        assert 0 <= standing.remaining <= standing.limit
        assert later[what].remaining >= fresh[what].remaining - 1
        assert later[what].reset == pytest.approx(0, abs=1e-6)


@given(limits, st.lists(st.tuples(pauses, sizes), min_size=1, max_size=20))
def test_what_remains_is_exactly_what_can_be_had(
    enforced: Limits, asked: list[tuple[float, int]]
) -> None:
    allowance = Allowance(enforced, 0.0)
    now = 0.0
    for pause, tokens in asked:
        now += pause
        allowance.admit(tokens, now)
    standings = allowance.standings(0, now)
    tokens = standings["tokens"].remaining
    if tokens and standings["requests"].remaining:
        assert allowance.admit(tokens, now) is None


@given(tokens_per_minute, st.lists(st.tuples(sizes, sizes), max_size=20))
def test_what_was_not_used_is_given_back_and_what_was_used_beyond_is_owed(
    limit: int, asked: list[tuple[int, int]]
) -> None:
    allowance = Allowance(Limits(None, limit), 0.0)
    left = limit
    for reserved, used in asked:
        if allowance.admit(reserved, 0.0) is None:
            allowance.settle(reserved, used, 0.0)
            left = min(limit, left - used)
    assert allowance.standings(0, 0.0)["tokens"].remaining == max(0, left)


def test_an_empty_bucket_fills_steadily() -> None:
    allowance = Allowance(Limits(60, None), 0.0)
    assert [allowance.admit(1, 0.0) for _ in range(60)] == [None] * 60
    assert allowance.admit(1, 0.0) is not None
    assert allowance.admit(1, 1.0) is None
    assert allowance.admit(1, 1.0) is not None


def test_a_short_window_spreads_a_minutes_requests() -> None:
    allowance = Allowance(Limits(600, None, window_seconds=1.0), 0.0)
    assert sum(allowance.admit(1, 0.0) is None for _ in range(600)) == 10
    assert sum(allowance.admit(1, 1.0) is None for _ in range(600)) == 10


def test_a_request_that_is_refused_counts_too() -> None:
    allowance = Allowance(Limits(60, None), 0.0)
    for _ in range(60):
        allowance.admit(1, 0.0)
    assert allowance.admit(1, 0.9) is not None
    assert allowance.admit(1, 1.0) is not None
    assert allowance.admit(1, 2.0) is None


def test_a_request_larger_than_a_window_waits_for_a_full_one_and_owes_the_rest() -> None:
    allowance = Allowance(Limits(None, 6_000, window_seconds=1.0), 0.0)
    assert allowance.admit(500, 0.0) is None
    refusal = allowance.admit(1, 0.0)
    assert refusal is not None
    assert refusal.wait == pytest.approx(4.01)


def test_a_request_over_the_whole_limit_need_not_wait() -> None:
    refusal = Allowance(Limits(None, 1_000), 0.0).admit(1_001, 0.0)
    assert refusal is not None
    assert (refusal.reason, refusal.wait) == ("too_large", None)
    error = refused(refusal, "gpt-4o")
    assert error.message.startswith("Request too large for gpt-4o in organization reviewstream on")
    assert not error.headers


def test_a_refusal_says_how_things_stand_as_the_api_does() -> None:
    allowance = Allowance(Limits(None, 30_000), 0.0)
    allowance.admit(14_567, 0.0)
    refusal = allowance.admit(24_754, 0.0)
    assert refusal is not None
    error = refused(refusal, "gpt-4o")
    assert error.message == (
        "Rate limit reached for gpt-4o in organization reviewstream on tokens per min (TPM): Limit"
        " 30000, Used 14567, Requested 24754. Please try again in 18.642s. Visit"
        " https://platform.openai.com/account/rate-limits to learn more."
    )
    assert error.headers == {"retry-after": "19", "retry-after-ms": "18642"}
    assert (error.status, error.type, error.code) == (429, "tokens", "rate_limit_exceeded")


@given(st.lists(st.tuples(pauses, sizes), max_size=20))
def test_usual_limits_are_told_of_each_request_alone_and_nothing_is_refused(
    asked: list[tuple[float, int]],
) -> None:
    allowance = Allowance(Limits(), 0.0, tells_usual=True)
    now = 0.0
    for pause, tokens in asked:
        now += pause
        assert allowance.admit(tokens, now) is None
        told = headers(allowance.standings(tokens, now))
        assert told["x-ratelimit-remaining-requests"] == "9999"
        assert told["x-ratelimit-remaining-tokens"] == str(2_000_000 - tokens)


@pytest.mark.parametrize(
    ("limits", "told"),
    [
        (Limits(), set()),
        (Limits(60, None), {"requests"}),
        (Limits(None, 600), {"tokens"}),
        (Limits(60, 600), {"requests", "tokens"}),
    ],
)
def test_only_what_is_enforced_is_told(limits: Limits, told: set[str]) -> None:
    assert Allowance(limits, 0.0).standings(5, 0.0).keys() == told


def test_the_requests_of_a_day_are_told_where_a_dialect_tells_those() -> None:
    allowance = Allowance(Limits(10, 6_000), 0.0)
    allowance.admit(100, 0.0)
    allowance.admit(100, 0.0)
    told = headers(
        allowance.standings(100, 0.0), LimitHeaders(requests_minutes=1_440), allowance.admitted
    )
    assert told["x-ratelimit-limit-requests"] == "14400"
    assert told["x-ratelimit-remaining-requests"] == "14398"
    assert told["x-ratelimit-reset-requests"] == "12s"
    assert told["x-ratelimit-limit-tokens"] == "6000"


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (0, "0s"),
        (0.0001, "1ms"),
        (0.006, "6ms"),
        (0.9991, "1s"),
        (1, "1s"),
        (18.642, "18.642s"),
        (59.9999, "1m0s"),
        (360, "6m0s"),
        (90.5, "1m30.5s"),
        (3601, "1h0m1s"),
    ],
)
def test_a_time_is_written_as_the_api_writes_it(seconds: float, written: str) -> None:
    assert duration(seconds) == written


@given(st.floats(0, 1e5))
def test_a_time_is_never_told_too_short(seconds: float) -> None:
    number = duration(seconds)
    units = {"h": 3600.0, "m": 60.0, "s": 1.0}
    if number.endswith("ms"):
        told = float(number[:-2]) / 1000
    else:
        told, digits = 0.0, ""
        for sign in number:
            digits = digits + sign if sign not in units else digits
            if sign in units:
                told, digits = told + float(digits) * units[sign], ""
    assert seconds - 1e-6 <= told <= seconds + 0.0011
    assert math.isfinite(told)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"requests_per_minute": 0}, "requests_per_minute is 0"),
        ({"tokens_per_minute": -1}, "tokens_per_minute is -1"),
        ({"tokens_per_minute": MAX_LIMIT + 1}, "tokens_per_minute is"),
        ({"requests_per_minute": True}, "requests_per_minute is True"),
        ({"requests_per_minute": "3"}, "requests_per_minute is '3'"),
        ({"window_seconds": 0}, "window_seconds is 0"),
        ({"window_seconds": 61}, "window_seconds is 61"),
        ({"window_seconds": None}, "window_seconds is None"),
        ({"request_per_minute": 3}, "there is no limit 'request_per_minute'"),
    ],
)
def test_limits_that_make_no_sense_are_refused(fields: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        limits_of(fields)
