"""The shared rate: never more than is allowed, never much less, and nobody waits for ever."""

from collections.abc import Sequence
from heapq import heapify, heappop, heappush
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec import structs

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.pace import (
    BURST,
    CALM,
    CUT,
    GUESS,
    HEARING,
    HIGHEST,
    LISTEN,
    LONGEST_PAUSE,
    LOWEST,
    LOWEST_GUESS,
    MARGIN,
    MINUTE,
    NEAR,
    RECOVERY,
    SEEN,
    STALE,
    STEP_BACK,
    Pace,
    Ticket,
    advanced,
    called,
    gain,
    given_back,
    learned,
    queued,
    refused,
    spacing,
    time_for,
    wait_for,
)

NOW = 1_800_000_000.0
FREE = RateLimits()


def per_minute(requests: float | None = None, tokens: float | None = None) -> RateLimits:
    return RateLimits(requests_per_minute=requests, tokens_per_minute=tokens)


def fresh(own: RateLimits, now: float = NOW) -> Pace:
    """Return the pace of an endpoint that has answered, without a word of limits."""
    return learned(advanced(Pace(), own, now), own, FREE)


def take(pace: Pace, own: RateLimits, tokens: float = 0) -> tuple[Pace, float]:
    pace, place = queued(pace, own, tokens)
    return called(pace, own, place)


def take_many(pace: Pace, own: RateLimits, count: int, tokens: float = 0) -> list[float]:
    waits = []
    for _ in range(count):
        pace, wait = take(pace, own, tokens)
        waits.append(wait)
    return waits


def turns(own: RateLimits, arrivals: Sequence[tuple[float, int]]) -> list[tuple[float, int]]:
    """Return (time, tokens) of every request that arrives at a time and waits as it is told."""
    pace, found = Pace(), []
    for at, tokens in arrivals:
        pace = advanced(pace, own, NOW + at)
        pace, wait = take(pace, own, tokens)
        found.append((at + wait, tokens))
    return found


def most_in_a_minute(turns: Sequence[tuple[float, int]]) -> tuple[int, int]:
    """Return the most requests, and the most tokens, of any minute."""
    windows = [[tokens for other, tokens in turns if at <= other < at + MINUTE] for at, _ in turns]
    return max(map(len, windows), default=0), max(map(sum, windows), default=0)


@given(
    limit=st.integers(1, 400),
    gaps=st.lists(st.sampled_from([0.0, 0.0, 0.0, 0.1, 1.0, 30.0, 90.0]), max_size=120),
)
@example(limit=1, gaps=[0.0] * 5)
@example(limit=400, gaps=[90.0, *[0.0] * 500])
def test_no_minute_has_more_requests_than_the_limit(limit: int, gaps: list[float]) -> None:
    arrivals = [(sum(gaps[:number]), 0) for number in range(1, len(gaps) + 1)]
    requests, _ = most_in_a_minute(turns(per_minute(limit), arrivals))
    assert requests <= limit


@given(
    limit=st.integers(100, 100_000),
    sizes=st.lists(st.integers(1, 90), max_size=80),
    gap=st.sampled_from([0.0, 0.5, 5.0]),
)
def test_no_minute_has_more_tokens_than_the_margin_and_one_request(
    limit: int, sizes: list[int], gap: float
) -> None:
    arrivals = [(gap * number, size) for number, size in enumerate(sizes)]
    _, tokens = most_in_a_minute(turns(per_minute(None, limit), arrivals))
    burst = max(MARGIN * limit / MINUTE * BURST, 1.0)
    assert tokens <= MARGIN * limit + burst + max(sizes, default=0)


@pytest.mark.parametrize("limit", [60, 600, 60_000])
def test_those_who_always_want_more_get_what_the_margin_leaves(limit: int) -> None:
    waits = take_many(fresh(per_minute(limit)), per_minute(limit), 2 * limit)
    at_once = max(1, int(MARGIN * limit / MINUTE * BURST))
    assert sum(wait == 0 for wait in waits) == pytest.approx(at_once, rel=0.01)
    assert waits[-1] == pytest.approx((2 * limit - at_once) / (MARGIN * limit / MINUTE), rel=0.01)


