"""How fast one model may be asked: the arithmetic of a rate that many processes share.

Everybody who asks takes a place in one queue and is told how long to wait for his turn. The rate
falls by a factor when the endpoint refuses, and grows back. Times are in seconds, and durations are
kept rather than moments, so that a clock that is set back does no harm.

Of an endpoint that nobody has heard of yet only one request at a time is made: its answer may say
what is allowed.

The Lua script of `adapters.limits_redis` says the same once more; a test holds them together.
"""

from math import sqrt
from typing import Final

from msgspec import Struct, structs

from reviewstream.core.labelling.chat import RateLimits

MINUTE: Final = 60.0  # seconds
MARGIN: Final = 0.97  # of a limit is used: a strict minute at the endpoint sees no overshoot
BURST: Final = 0.25  # seconds' worth that may be asked at once, and one request at least
CUT: Final = 0.7  # of the rate is left after a refusal
CALM: Final = 1.0  # seconds after a cut in which other refusals change nothing: they come in bursts
RECOVERY: Final = 60.0  # seconds in which the factor grows by one
LOWEST: Final = 1 / 32  # of a limit; the rate never falls below
HIGHEST: Final = 1_000.0  # times what was guessed: as good as no limit
GUESS: Final = 0.5  # of the rate seen lately is tried after the first refusal, if no limit is known
SEEN: Final = 10.0  # seconds, at least, over which that rate is taken
LOWEST_GUESS: Final = 0.1  # requests per second
LONGEST_PAUSE: Final = 3600.0  # seconds
STALE: Final = 600.0  # seconds without a word, after which guesses and cuts are forgotten
STEP_BACK: Final = 1.0  # seconds; a clock that is set back by less is waited for
NEAR: Final = 0.001  # seconds; who would have to wait for less is let go
HEARING: Final = 10.0  # seconds for the very first answer; then another one asks beside it
LISTEN: Final = 0.25  # seconds between two looks whether the first answer has come


class Queue(Struct, frozen=True, kw_only=True):
    """Places that were given out, and how many of them have had their turn.

    Attributes:
        issued: Requests or tokens, since the beginning.
        released: At most `issued` and a burst; less if there is a debt.
        recent: Issued since the window began.
        before: Issued in the window before that.
    """

    issued: float = 0.0
    released: float = 0.0
    recent: float = 0.0
    before: float = 0.0


class Pace(Struct, frozen=True, kw_only=True):
    """The rate of one model, as it was when it was last used.

    Attributes:
        at: Seconds since 1970.
        factor: Of the limit that is used just now.
        pause: Seconds for which nobody may ask.
        calm: Seconds for which a refusal changes nothing.
        guess: Requests per second if no limit is known but that there is one; 0 before.
        requests_limit: Per minute, as the endpoint says; 0 if it does not.
        tokens_limit: The same.
        window: Seconds since the window for `Queue.recent` began.
        window_before: Seconds that the window before took; 0 if there was none.
        is_heard: The endpoint has answered, be it without a word of limits.
        hearing: Seconds for which others wait for the first answer; 0 if nobody has asked.
        returned: Tokens that one request gave back since the last one took its place: the next one
            may have them at once.
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
    """A place in the queue: the turn comes when this much is released."""

    requests: float
    tokens: float


class Rates(Struct, frozen=True, kw_only=True):
    """What the factor is applied to.

    Attributes:
        requests: Per second; 0: no limit.
        tokens: The same.
        cap: The highest factor.
    """

    requests: float
    tokens: float
    cap: float


def rates(pace: Pace, own: RateLimits) -> Rates:
    """Return the rates in force: the smaller of our own limit and the endpoint's, or a guess."""
    requests = _smaller(own.requests_per_minute or 0.0, pace.requests_limit) * MARGIN / MINUTE
    tokens = _smaller(own.tokens_per_minute or 0.0, pace.tokens_limit) * MARGIN / MINUTE
    if requests == 0 and tokens == 0:
        return Rates(requests=pace.guess, tokens=0.0, cap=HIGHEST)
    return Rates(requests=requests, tokens=tokens, cap=1.0)


def is_unknown(pace: Pace, own: RateLimits) -> bool:
    """Say whether an endpoint without a limit might only not have told it yet."""
    return not pace.is_heard and _is_free(rates(pace, own))


