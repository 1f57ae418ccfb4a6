"""What is shared by everyone who asks a model: its pace, and a budget; and what can be done to it.

Whoever keeps it applies one operation at a time, and keeps what comes out.
"""

from typing import Annotated, Final, TypeAlias

from msgspec import Meta, Struct, structs

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.pace import (
    Pace,
    Ticket,
    advanced,
    called,
    given_back,
    learned,
    queued,
    refused,
    spacing,
)

LEASE: Final = 90.0  # seconds; longer than a request takes with the default time-out
NOWHERE: Final = Ticket(requests=0.0, tokens=0.0)

MicroUsd: TypeAlias = Annotated[int, Meta(ge=0)]


class LimitKey(Struct, frozen=True, kw_only=True):
    """What is shared with whom, and how much of it there is.

    Attributes:
        model: Everyone who asks it shares its rate.
        account: Everyone who pays from it shares the budget.
        limits: Our own, beside those of the endpoint; the same for all.
        budget_micro_usd: Of the account; None: as much as it takes.
        run: Of all tasks that end together; empty: nobody else's end is ours.
    """

    model: str
    account: str = ""
    limits: RateLimits = RateLimits()
    budget_micro_usd: int | None = None
    run: str = ""


class Amount(Struct, frozen=True, kw_only=True):
    """What one request takes, or may take at most."""

    tokens: int = 0
    micro_usd: int = 0


class Reserved(Struct, frozen=True, kw_only=True):
    """The part of what an account has spent that requests in flight may give back.

    Attributes:
        micro_usd: Of all requests in flight together.
        at: Seconds since 1970: when `lease` was true.
        lease: Seconds until no request is in flight any more, if no other one is made: what a
            process that was killed had reserved stays charged, and is waited for no longer.
    """

    micro_usd: MicroUsd = 0
    at: float = 0.0
    lease: float = 0.0


class Ended(Struct, frozen=True, kw_only=True):
    """The run of an account that was ended last, and what a person is told of it."""

    run: str = ""
    why: str = ""


class Shared(Struct, frozen=True, kw_only=True):
    """What is kept.

    Attributes:
        spent: Micro-dollars of the account, those reserved included.
        reserved: Absent in what earlier versions kept.
    """

    pace: Pace = Pace()
    spent: MicroUsd = 0
    reserved: Reserved = Reserved()
    ended: Ended = Ended()


class Reserve(Struct, frozen=True, kw_only=True):
    """Reserve what one request may take, and a place in the queue.

    Attributes:
        lease: Seconds from its turn on, after which the request has ended or its process is dead.
    """

    tokens: int
    micro_usd: int
    lease: float = LEASE


class Poll(Struct, frozen=True, kw_only=True):
    """See whether the turn of a place has come: the pace may have changed.

    Attributes:
        lease: As of the `Reserve` that the place was given for.
    """

    place: Ticket
    lease: float = LEASE


class Release(Struct, frozen=True, kw_only=True):
    """Give back what was reserved and not used; a negative number: more was used.

    Attributes:
        reserved: Micro-dollars of the reservation that ends with it.
    """

    requests: int = 0
    tokens: int = 0
    micro_usd: int = 0
    reserved: int = 0


class Throttled(Struct, frozen=True, kw_only=True):
    """The endpoint refused a request for its rate.

    Attributes:
        retry_after: Seconds for which it wants nobody to ask; 0 if it does not say.
    """

    retry_after: float


class Observe(Struct, frozen=True, kw_only=True):
    """The endpoint has answered, and says what it allows, or nothing of it."""

    limits: RateLimits


class Abort(Struct, frozen=True, kw_only=True):
    """End the run, for a reason; without one: only see whether it was ended."""

    why: str = ""


Operation: TypeAlias = Reserve | Poll | Release | Throttled | Observe | Abort


class Reply(Struct, frozen=True, kw_only=True):
    """What whoever did an operation is told.

    Attributes:
        place: That was taken, or looked at; all zero otherwise.
        wait: Seconds until its turn.
        spacing: Seconds between two turns.
        spent: Micro-dollars, those reserved included.
        reserved: Micro-dollars of requests in flight.
        is_spent: The budget does not hold what was to be taken, whatever the requests in flight
            give back; nothing was taken.
        is_pending: The budget may hold it when requests in flight are settled; nothing was taken.
        tokens_per_minute: The smaller of our own limit and the endpoint's; 0: none is known.
        ended: Why the run was ended; empty if it was not. Then nothing is taken either.
    """

    place: Ticket = NOWHERE
    wait: float = 0.0
    spacing: float = 0.0
    spent: int = 0
    reserved: int = 0
    is_spent: bool = False
    is_pending: bool = False
    tokens_per_minute: float = 0.0
    ended: str = ""