def test_without_a_limit_nobody_waits() -> None:
    assert set(take_many(fresh(FREE), FREE, 10_000, tokens=10**9)) == {0.0}
    assert spacing(fresh(FREE), FREE) == 0.0


def test_turns_are_spaced() -> None:
    own = per_minute(60)
    waits = take_many(fresh(own), own, 4)
    gap = MINUTE / (60 * MARGIN)
    assert waits == [0.0, *(pytest.approx(gap * number) for number in (1, 2, 3))]
    assert spacing(fresh(own), own) == pytest.approx(gap)


@given(tokens=st.integers(1, 10**7), limit=st.integers(1, 10**6))
def test_a_request_larger_than_a_minute_has_its_turn(tokens: int, limit: int) -> None:
    own = per_minute(None, limit)
    pace, place = queued(fresh(own), own, tokens)
    wait = wait_for(pace, own, place)
    assert wait <= MINUTE * tokens / (limit * MARGIN) + NEAR
    assert wait_for(advanced(pace, own, NOW + wait), own, place) == 0.0


def test_tokens_and_requests_hold_back_each_for_itself() -> None:
    assert take_many(fresh(per_minute(60, 10**9)), per_minute(60, 10**9), 2, 1)[1] > 1
    assert take_many(fresh(per_minute(10**9, 60)), per_minute(10**9, 60), 3, 1)[2] > 1


@pytest.mark.parametrize(
    ("own", "told", "in_force"),
    [
        (per_minute(60), FREE, 60),
        (per_minute(60), per_minute(120), 60),
        (per_minute(120), per_minute(60), 60),
        (FREE, per_minute(60), 60),
    ],
)
def test_the_smaller_limit_is_kept(own: RateLimits, told: RateLimits, in_force: float) -> None:
    pace = learned(fresh(own), own, told)
    assert spacing(pace, own) == pytest.approx(MINUTE / (in_force * MARGIN))


def test_what_is_given_back_is_had_by_those_who_wait() -> None:
    own = per_minute(None, 600)
    pace, _ = take(fresh(own), own, 600)
    pace, place = queued(pace, own, 60)
    before = wait_for(pace, own, place)
    after = wait_for(given_back(pace, own, requests=0, tokens=300), own, place)
    assert before - after == pytest.approx(300 / (600 * MARGIN / MINUTE))
    more = wait_for(given_back(pace, own, requests=0, tokens=-300), own, place)
    assert more - before == pytest.approx(300 / (600 * MARGIN / MINUTE))


def test_with_one_request_in_flight_the_next_one_has_what_it_gave_back() -> None:
    own, rate = per_minute(None, 60_000), 1_000 * MARGIN
    pace, wait = take(fresh(own), own, 3_000)
    now = NOW + wait + 2  # seconds until the answer
    pace = given_back(advanced(pace, own, now), own, requests=0, tokens=2_000)
    pace = advanced(pace, own, now + 1)
    pace, wait = take(pace, own, 3_000)
    assert wait == pytest.approx((3_000 - 2_000) / rate)
    assert take(pace, own, 100)[1] == pytest.approx(wait + 100 / rate), "and nobody has it again"


def test_a_request_that_was_not_made_leaves_its_turn_to_the_next() -> None:
    own = per_minute(60)
    pace, _ = take(fresh(own), own)
    pace = given_back(pace, own, requests=1, tokens=0)
    assert take(pace, own)[1] == 0.0


def test_no_more_can_be_given_back_than_may_be_asked_at_once() -> None:
    own = per_minute(60, 600)
    pace = given_back(fresh(own), own, requests=50, tokens=10**6)
    assert take_many(pace, own, 3, 1)[:2] == [0.0, pytest.approx(MINUTE / (60 * MARGIN))]
    own = per_minute(None, 600)
    pace, _ = take(given_back(fresh(own), own, requests=0, tokens=10**6), own, 1)
    assert take(pace, own, 60)[1] > 5