def advanced(pace: Pace, own: RateLimits, now: float) -> Pace:
    """Return the pace at another time: what was released meanwhile, and what was forgotten."""
    passed = max(now - pace.at, 0.0)
    is_behind = pace.at - STEP_BACK <= now < pace.at
    if passed > STALE:
        pace = structs.replace(pace, guess=0.0, factor=1.0)
    if passed > HEARING and is_unknown(pace, own):  # whoever waited would have looked
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
    """Return how many seconds at the full rate a time is worth while the factor grows to `cap`."""
    growing = min((cap - factor) * RECOVERY, seconds)
    return factor * growing + growing * growing / (2 * RECOVERY) + cap * (seconds - growing)


def time_for(worth: float, factor: float, cap: float) -> float:
    """Return the seconds in which `gain` comes to this much."""
    growing = (cap - factor) * RECOVERY
    most = factor * growing + growing * growing / (2 * RECOVERY)
    if worth > most:
        return growing + (worth - most) / cap
    return 2 * worth / (factor + sqrt(factor * factor + 2 * worth / RECOVERY))


def capped(pace: Pace, own: RateLimits) -> Pace:
    """Return the pace with no more released than is allowed at once; all, where nothing limits."""
    if is_unknown(pace, own):
        return pace
    rate = rates(pace, own)
    return structs.replace(
        pace,
        requests=_cap(pace.requests, rate.requests * pace.factor),
        tokens=_cap(pace.tokens, rate.tokens * pace.factor, pace.returned),
    )


def queued(pace: Pace, own: RateLimits, tokens: float) -> tuple[Pace, Ticket]:
    """Return the pace with one more request in the queue, and its place."""
    after = structs.replace(
        pace,
        requests=_issue(pace.requests, 1.0),
        tokens=_issue(pace.tokens, tokens),
        returned=0.0,
    )
    place = Ticket(requests=after.requests.issued, tokens=after.tokens.issued)
    return capped(after, own), place


def wait_for(pace: Pace, own: RateLimits, place: Ticket) -> float:
    """Return the seconds until the turn comes, as things are; 0: now.

    A place that was never given out here, as what was shared is lost, waits for no turn.
    """
    rate = rates(pace, own)
    worth = max(
        _worth(pace.requests, place.requests, rate.requests),
        _worth(pace.tokens, place.tokens, rate.tokens),
    )
    wait = pace.pause + (time_for(worth, pace.factor, rate.cap) if worth > 0 else 0.0)
    return wait if wait > NEAR else 0.0


def called(pace: Pace, own: RateLimits, place: Ticket) -> tuple[Pace, float]:
    """Return the seconds until the turn comes, as `wait_for`, or until one must look again.

    Of an unknown endpoint one who asks is let go, in no order, and the pace remembers it.
    """
    wait = wait_for(pace, own, place)
    if not is_unknown(pace, own):
        return pace, wait
    if pace.hearing > 0:
        return pace, max(wait, min(LISTEN, pace.hearing))
    return structs.replace(pace, hearing=HEARING), wait


def spacing(pace: Pace, own: RateLimits) -> float:
    """Return the seconds between two turns; 0 where nothing limits."""
    rate = rates(pace, own)
    return 1 / (rate.requests * pace.factor) if rate.requests > 0 else 0.0


def given_back(pace: Pace, own: RateLimits, *, requests: float, tokens: float) -> Pace:
    """Return the pace after some of what was taken was not used; a negative number: more was.

    Whoever gives back no request has made it, and is heard no more.
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
    """Return the pace with the endpoint's limits; what was asked without one is a debt.

    That it tells none is something to have heard, too.
    """
    after = structs.replace(
        pace,
        is_heard=True,
        requests_limit=told.requests_per_minute or pace.requests_limit,
        tokens_limit=told.tokens_per_minute or pace.tokens_limit,
    )
    old, new = rates(pace, own), rates(after, own)
    after = structs.replace(after, factor=min(pace.factor, new.cap))
    if not is_unknown(pace, own):  # those who wait for the first answer have not asked
        after = structs.replace(
            after,
            requests=_indebted(pace.requests, old.requests),
            tokens=_indebted(pace.tokens, old.tokens),
        )
    return capped(after, own)


def _is_free(rate: Rates) -> bool:
    return rate.requests == 0 and rate.tokens == 0


def _smaller(one: float, other: float) -> float:
    """Return the smaller limit; 0 is none."""
    return min(one, other) if one and other else one or other


def _add(queue: Queue, released: float) -> Queue:
    return structs.replace(queue, released=queue.released + released)


def _returned(queue: Queue, count: float) -> Queue:
    """Return the queue after some of what was issued was not asked for: it is no debt later."""
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
    """Return the pace with its window moved on."""
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
