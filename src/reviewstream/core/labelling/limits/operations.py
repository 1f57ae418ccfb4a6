"""State shared by all clients of a model (pace and budget), and operations on it.

The store applies one operation at a time and keeps the resulting state.
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
    """Scope and size of a rate limit and a budget.

    Attributes:
        model: All clients of this model share its rate.
        account: All clients of this account share its budget.
        limits: Our own limits, in addition to the endpoint's; the same for all clients.
        budget_micro_usd: Budget of the account; None: unlimited.
        run: Id shared by tasks that end together; empty: the end of a run is ignored.
    """

    model: str
    account: str = ""
    limits: RateLimits = RateLimits()
    budget_micro_usd: int | None = None
    run: str = ""


class Amount(Struct, frozen=True, kw_only=True):
    """Actual or maximum usage of one request."""

    tokens: int = 0
    micro_usd: int = 0


class Reserved(Struct, frozen=True, kw_only=True):
    """The part of an account's spending that is reserved for requests in flight.

    Attributes:
        micro_usd: Total of all requests in flight.
        at: Seconds since 1970 at which `lease` was updated.
        lease: Seconds until all requests in flight have ended, if no new one starts. The
            reservation of a killed process stays charged, but is not waited for after this time.
    """

    micro_usd: MicroUsd = 0
    at: float = 0.0
    lease: float = 0.0


class Ended(Struct, frozen=True, kw_only=True):
    """The last run of an account that was ended, and the message about it."""

    run: str = ""
    why: str = ""


class Shared(Struct, frozen=True, kw_only=True):
    """The stored state.

    Attributes:
        spent: Micro-dollars of the account, reserved ones included.
        reserved: Absent in the state of earlier versions.
    """

    pace: Pace = Pace()
    spent: MicroUsd = 0
    reserved: Reserved = Reserved()
    ended: Ended = Ended()


class Reserve(Struct, frozen=True, kw_only=True):
    """Reserve the maximum usage of one request, and a place in the queue.

    Attributes:
        lease: Seconds after its turn until the request has ended or its process is dead.
    """

    tokens: int
    micro_usd: int
    lease: float = LEASE


class Poll(Struct, frozen=True, kw_only=True):
    """Check whether the turn of a place has come; the pace may have changed.

    Attributes:
        lease: Lease of the `Reserve` that issued the place.
    """

    place: Ticket
    lease: float = LEASE


class Release(Struct, frozen=True, kw_only=True):
    """Return unused parts of a reservation; a negative number means that more was used.

    Attributes:
        reserved: Micro-dollars of the reservation, which ends with this operation.
    """

    requests: int = 0
    tokens: int = 0
    micro_usd: int = 0
    reserved: int = 0


class Throttled(Struct, frozen=True, kw_only=True):
    """Report that the endpoint refused a request for its rate.

    Attributes:
        retry_after: Seconds to send no request; 0 if the endpoint does not say.
    """

    retry_after: float


class Observe(Struct, frozen=True, kw_only=True):
    """Report that the endpoint answered, with its limits as far as it reports them."""

    limits: RateLimits


class Abort(Struct, frozen=True, kw_only=True):
    """End the run with a reason; with an empty reason, only check whether it was ended."""

    why: str = ""


Operation: TypeAlias = Reserve | Poll | Release | Throttled | Observe | Abort


class Reply(Struct, frozen=True, kw_only=True):
    """Result of an operation.

    Attributes:
        place: The issued or polled place; all zero for other operations.
        wait: Seconds until its turn.
        spacing: Seconds between two turns.
        spent: Micro-dollars, reserved ones included.
        reserved: Micro-dollars of requests in flight.
        is_spent: Whether the budget cannot cover the reservation, even if the requests in flight
            cost nothing; nothing was reserved.
        is_pending: Whether the budget may cover it after requests in flight are settled; nothing
            was reserved.
        tokens_per_minute: The smaller of our own limit and the endpoint's; 0 if both are unknown.
        ended: Why the run was ended, in which case nothing was reserved; empty if it was not ended.
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
    """Return the state after an operation, and its result.

    Args:
        shared: Stored state.
        operation: Operation to apply.
        terms: Key of the caller.
        now: Seconds since 1970, by the store's clock.
    """
    if isinstance(operation, Abort):
        shared = _with_end(shared, operation, terms)
    why = _why_ended(shared, terms)
    if isinstance(operation, Abort) or (why and isinstance(operation, Reserve)):
        return shared, structs.replace(_reply(shared, terms), ended=why)
    after, reply = _applied(shared, operation, terms, now)
    return after, structs.replace(reply, ended=why)


def _with_end(shared: Shared, operation: Abort, terms: LimitKey) -> Shared:
    """Return the state with the run ended; the first reason is kept."""
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
    """Return the state after an operation that the budget allows, and the place it concerns."""
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
    """Return the state and the result when the budget does not cover a request at present."""
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
    """Return the reservation at a later time."""
    lease = max(reserved.lease - max(now - reserved.at, 0.0), 0.0)
    return structs.replace(reserved, at=now, lease=lease)


def _holding(reserved: Reserved, micro_usd: int) -> Reserved:
    """Return the reservation with another amount; an amount of 0 resets the lease."""
    return structs.replace(reserved, micro_usd=micro_usd) if micro_usd else Reserved()


def _renewed(reserved: Reserved, lease: float) -> Reserved:
    if reserved.micro_usd == 0:
        return reserved
    return structs.replace(reserved, lease=max(reserved.lease, lease))


def is_overdrawn(spent: int, budget: int | None) -> bool:
    """Say whether an amount exceeds the budget."""
    return budget is not None and spent > budget