def test_a_refusal_cuts_the_rate_and_others_at_the_same_time_do_not() -> None:
    own = per_minute(600)
    once = refused(fresh(own), own, 0)
    assert spacing(once, own) == pytest.approx(spacing(fresh(own), own) / CUT)
    assert refused(once, own, 0) == once
    later = advanced(once, own, NOW + CALM)
    assert refused(later, own, 0).factor == pytest.approx(later.factor * CUT)


def test_the_rate_never_falls_below_the_lowest_and_is_back_within_a_minute() -> None:
    own, pace = per_minute(600), fresh(per_minute(600))
    for second in range(60):
        pace = refused(advanced(pace, own, NOW + second), own, 0)
    assert pace.factor == pytest.approx(LOWEST, abs=1 / RECOVERY)
    pace = refused(pace, own, 0)
    assert advanced(pace, own, NOW + 60 + RECOVERY).factor == 1.0


def test_without_a_limit_half_of_what_was_refused_is_tried_and_then_more_and_more() -> None:
    pace = fresh(FREE, NOW)
    for number in range(1, 200):  # ten in a second
        pace, _ = take(advanced(pace, FREE, NOW + number / 10), FREE)
    pace = refused(pace, FREE, 0)
    assert spacing(pace, FREE) == pytest.approx(1 / (10 * GUESS), rel=0.15)
    grown = advanced(pace, FREE, NOW + 20 + 3 * RECOVERY)
    assert spacing(grown, FREE) == pytest.approx(spacing(pace, FREE) * GUESS / (GUESS + 3), rel=0.1)
    assert refused(grown, FREE, 0).factor == pytest.approx(grown.factor * CUT)


def test_a_guess_is_never_so_low_that_nobody_gets_anywhere() -> None:
    assert refused(fresh(FREE), FREE, 0).guess == LOWEST_GUESS


def test_what_was_seen_long_ago_is_no_part_of_a_guess() -> None:
    pace = fresh(FREE)
    for _ in range(1000):
        pace, _ = take(pace, FREE)
    assert refused(advanced(pace, FREE, NOW + SEEN), FREE, 0).guess == pytest.approx(1000 / SEEN)
    assert refused(advanced(pace, FREE, NOW + 2 * SEEN), FREE, 0).guess == LOWEST_GUESS


def test_once_the_endpoint_says_its_limit_what_was_asked_before_is_a_debt() -> None:
    pace = fresh(FREE)
    for _ in range(32):
        pace, _ = take(pace, FREE, tokens=100)
    told = per_minute(600, 600_000)
    pace = learned(pace, FREE, told)
    assert take(pace, FREE, 100)[1] == pytest.approx(33 / (600 * MARGIN / MINUTE))
    assert learned(pace, FREE, told) == pace
    assert learned(pace, FREE, FREE) == pace


def first_turns(
    count: int, answers: Sequence[RateLimits | None], latency: float, until: float
) -> list[float]:
    """Return when each of some, who all come at once, asks an endpoint that nobody has heard of.

    Args:
        count: How many come.
        answers: Of the endpoint, to one request after the other: what it tells of limits, or None
            for a failure. There is never an answer to those beyond.
        latency: Seconds until each answer.
        until: Seconds after which nobody looks on.
    """
    pace = Pace()
    found: list[float] = []
    places: dict[int, Ticket] = {}
    due = [(0.0, number, -1) for number in range(count)]
    heapify(due)
    while due and due[0][0] <= until:
        at, number, answer = heappop(due)
        pace = advanced(pace, FREE, NOW + at)
        if answer >= 0:
            told = answers[answer]
            pace = pace if told is None else learned(pace, FREE, told)
            pace = given_back(pace, FREE, requests=0, tokens=0)
            continue
        if number not in places:
            pace, places[number] = queued(pace, FREE, 1)
        pace, wait = called(pace, FREE, places[number])
        if wait > 0:
            heappush(due, (at + wait, number, -1))
            continue
        if len(found) < len(answers):
            heappush(due, (at + latency, number, len(found)))
        found.append(at)
    return found


