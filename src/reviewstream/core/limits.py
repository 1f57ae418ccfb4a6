"""What is shared by everyone who asks a model: its pace, and a budget; and what can be done to it.

Whoever keeps it applies one operation at a time, and keeps what comes out.
"""

from typing import TypeAlias

from msgspec import Struct, structs

from reviewstream.core.chat import RateLimits
from reviewstream.core.costs import MILLION
from reviewstream.core.pace import (
    Pace,
    Place,
    advanced,
    called,
    given_back,
    learned,
    queued,
    refused,
    spacing,
)


class Terms(Struct, frozen=True, kw_only=True):
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


class Ended(Struct, frozen=True, kw_only=True):
    """The run of an account that was ended last, and what a person is told of it."""

    run: str = ""
    why: str = ""


class Shared(Struct, frozen=True, kw_only=True):
    """What is kept.

    Attributes:
        spent: Micro-dollars of the account, those reserved included.
    """

    pace: Pace = Pace()
    spent: int = 0
    ended: Ended = Ended()


class Take(Struct, frozen=True, kw_only=True):
    """Reserve what one request may take, and a place in the queue."""

    tokens: int
    micro_usd: int


class Look(Struct, frozen=True, kw_only=True):
    """See whether the turn of a place has come: the pace may have changed."""

    place: Place


class GiveBack(Struct, frozen=True, kw_only=True):
    """Give back what was reserved and not used; a negative number: more was used."""

    requests: int = 0
    tokens: int = 0
    micro_usd: int = 0


class Refusal(Struct, frozen=True, kw_only=True):
    """The endpoint refused a request for its rate.

    Attributes:
        retry_after: Seconds for which it wants nobody to ask; 0 if it does not say.
    """

    retry_after: float


class Learn(Struct, frozen=True, kw_only=True):
    """The endpoint has answered, and says what it allows, or nothing of it."""

    limits: RateLimits


class End(Struct, frozen=True, kw_only=True):
    """End the run, for a reason; without one: only see whether it was ended."""

    why: str = ""


Operation: TypeAlias = Take | Look | GiveBack | Refusal | Learn | End


class Reply(Struct, frozen=True, kw_only=True):
    """What whoever did an operation is told.

    Attributes:
        place: That was taken, or looked at; all zero otherwise.
        wait: Seconds until its turn.
        spacing: Seconds between two turns.
        spent: Micro-dollars, those reserved included.
        is_spent: The budget does not hold what was to be taken, and nothing was.
        ended: Why the run was ended; empty if it was not. Then nothing is taken either.
    """

    place: Place = Place(requests=0.0, tokens=0.0)
    wait: float = 0.0
    spacing: float = 0.0
    spent: int = 0
    is_spent: bool = False
    ended: str = ""


def apply(shared: Shared, operation: Operation, terms: Terms, now: float) -> tuple[Shared, Reply]:
    """Return what is shared after an operation.

    Args:
        shared: As it was kept.
        operation: What is done.
        terms: Of whoever does it.
        now: Seconds since 1970, by the clock of what keeps it.
    """
    if isinstance(operation, End):
        shared = _with_end(shared, operation, terms)
    why = _why_ended(shared, terms)
    if isinstance(operation, End) or (why and isinstance(operation, Take)):
        return shared, Reply(spent=shared.spent, ended=why)
    after, reply = _applied(shared, operation, terms, now)
    return after, structs.replace(reply, ended=why)


def _with_end(shared: Shared, operation: End, terms: Terms) -> Shared:
    """Return what is shared with the end of a run; the first reason stays."""
    if not (operation.why and terms.run) or _why_ended(shared, terms):
        return shared
    return structs.replace(shared, ended=Ended(run=terms.run, why=operation.why))


def _why_ended(shared: Shared, terms: Terms) -> str:
    return shared.ended.why if terms.run and terms.run == shared.ended.run else ""


def _applied(
    shared: Shared, operation: Take | Look | GiveBack | Refusal | Learn, terms: Terms, now: float
) -> tuple[Shared, Reply]:
    own = terms.limits
    pace = advanced(shared.pace, own, now)
    spent, place = shared.spent, _place(operation)
    match operation:
        case Take(tokens=tokens, micro_usd=cost):
            if is_overdrawn(spent + cost, terms.budget_micro_usd):
                return structs.replace(shared, pace=pace), Reply(spent=spent, is_spent=True)
            spent += cost
            pace, place = queued(pace, own, tokens)
        case Look():
            pass
        case GiveBack(requests=requests, tokens=tokens, micro_usd=back):
            spent = max(spent - back, 0)
            pace = given_back(pace, own, requests=requests, tokens=tokens)
        case Refusal(retry_after=retry_after):
            pace = refused(pace, own, retry_after)
        case _:
            pace = learned(pace, own, operation.limits)
    reply = Reply(spent=spent, spacing=spacing(pace, own))
    if place is not None:
        pace, wait = called(pace, own, place)
        reply = structs.replace(reply, place=place, wait=wait)
    return structs.replace(shared, pace=pace, spent=spent), reply


def _place(operation: Operation) -> Place | None:
    return operation.place if isinstance(operation, Look) else None


def is_overdrawn(spent: int, budget: int | None) -> bool:
    """Say whether this much is more than there is."""
    return budget is not None and spent > budget


def spent_sentence(terms: Terms, reply: Reply, micro_usd: int) -> str:
    """Return what a person is told when the budget does not hold the next request."""
    budget = terms.budget_micro_usd or 0
    return (
        f"the budget is spent: ${_usd(reply.spent)} of ${_usd(budget)}, and the next request may"
        f" cost ${_usd(micro_usd)}; raise --budget-usd (limits.budget_usd) and start again:"
        " nothing is lost"
    )


def _usd(micro_usd: int) -> str:
    """Return micro-dollars as dollars, with every digit that counts and two at least."""
    whole, rest = divmod(micro_usd, MILLION)
    return f"{whole}.{f'{rest:06}'.rstrip('0'):0<2}"
