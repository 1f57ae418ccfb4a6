"""Buys labels of texts in packs, each label once."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from msgspec import Struct

from reviewstream.core.answers import Label
from reviewstream.core.moments import to_millisecond
from reviewstream.core.packs import halves
from reviewstream.pipeline.bills import Bill, share
from reviewstream.pipeline.breaker import SteadyModel
from reviewstream.pipeline.halt import Halt
from reviewstream.pipeline.inquiry import Inquiry, Refusal
from reviewstream.pipeline.policy import LabelPolicy
from reviewstream.pipeline.remembering import PatientLedger
from reviewstream.ports import Clock, LedgerEntry, LedgerKey

Question: TypeAlias = tuple[LedgerKey, str]


class Purchase(Struct, frozen=True, kw_only=True):
    """A label, and how often it was asked for just now: 0 if it was remembered."""

    entry: LedgerEntry
    attempts: int = 0


class Failure(Struct, frozen=True, kw_only=True):
    """Why there is no label, and how often it was asked for."""

    refusal: Refusal
    attempts: int


Result: TypeAlias = Purchase | Failure


class Buyer:
    """Asks about texts that the ledger does not know, and keeps what the model says of them.

    A pack that cannot be answered is split, until the text that is to blame stands alone.
    """

    def __init__(
        self,
        model: SteadyModel,
        ledger: PatientLedger,
        clock: Clock,
        policy: LabelPolicy,
        halt: Halt,
    ) -> None:
        self._model = model
        self._ledger = ledger
        self._clock = clock
        self._policy = policy
        self._halt = halt
        self._slots = asyncio.Semaphore(policy.concurrency)

    async def buy(self, texts: Mapping[LedgerKey, str]) -> dict[LedgerKey, Result]:
        """Return a result for each text; what is remembered is not bought."""
        results = remembered(await self._ledger.find(texts.keys()))
        unknown = [one for one in texts.items() if one[0] not in results]
        packs = self._policy.packs(unknown, lambda one: one[1])
        work = [asyncio.ensure_future(self._finish(pack)) for pack in packs]
        for done in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(done, BaseException):
                raise self._halt.reason or done
            results |= done
        return results

    async def _finish(self, pack: Sequence[Question]) -> dict[LedgerKey, Result]:
        """Buy a pack when there is a slot; its failure is the end of all."""
        async with self._slots:
            try:
                return await self._alone(dict(pack))
            except Exception as err:
                self._halt.stop(err)
                raise

    async def _alone(self, waiting: Mapping[LedgerKey, str]) -> dict[LedgerKey, Result]:
        """Buy what nobody else is buying, and see to the rest when it is bought, or free."""
        results: dict[LedgerKey, Result] = {}
        while waiting:
            async with self._ledger.alone(waiting.keys(), self._halt) as (known, mine):
                results |= remembered(known)
                results |= await self._ask([(key, waiting[key]) for key in mine], {})
            waiting = {key: text for key, text in waiting.items() if key not in results}
        return results

    async def _ask(
        self, pack: list[Question], bills: Mapping[LedgerKey, Bill]
    ) -> dict[LedgerKey, Result]:
        """Ask about a pack, and about its halves if it cannot be answered as a whole."""
        if not pack:
            return {}
        inquiry = Inquiry(self._model, self._clock, self._policy, self._halt)
        outcome = await inquiry.ask([text for _, text in pack])
        bills = self._billed(pack, inquiry, bills)
        if not isinstance(outcome, Refusal):
            return await self._keep(bills, outcome, inquiry)
        if len(pack) > 1:
            first, second = halves(pack)  # one after the other: a pack has one slot
            return await self._ask(first, bills) | await self._ask(second, bills)
        return {key: Failure(refusal=outcome, attempts=bills[key].attempts) for key, _ in pack}

    def _billed(
        self, pack: Sequence[Question], inquiry: Inquiry, before: Mapping[LedgerKey, Bill]
    ) -> dict[LedgerKey, Bill]:
        now = share(
            inquiry.answers, self._policy.prices, attempts=inquiry.attempts, reviews=len(pack)
        )
        return {
            key: before.get(key, Bill()) + bill for (key, _), bill in zip(pack, now, strict=True)
        }

    async def _keep(
        self, bills: Mapping[LedgerKey, Bill], labels: Sequence[Label], inquiry: Inquiry
    ) -> dict[LedgerKey, Result]:
        """Keep the labels of a pack before anybody sees them."""
        last, now = inquiry.answers[-1], to_millisecond(self._clock.now())
        entries = {
            key: LedgerEntry(
                sentiment=label.sentiment,
                confidence=label.confidence,
                model=last.model or self._policy.model,
                prompt_tokens=bill.prompt_tokens,
                completion_tokens=bill.completion_tokens,
                cost_micro_usd=bill.cost_micro_usd,
                request_id=last.request_id,
                labelled_at=now,
            )
            for (key, bill), label in zip(bills.items(), labels, strict=True)
        }
        await self._ledger.record(entries)
        return {
            key: Purchase(entry=entry, attempts=bills[key].attempts)
            for key, entry in entries.items()
        }


def remembered(entries: Mapping[LedgerKey, LedgerEntry]) -> dict[LedgerKey, Result]:
    """Return what is known as results."""
    return {key: Purchase(entry=entry) for key, entry in entries.items()}