@given(
    count=st.integers(1, 60),
    failures=st.integers(0, 4),
    latency=st.floats(0.01, HEARING),
    limit=st.sampled_from([3, 60, 600]),
)
def test_until_the_endpoint_first_answers_one_at_a_time_asks_and_then_nobody_rushes(
    count: int, failures: int, latency: float, limit: int
) -> None:
    answers = [*[None] * failures, *[per_minute(limit)] * count]
    asked = first_turns(count, answers, latency, 2 * MINUTE)
    gaps = [later - sooner for sooner, later in pairwise(asked[: failures + 1])]
    assert all(latency - 1e-6 <= gap <= latency + LISTEN + 1e-6 for gap in gaps)
    heard = failures * (latency + LISTEN) + latency
    late = [at for at in asked if at > heard]
    assert most_in_a_minute([(at, 0) for at in late])[0] <= limit
    turns = int((2 * MINUTE - heard - 1) * limit * MARGIN / MINUTE)
    assert len(asked) >= min(count, turns), "those who waited have their turns"


def test_while_a_first_answer_takes_long_few_ask_and_then_nobody_rushes() -> None:
    asked = first_turns(60, [per_minute(600)] * 60, 3 * SEEN, MINUTE)
    heard = [at for at in asked if at > 3 * SEEN]
    assert len(asked) - len(heard) == 3 * SEEN / HEARING
    assert all(later - sooner > 0.09 for sooner, later in pairwise(heard))
    assert len(asked) == 60


def test_once_the_endpoint_has_answered_without_a_limit_nobody_waits_any_more() -> None:
    asked = first_turns(40, [FREE] * 40, 1.0, MINUTE)
    assert asked[0] == 0.0
    assert len(asked) == 40
    assert 1.0 <= asked[1] <= asked[-1] <= 1.0 + LISTEN


def test_whoever_dies_before_the_first_answer_holds_nobody_for_long() -> None:
    assert first_turns(3, [], 1.0, MINUTE) == [0.0, HEARING, 2 * HEARING]


def test_of_those_who_waited_for_a_first_answer_and_are_gone_nothing_is_left() -> None:
    pace = advanced(Pace(), FREE, NOW)
    for _ in range(30):
        pace, _ = queued(pace, FREE, 1)
    told = per_minute(3)
    gone = learned(advanced(pace, FREE, NOW + HEARING + 1), FREE, told)
    assert take(gone, FREE)[1] <= MINUTE / (3 * MARGIN)
    waiting = learned(advanced(pace, FREE, NOW + HEARING - 1), FREE, told)
    assert take(waiting, FREE)[1] > 9 * MINUTE


def test_whoever_gives_his_turn_back_does_not_end_the_wait_for_the_first_answer() -> None:
    pace, _ = take(advanced(Pace(), FREE, NOW), FREE)
    assert take(given_back(pace, FREE, requests=1, tokens=0), FREE)[1] == LISTEN
    assert take(given_back(pace, FREE, requests=0, tokens=0), FREE)[1] == 0.0


@pytest.mark.parametrize("own", [per_minute(600), per_minute(None, 10**6)])
def test_where_a_limit_is_known_nobody_waits_for_the_first_answer(own: RateLimits) -> None:
    pace = advanced(Pace(), own, NOW)
    assert take_many(pace, own, 2, 1) == [0.0, 0.0]


def test_an_unknown_endpoint_that_refuses_is_left_alone_as_long_as_it_wants() -> None:
    pace, place = queued(advanced(Pace(), FREE, NOW), FREE, 1)
    pace = refused(learned(pace, FREE, FREE), FREE, 7.0)
    assert called(pace, FREE, place)[1] >= 7.0


@given(wait=st.floats(0.01, 100), others=st.integers(1, 40))
def test_a_pause_holds_for_everybody_and_its_end_is_no_rush(wait: float, others: int) -> None:
    own = per_minute(600)
    pace, early = queued(fresh(own), own, 0)
    pace = refused(pace, own, wait)
    waits = take_many(pace, own, others)
    assert wait_for(pace, own, early) == wait
    assert min(waits) >= wait
    assert waits == sorted(waits)
    assert all(later - sooner > NEAR for sooner, later in pairwise(waits[1:]))
    ended = advanced(pace, own, NOW + wait)
    assert wait_for(ended, own, early) == 0.0