def apply(
    shared: Shared, operation: Operation, terms: LimitKey, now: float
) -> tuple[Shared, Reply]:
    """Return what is shared after an operation.

    Args:
        shared: As it was kept.
        operation: What is done.
        terms: Of whoever does it.
        now: Seconds since 1970, by the clock of what keeps it.
    """
    if isinstance(operation, Abort):
        shared = _with_end(shared, operation, terms)
    why = _why_ended(shared, terms)
    if isinstance(operation, Abort) or (why and isinstance(operation, Reserve)):
        return shared, structs.replace(_reply(shared, terms), ended=why)
    after, reply = _applied(shared, operation, terms, now)
    return after, structs.replace(reply, ended=why)


def _with_end(shared: Shared, operation: Abort, terms: LimitKey) -> Shared:
    """Return what is shared with the end of a run; the first reason stays."""
    if not (operation.why and terms.run) or _why_ended(shared, terms):
        return shared
    return structs.replace(shared, ended=Ended(run=terms.run, why=operation.why))


def _why_ended(shared: Shared, terms: LimitKey) -> str:
    return shared.ended.why if terms.run and terms.run == shared.ended.run else ""


def _applied(
    shared: Shared,
    operation: Reserve | Poll | Release | Throttled | Observe,
    terms: LimitKey,
    now: float,
) -> tuple[Shared, Reply]:
    own = terms.limits
    pace, reserved = advanced(shared.pace, own, now), _elapsed(shared.reserved, now)
    shared = structs.replace(shared, pace=pace, reserved=reserved)
    if isinstance(operation, Reserve) and is_overdrawn(
        shared.spent + operation.micro_usd, terms.budget_micro_usd
    ):
        return _denied(shared, operation, terms)
    after, place = _changed(shared, operation, own)
    reply = structs.replace(_reply(after, terms), spacing=spacing(after.pace, own))
    if isinstance(operation, Reserve | Poll):
        pace, wait = called(after.pace, own, place)
        reserved = _renewed(after.reserved, wait + operation.lease)
        after = structs.replace(after, pace=pace, reserved=reserved)
        reply = structs.replace(reply, place=place, wait=wait)
    return after, reply


def _changed(
    shared: Shared, operation: Reserve | Poll | Release | Throttled | Observe, own: RateLimits
) -> tuple[Shared, Ticket]:
    """Return what is shared after an operation that the budget allows, and the place it is of."""
    pace, spent, reserved, place = shared.pace, shared.spent, shared.reserved.micro_usd, NOWHERE
    match operation:
        case Reserve(tokens=tokens, micro_usd=cost):
            spent, reserved = spent + cost, reserved + cost
            pace, place = queued(pace, own, tokens)
        case Poll(place=place):
            pass
        case Release(requests=requests, tokens=tokens, micro_usd=back, reserved=ended):
            spent, reserved = max(spent - back, 0), max(reserved - ended, 0)
            pace = given_back(pace, own, requests=requests, tokens=tokens)
        case Throttled(retry_after=retry_after):
            pace = refused(pace, own, retry_after)
        case _:
            pace = learned(pace, own, operation.limits)
    kept = _holding(shared.reserved, min(reserved, spent))
    return structs.replace(shared, pace=pace, spent=spent, reserved=kept), place


def _denied(shared: Shared, operation: Reserve, terms: LimitKey) -> tuple[Shared, Reply]:
    """Return what is shared and the reply if the budget does not hold a request just now."""
    if shared.reserved.lease == 0:
        shared = structs.replace(shared, reserved=Reserved())
    settled = shared.spent - shared.reserved.micro_usd
    is_spent = is_overdrawn(settled + operation.micro_usd, terms.budget_micro_usd)
    reply = structs.replace(_reply(shared, terms), is_spent=is_spent, is_pending=not is_spent)
    return shared, reply


def _reply(shared: Shared, terms: LimitKey) -> Reply:
    own, told = terms.limits.tokens_per_minute or 0.0, shared.pace.tokens_limit
    return Reply(
        spent=shared.spent,
        reserved=shared.reserved.micro_usd,
        tokens_per_minute=min(own, told) if own and told else own or told,
    )


def _elapsed(reserved: Reserved, now: float) -> Reserved:
    """Return what is reserved at another time."""
    lease = max(reserved.lease - max(now - reserved.at, 0.0), 0.0)
    return structs.replace(reserved, at=now, lease=lease)


def _holding(reserved: Reserved, micro_usd: int) -> Reserved:
    """Return what is reserved with another amount; without one no time is kept."""
    return structs.replace(reserved, micro_usd=micro_usd) if micro_usd else Reserved()


def _renewed(reserved: Reserved, lease: float) -> Reserved:
    if reserved.micro_usd == 0:
        return reserved
    return structs.replace(reserved, lease=max(reserved.lease, lease))


def is_overdrawn(spent: int, budget: int | None) -> bool:
    """Say whether this much is more than there is."""
    return budget is not None and spent > budget
