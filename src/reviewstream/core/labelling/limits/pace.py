"""Pace of one model: the arithmetic of a rate shared by many processes.

Each request takes a place in one queue and gets the wait until its turn. The rate is multiplied by
a factor below 1 when the endpoint refuses a request, and recovers over time. Times are in seconds;
the state holds durations instead of timestamps where possible, so that a clock that is set back
does no harm.

An endpoint with unknown limits gets one request at a time until it has answered, because its answer
may contain its limits.

The Lua script of `adapters.redis` implements the same arithmetic; a test compares the two.
"""

from math import sqrt
from typing import Final

from msgspec import Struct, structs

from reviewstream.core.labelling.chat import RateLimits

MINUTE: Final = 60.0  # seconds
MARGIN: Final = 0.97  # share of a limit in use, to stay within a strict minute window
BURST: Final = 0.25  # seconds of the rate allowed at once; at least one request
CUT: Final = 0.7  # factor applied to the rate by a refusal
CALM: Final = 1.0  # seconds after a cut in which refusals are ignored, because they come in bursts
RECOVERY: Final = 60.0  # seconds in which the factor grows by 1
LOWEST: Final = 1 / 32  # lower bound of the factor
HIGHEST: Final = 1_000.0  # upper bound of the factor for an estimated rate; practically unlimited
GUESS: Final = 0.5  # share of the recent rate after the first refusal, if no limit is known
SEEN: Final = 10.0  # minimum seconds over which that rate is measured
LOWEST_GUESS: Final = 0.1  # requests per second
LONGEST_PAUSE: Final = 3600.0  # seconds
STALE: Final = 600.0  # seconds without activity after which estimates and cuts are discarded
STEP_BACK: Final = 1.0  # seconds; a clock set back by less than this is waited for
NEAR: Final = 0.001  # seconds; shorter waits are skipped
HEARING: Final = 10.0  # seconds to wait for the first answer before another request is sent
LISTEN: Final = 0.25  # seconds between two polls for the first answer


class Queue(Struct, frozen=True, kw_only=True):
    """Counters of issued and released places, in requests or tokens.

    Attributes:
        issued: Total issued.
        released: Total released; exceeds `issued` by at most a burst; lower if there is a debt.
        recent: Issued in the current window.
        before: Issued in the previous window.
    """

    issued: float = 0.0
    released: float = 0.0
    recent: float = 0.0
    before: float = 0.0


class Pace(Struct, frozen=True, kw_only=True):
    """The pace of one model at the time of its last use.

    Attributes:
        at: Seconds since 1970.
        factor: Factor applied to the limit, or to the estimated rate.
        pause: Seconds in which no request may be sent.
        calm: Seconds in which refusals are ignored.
        guess: Estimated requests per second after a refusal without known limits; 0 before.
        requests_limit: Reported limit per minute; 0 if not reported.
        tokens_limit: Reported limit of tokens per minute; 0 if not reported.
        window: Seconds since the start of the window of `Queue.recent`.
        window_before: Duration of the previous window in seconds; 0 if there was none.
        is_heard: Whether the endpoint has answered, with or without limits.
        hearing: Seconds to wait for the first answer; 0 if no request was sent.
        returned: Tokens that one request gave back since a place was last issued; the next request
            may use them at once.
    """

    at: float = 0.0
    factor: float = 1.0
    pause: float = 0.0
    calm: float = 0.0
    guess: float = 0.0
    requests_limit: float = 0.0
    tokens_limit: float = 0.0
    window: float = 0.0
    window_before: float = 0.0
    requests: Queue = Queue()
    tokens: Queue = Queue()
    is_heard: bool = False
    hearing: float = 0.0
    returned: float = 0.0


class Ticket(Struct, frozen=True, kw_only=True):
    """A place in the queue: its turn comes when this much is released."""

    requests: float
    tokens: float


class Rates(Struct, frozen=True, kw_only=True):
    """Rates to which the factor is applied.

    Attributes:
        requests: Requests per second; 0: no limit.
        tokens: Tokens per second; 0: no limit.
        cap: Upper bound of the factor.
    """

    requests: float
    tokens: float
    cap: float