def test_a_pause_is_never_shortened_by_another_and_never_endless() -> None:
    own = per_minute(600)
    pace = refused(refused(fresh(own), own, 20), own, 5)
    assert pace.pause == 20
    assert refused(pace, own, 1e18).pause == LONGEST_PAUSE
    assert refused(fresh(own), own, -5).pause == 0


def test_nothing_grows_while_nobody_may_ask() -> None:
    own = per_minute(600)
    pace = refused(fresh(own), own, 30)
    assert advanced(pace, own, NOW + 30).factor == pace.factor
    assert advanced(pace, own, NOW + 30).requests == pace.requests


@given(steps=st.lists(st.floats(-1e6, 1e6), max_size=8))
@example(steps=[-STEP_BACK / 2])
@example(steps=[-3600.0])
def test_a_clock_that_is_set_back_gives_nothing_away_and_holds_nobody(steps: list[float]) -> None:
    own, now = per_minute(60), NOW
    pace, place = queued(fresh(own), own, 0)
    pace, place = queued(pace, own, 0)
    for step in steps:
        now += min(step, 0.0)
        pace = advanced(pace, own, now)
    assert wait_for(pace, own, place) == pytest.approx(MINUTE / (60 * MARGIN))
    assert wait_for(advanced(pace, own, now + 3.1), own, place) == 0.0


def test_a_clock_that_is_a_little_behind_is_no_source_of_turns() -> None:
    own = per_minute(600)
    pace, place = queued(fresh(own), own, 0)
    for _ in range(20):
        pace, place = queued(pace, own, 0)
    for _ in range(1000):
        pace = advanced(advanced(pace, own, NOW + 0.005), own, NOW)
    assert wait_for(pace, own, place) == pytest.approx(1.8, rel=0.2)


def test_cuts_and_guesses_of_another_day_are_forgotten_and_limits_are_not() -> None:
    own = per_minute(600)
    pace = refused(fresh(own), own, LONGEST_PAUSE)
    assert advanced(pace, own, NOW + STALE + 1).factor == 1.0
    assert advanced(refused(fresh(FREE), FREE, 0), FREE, NOW + STALE + 1).guess == 0.0
    known = advanced(learned(fresh(FREE), FREE, per_minute(60)), FREE, NOW + STALE + 1)
    assert spacing(known, FREE) > 1


def test_whoever_kept_a_place_when_all_was_lost_goes_on() -> None:
    own = per_minute(60)
    assert wait_for(fresh(own), own, Ticket(requests=500.0, tokens=1e9)) == 0.0


def test_a_pause_holds_for_places_long_released_too() -> None:
    own = per_minute(6_000, 6_000_000)
    pace, place = queued(fresh(own), own, 1)
    assert wait_for(refused(pace, own, 5.0), own, place) == 5.0


def test_a_wait_that_is_too_short_to_matter_is_none() -> None:
    own = per_minute(600)
    pace, place = queued(fresh(own), own, 0)
    assert wait_for(structs.replace(pace, pause=NEAR), own, place) == 0.0
    assert wait_for(structs.replace(pace, pause=2 * NEAR), own, place) == 2 * NEAR


def test_what_may_be_asked_at_once_falls_with_the_rate() -> None:
    own = per_minute(6_000)
    waits = take_many(refused(fresh(own), own, 0), own, 50)
    at_once = 6_000 * MARGIN / MINUTE * CUT * BURST
    assert sum(wait == 0 for wait in waits) == pytest.approx(at_once, abs=1)
    own = per_minute(None, 6_000)
    waits = take_many(refused(fresh(own), own, 0), own, 50, tokens=1)
    assert sum(wait == 0 for wait in waits) == pytest.approx(at_once, abs=1)


def test_the_edges_of_what_is_forgotten() -> None:
    own = per_minute(600)
    cut = refused(fresh(own), own, LONGEST_PAUSE)
    assert advanced(cut, own, NOW + STALE).factor == cut.factor
    guess = refused(fresh(FREE), FREE, LONGEST_PAUSE)
    assert advanced(guess, FREE, NOW + STALE).guess == guess.guess
    assert advanced(guess, FREE, NOW + STALE + 1).factor == 1.0
    behind = advanced(fresh(own), own, NOW - STEP_BACK)
    assert behind.at == NOW
    assert advanced(fresh(own), own, NOW - STEP_BACK - 1).at == NOW - STEP_BACK - 1
    waiting, _ = queued(advanced(Pace(), FREE, NOW), FREE, 7)
    assert advanced(waiting, FREE, NOW + HEARING).requests.released == 0
    gone = advanced(waiting, FREE, NOW + HEARING + 1)
    assert (gone.requests.released, gone.tokens.released) == (1, 7)


