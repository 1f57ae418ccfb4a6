"""Dispatcher that labels texts in packs, each distinct text once."""

import asyncio
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import TypeAlias

from msgspec import Struct

from reviewstream.core.labelling.answers import Label
from reviewstream.core.labelling.label_request import Endpoint, LabelRefusal, LabelRequest
from reviewstream.core.labelling.ledger.retrying_ledger import RetryingLedger
from reviewstream.core.labelling.packs import halves
from reviewstream.core.labelling.ports import LedgerEntry, LedgerKey
from reviewstream.core.labelling.probe import Probe
from reviewstream.core.labelling.rate_limited_model import PackTooLargeError
from reviewstream.core.labelling.usage import Usage, split_usage
from reviewstream.core.records.timestamps import to_millisecond

Question: TypeAlias = tuple[LedgerKey, str]


class LabelResult(Struct, frozen=True, kw_only=True):
    """A label and the number of requests made for it; 0 if it came from the ledger."""

    entry: LedgerEntry
    attempts: int = 0


class Failure(Struct, frozen=True, kw_only=True):
    """A text without a label: the reason, and the usage of its requests."""

    refusal: LabelRefusal
    bill: Usage


Result: TypeAlias = LabelResult | Failure


class Dispatcher:
    """A labeller for texts that are not in the ledger; it records their labels there.

    A pack that cannot be labelled is split until the text at fault is alone.
    """

    def __init__(self, endpoint: Endpoint, probe: Probe, ledger: RetryingLedger) -> None:
        self._endpoint = endpoint
        self._probe = probe
        self._ledger = ledger
        self._policy = endpoint.policy
        self._shutdown = endpoint.shutdown
        self._slots = asyncio.Semaphore(endpoint.policy.concurrency)

    async def label(self, texts: Mapping[LedgerKey, str]) -> dict[LedgerKey, Result]:
        """Return a result for each text; labels in the ledger are not requested again."""
        results = remembered(await self._ledger.find(texts.keys()))
        unknown = [one for one in texts.items() if one[0] not in results]
        if not unknown:
            return results
        waiting = deque(unknown)
        count = min(len(unknown), self._policy.concurrency)  # workers without a pack end at once
        work = [asyncio.ensure_future(self._work(waiting)) for _ in range(count)]
        for done in await asyncio.gather(*work, return_exceptions=True):
            if isinstance(done, BaseException):
                raise self._shutdown.reason or done
            results |= done
        return results

    async def _work(self, waiting: deque[Question]) -> dict[LedgerKey, Result]:
        """Label pack after pack, each when a slot is free; a failure stops all workers.

        A pack is formed when its slot is free, because the endpoint's limits may be known by then.
        """
        results: dict[LedgerKey, Result] = {}
        while waiting:
            async with self._slots:
                if not waiting:
                    break
                pack = self._packs(islice(waiting, self._policy.pack))[0]
                for _ in pack:
                    waiting.popleft()
                try:
                    await self._ledger.prove()
                    results |= await self._alone(dict(pack))
                except Exception as err:
                    self._shutdown.stop(err)
                    raise
        return results

    def _packs(self, questions: Iterable[Question]) -> list[list[Question]]:
        packs = self._policy.packs(
            questions,
            lambda one: one[1],
            tokens_per_minute=self._endpoint.limiter.tokens_per_minute,
            options=self._endpoint.negotiation.options,
        )
        return list(packs)

    async def _alone(self, waiting: Mapping[LedgerKey, str]) -> dict[LedgerKey, Result]:
        """Label unclaimed texts; wait for texts that other workers have claimed."""
        results: dict[LedgerKey, Result] = {}
        while waiting:
            async with self._ledger.alone(waiting.keys(), self._shutdown) as (known, mine):
                results |= remembered(known)
                results |= await self._ask([(key, waiting[key]) for key in mine], {})
            waiting = {key: text for key, text in waiting.items() if key not in results}
        return results

    async def _ask(
        self, pack: list[Question], bills: Mapping[LedgerKey, Usage]
    ) -> dict[LedgerKey, Result]:
        """Label a pack; split it if it cannot be labelled as a whole."""
        if not pack:
            return {}
        request = LabelRequest(self._endpoint)
        try:
            outcome: list[Label] | LabelRefusal | None = await request.ask(
                [text for _, text in pack]
            )
        except PackTooLargeError:
            outcome = None
        bills = self._billed(pack, request, bills)
        if isinstance(outcome, list):
            return await self._keep(bills, outcome, request)
        if outcome is not None and len(pack) == 1:
            return {pack[0][0]: Failure(refusal=outcome, bill=bills[pack[0][0]])}
        results: dict[LedgerKey, Result] = {}
        for part in self._parts(pack, is_too_large=outcome is None):
            results |= await self._ask(part, bills)  # sequential: a pack holds one slot
        return results

    def _parts(self, pack: list[Question], *, is_too_large: bool) -> list[list[Question]]:
        """Split a pack to fit the tokens per minute, or else in two."""
        parts = self._packs(pack) if is_too_large else [pack]
        return parts if len(parts) > 1 else [part for part in halves(pack) if part]

    def _billed(
        self, pack: Sequence[Question], request: LabelRequest, before: Mapping[LedgerKey, Usage]
    ) -> dict[LedgerKey, Usage]:
        """Return the usage of each text so far, its share of the probes included."""
        charges = [*request.charges, *self._probe.take_charges()]
        now = split_usage(charges, attempts=request.attempts, reviews=len(pack))
        return {
            key: before.get(key, Usage()) + bill for (key, _), bill in zip(pack, now, strict=True)
        }

    async def _keep(
        self, bills: Mapping[LedgerKey, Usage], labels: Sequence[Label], request: LabelRequest
    ) -> dict[LedgerKey, Result]:
        """Write the labels of a pack to the ledger before they are returned."""
        now = to_millisecond(self._endpoint.clock.now())
        entries = {
            key: LedgerEntry(
                sentiment=label.sentiment,
                confidence=label.confidence,
                model=request.model or self._policy.model,
                prompt_tokens=bill.prompt_tokens,
                completion_tokens=bill.completion_tokens,
                cost_micro_usd=bill.cost_micro_usd,
                request_id=request.request_id,
                labelled_at=now,
            )
            for (key, bill), label in zip(bills.items(), labels, strict=True)
        }
        await self._ledger.record(entries)
        return {
            key: LabelResult(entry=entry, attempts=bills[key].attempts)
            for key, entry in entries.items()
        }


def remembered(entries: Mapping[LedgerKey, LedgerEntry]) -> dict[LedgerKey, Result]:
    """Return ledger entries as results."""
    return {key: LabelResult(entry=entry) for key, entry in entries.items()}