def rates(pace: Pace, own: RateLimits) -> Rates:
    """Return the rates in force: the smaller of our and the endpoint's limit, or an estimate."""
    requests = _smaller(own.requests_per_minute or 0.0, pace.requests_limit) * MARGIN / MINUTE
    tokens = _smaller(own.tokens_per_minute or 0.0, pace.tokens_limit) * MARGIN / MINUTE
    if requests == 0 and tokens == 0:
        return Rates(requests=pace.guess, tokens=0.0, cap=HIGHEST)
    return Rates(requests=requests, tokens=tokens, cap=1.0)


def is_unknown(pace: Pace, own: RateLimits) -> bool:
    """Say whether no limit is known and the endpoint may still report one."""
    return not pace.is_heard and _is_free(rates(pace, own))


def advanced(pace: Pace, own: RateLimits, now: float) -> Pace:
    """Return the pace at a later time: release places, and discard what is stale."""
    passed = max(now - pace.at, 0.0)
    is_behind = pace.at - STEP_BACK <= now < pace.at
    if passed > STALE:
        pace = structs.replace(pace, guess=0.0, factor=1.0)
    if passed > HEARING and is_unknown(pace, own):  # every waiting request would have polled by now
        pace = structs.replace(pace, requests=_all(pace.requests), tokens=_all(pace.tokens))
    rate = rates(pace, own)
    active = max(passed - pace.pause, 0.0)
    factor = min(pace.factor, rate.cap)
    grown = gain(factor, active, rate.cap)
    after = structs.replace(
        pace,
        at=pace.at if is_behind else now,
        factor=min(factor + active / RECOVERY, rate.cap),
        pause=max(pace.pause - passed, 0.0),
        calm=max(pace.calm - passed, 0.0),
        hearing=max(pace.hearing - passed, 0.0),
        requests=_add(pace.requests, rate.requests * grown),
        tokens=_add(pace.tokens, rate.tokens * grown),
    )
    return capped(_turned(after, passed), own)


def gain(factor: float, seconds: float, cap: float) -> float:
    """Return the equivalent in seconds at the full rate, while the factor grows to `cap`."""
    growing = min((cap - factor) * RECOVERY, seconds)
    return factor * growing + growing * growing / (2 * RECOVERY) + cap * (seconds - growing)


def time_for(worth: float, factor: float, cap: float) -> float:
    """Return the seconds after which `gain` reaches a value."""
    growing = (cap - factor) * RECOVERY
    most = factor * growing + growing * growing / (2 * RECOVERY)
    if worth > most:
        return growing + (worth - most) / cap
    return 2 * worth / (factor + sqrt(factor * factor + 2 * worth / RECOVERY))


def capped(pace: Pace, own: RateLimits) -> Pace:
    """Return the pace with releases limited to a burst; without limits all is released."""
    if is_unknown(pace, own):
        return pace
    rate = rates(pace, own)
    return structs.replace(
        pace,
        requests=_cap(pace.requests, rate.requests * pace.factor),
        tokens=_cap(pace.tokens, rate.tokens * pace.factor, pace.returned),
    )


def queued(pace: Pace, own: RateLimits, tokens: float) -> tuple[Pace, Ticket]:
    """Return the pace with one more request in the queue, and the place of it."""
    after = structs.replace(
        pace,
        requests=_issue(pace.requests, 1.0),
        tokens=_issue(pace.tokens, tokens),
        returned=0.0,
    )
    place = Ticket(requests=after.requests.issued, tokens=after.tokens.issued)
    return capped(after, own), place


def wait_for(pace: Pace, own: RateLimits, place: Ticket) -> float:
    """Return the estimated seconds until a place has its turn; 0: now.

    A place that this state never issued, because the shared state was lost, does not wait.
    """
    rate = rates(pace, own)
    worth = max(
        _worth(pace.requests, place.requests, rate.requests),
        _worth(pace.tokens, place.tokens, rate.tokens),
    )
    wait = pace.pause + (time_for(worth, pace.factor, rate.cap) if worth > 0 else 0.0)
    return wait if wait > NEAR else 0.0


def called(pace: Pace, own: RateLimits, place: Ticket) -> tuple[Pace, float]:
    """Return the pace, and the seconds until the turn (see `wait_for`) or until the next poll.

    With an unknown endpoint one caller may send, in no particular order, and the pace records it.
    """
    wait = wait_for(pace, own, place)
    if not is_unknown(pace, own):
        return pace, wait
    if pace.hearing > 0:
        return pace, max(wait, min(LISTEN, pace.hearing))
    return structs.replace(pace, hearing=HEARING), wait