def test_what_was_asked_is_counted_by_windows() -> None:
    pace, _ = take(fresh(FREE), FREE, tokens=7)
    for passed, recent, before in ((SEEN - 1, 1, 0), (SEEN, 0, 1), (2 * SEEN, 0, 0)):
        later = advanced(pace, FREE, NOW + passed)
        assert (later.requests.recent, later.requests.before) == (recent, before)
        assert (later.tokens.recent, later.tokens.before) == (7 * recent, 7 * before)
        assert later.window_before == (SEEN if before else 0)


def test_what_was_refused_at_once_is_what_was_asked_in_a_second() -> None:
    pace = fresh(FREE)
    for _ in range(50):
        pace, _ = take(pace, FREE)
    pace = refused(pace, FREE, 0)
    assert (pace.guess, pace.factor, pace.calm) == (50, GUESS, CALM)
    assert refused(pace, FREE, 0) == pace
    waits = take_many(pace, FREE, 20)
    assert waits[-1] < 1.0, "what was asked without a limit is no debt of a guess"


def test_a_debt_is_counted_in_tokens_too_and_over_two_windows() -> None:
    pace = fresh(FREE)
    for second in range(15):
        pace, _ = take(advanced(pace, FREE, NOW + second), FREE, tokens=100)
    by_tokens = learned(pace, FREE, per_minute(None, 60_000))
    assert by_tokens.tokens_limit == 60_000
    assert take(by_tokens, FREE, 100)[1] == pytest.approx(1_600 / (1_000 * MARGIN))
    by_requests = learned(pace, FREE, per_minute(60))
    assert take(by_requests, FREE, 100)[1] == pytest.approx(16 / MARGIN)


@given(
    factor=st.floats(LOWEST, 1.0),
    seconds=st.floats(0.001, 1e4),
    cap=st.sampled_from([1.0, HIGHEST]),
)
@example(factor=1.0, seconds=1e6, cap=HIGHEST)
def test_time_is_the_inverse_of_gain(factor: float, seconds: float, cap: float) -> None:
    assert time_for(gain(factor, seconds, cap), factor, cap) == pytest.approx(seconds, rel=1e-6)


@given(factor=st.floats(LOWEST, 1.0), parts=st.lists(st.floats(0, 50), min_size=1, max_size=10))
def test_how_often_one_looks_changes_nothing(factor: float, parts: list[float]) -> None:
    own = per_minute(600)
    debt = structs.replace(fresh(own), factor=factor)
    debt, place = queued(given_back(debt, own, requests=-1e5, tokens=0), own, 0)
    at_once, bit_by_bit, now = advanced(debt, own, NOW + sum(parts)), debt, NOW
    for part in parts:
        now += part
        bit_by_bit = advanced(bit_by_bit, own, now)
    assert wait_for(bit_by_bit, own, place) == pytest.approx(
        wait_for(at_once, own, place), rel=1e-6
    )


@settings(max_examples=30)
@given(cuts=st.lists(st.integers(0, 100), max_size=10))
def test_whoever_waits_as_he_is_told_has_his_turn_though_the_rate_falls(cuts: list[int]) -> None:
    own = per_minute(60)
    pace, place = queued(fresh(own), own, 0)
    for _ in range(20):
        pace, place = queued(pace, own, 0)
    now, looks = NOW, 0
    while (wait := wait_for(pace, own, place)) > 0:
        now, looks = now + wait, looks + 1
        assert looks <= 2 + len(cuts), "whoever waits must look again and again"
        for _ in range(len([cut for cut in cuts if cut == looks])):
            pace = refused(pace, own, 1.0)
        pace = advanced(pace, own, now)
    assert now - NOW < 20 * MINUTE