def spacing(pace: Pace, own: RateLimits) -> float:
    """Return the seconds between two turns; 0 without limits."""
    rate = rates(pace, own)
    return 1 / (rate.requests * pace.factor) if rate.requests > 0 else 0.0


def given_back(pace: Pace, own: RateLimits, *, requests: float, tokens: float) -> Pace:
    """Return the pace after unused amounts are given back; negative amounts mean excess usage.

    If no request is given back, the request was sent, and the wait for the first answer ends.
    """
    after = structs.replace(
        pace,
        requests=_returned(pace.requests, requests),
        tokens=_returned(pace.tokens, tokens),
        hearing=pace.hearing if requests else 0.0,
        returned=max(pace.returned, tokens),
    )
    return capped(after, own)


def refused(pace: Pace, own: RateLimits, retry_after: float) -> Pace:
    """Return the pace after the endpoint refused a request for its rate."""
    pause = max(pace.pause, min(retry_after, LONGEST_PAUSE))
    pace = structs.replace(pace, pause=pause)
    if pace.calm > 0:
        return pace
    if _is_free(rates(pace, own)):
        seen = (pace.requests.recent + pace.requests.before) / max(
            pace.window + pace.window_before, 1.0
        )
        pace = structs.replace(pace, guess=max(seen, LOWEST_GUESS), factor=GUESS, calm=CALM)
    else:
        pace = structs.replace(pace, factor=max(pace.factor * CUT, LOWEST), calm=CALM)
    return capped(pace, own)


def learned(pace: Pace, own: RateLimits, told: RateLimits) -> Pace:
    """Return the pace with the endpoint's limits; requests sent without a limit become a debt.

    Call it for answers without limits, too: they also count as a first answer.
    """
    after = structs.replace(
        pace,
        is_heard=True,
        requests_limit=told.requests_per_minute or pace.requests_limit,
        tokens_limit=told.tokens_per_minute or pace.tokens_limit,
    )
    old, new = rates(pace, own), rates(after, own)
    after = structs.replace(after, factor=min(pace.factor, new.cap))
    if not is_unknown(pace, own):  # requests that wait for the first answer were not sent
        after = structs.replace(
            after,
            requests=_indebted(pace.requests, old.requests),
            tokens=_indebted(pace.tokens, old.tokens),
        )
    return capped(after, own)


def _is_free(rate: Rates) -> bool:
    return rate.requests == 0 and rate.tokens == 0


def _smaller(one: float, other: float) -> float:
    """Return the smaller limit; 0 means no limit."""
    return min(one, other) if one and other else one or other


def _add(queue: Queue, released: float) -> Queue:
    return structs.replace(queue, released=queue.released + released)


def _returned(queue: Queue, count: float) -> Queue:
    """Return the queue without amounts that were issued but not used; they cause no debt."""
    after = _add(queue, count)
    return structs.replace(after, recent=max(queue.recent - count, 0.0))


def _issue(queue: Queue, count: float) -> Queue:
    return structs.replace(queue, issued=queue.issued + count, recent=queue.recent + count)


def _all(queue: Queue) -> Queue:
    return structs.replace(queue, released=queue.issued)


def _cap(queue: Queue, rate: float, returned: float = 0.0) -> Queue:
    if rate == 0:
        return _all(queue)
    most = queue.issued + max(rate * BURST, returned, 1.0)
    return structs.replace(queue, released=min(queue.released, most))


def _worth(queue: Queue, place: float, rate: float) -> float:
    """Return the seconds at the full rate until a place has its turn."""
    if rate == 0 or place > queue.issued:
        return 0.0
    return (place - queue.released) / rate


def _indebted(queue: Queue, old: float) -> Queue:
    if old > 0:
        return queue
    return structs.replace(queue, released=queue.issued - queue.recent - queue.before)


def _turned(pace: Pace, passed: float) -> Pace:
    """Return the pace with its window advanced."""
    window = pace.window + passed
    if window < SEEN:
        return structs.replace(pace, window=window)
    is_over = window >= 2 * SEEN
    return structs.replace(
        pace,
        window=0.0,
        window_before=0.0 if is_over else window,
        requests=_next_window(pace.requests, is_over=is_over),
        tokens=_next_window(pace.tokens, is_over=is_over),
    )


def _next_window(queue: Queue, *, is_over: bool) -> Queue:
    return structs.replace(queue, before=0.0 if is_over else queue.recent, recent=0.0)
