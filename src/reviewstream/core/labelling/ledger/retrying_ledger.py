"""Ledger access for the labeller: retries transient failures and waits for other claims."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeAlias, TypeVar

from reviewstream.core.labelling.offload import Inline, Offload
from reviewstream.core.labelling.ports import LabelLedger, LedgerEntry, LedgerKey
from reviewstream.core.labelling.shutdown import Shutdown
from reviewstream.core.labelling.wait_log import WaitLog
from reviewstream.core.retry import waits
from reviewstream.core.retry.ports import Clock
from reviewstream.errors import TransientError

CLAIM_POLL: Final = 0.1  # seconds between two attempts to claim
CLAIM_PATIENCE: Final = 300.0  # seconds until the model is probed
# Answered probes in a row, one patience apart, until texts are labelled in spite of claims: a
# duplicate request is better than a stream that hangs.
CLAIM_ANSWERS: Final = 2

LEDGER: Final = "ledger"  # a kind of wait, for `WaitLog`

T = TypeVar("T")

# Claimed keys, and their entries if they were recorded before the claim.
_Claim: TypeAlias = tuple[set[LedgerKey], Mapping[LedgerKey, LedgerEntry]]


class RetryingLedger:
    """A ledger whose calls are retried after transient failures, as `waits.STORE` says.

    Args:
        ledger: The ledger.
        clock: Clock for the waits.
        is_answering: Probes the model and says whether it answers.
        patience: Seconds to wait for claims of other workers before the model is probed; must
            exceed the duration of a request.
        offload: Runs the ledger's calls.
    """

    def __init__(
        self,
        ledger: LabelLedger,
        clock: Clock,
        is_answering: Callable[[], Awaitable[bool]],
        *,
        patience: float = CLAIM_PATIENCE,
        offload: Offload | None = None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._is_answering = is_answering
        self._patience = patience
        self._offload = offload or Inline()
        self._log = WaitLog(clock)

    async def prove(self) -> None:
        """Check that labels can be written, before the request that pays for them."""
        await self._call_with_retry(self._ledger.prove)

    async def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """See `LabelLedger.find`."""
        return await self._call_with_retry(lambda: self._ledger.find(keys))

    async def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """See `LabelLedger.record`."""
        await self._call_with_retry(lambda: self._ledger.record(entries))

    @asynccontextmanager
    async def alone(
        self, keys: Collection[LedgerKey], shutdown: Shutdown
    ) -> AsyncIterator[tuple[Mapping[LedgerKey, LedgerEntry], list[LedgerKey]]]:
        """Claim unclaimed keys; wait while all of them are claimed elsewhere.

        Nothing is claimed during the wait, so that two workers that want each other's labels do not
        deadlock.

        Yields:
            Entries recorded meanwhile, and the keys for the caller to label, in the order of
                `keys`. All other keys are claimed elsewhere.
        """
        claimed, known = await self._claim(keys, shutdown)
        free = claimed or keys
        try:
            yield known, [key for key in keys if key in free and key not in known]
        finally:
            self._offload.submit(lambda: self._ledger.release(claimed))

    async def _claim(self, keys: Collection[LedgerKey], shutdown: Shutdown) -> _Claim:
        """Claim free keys; claim nothing if others hold all keys although the model answers.

        During an outage or behind a rate limit the holders wait for the model like the caller does,
        so waiting longer avoids duplicate requests.
        """
        answers = 0
        while answers < CLAIM_ANSWERS:
            claimed, known = await self._claim_patiently(keys, shutdown)
            if claimed:
                return claimed, known
            answers = answers + 1 if await self._is_answering() else 0
        return set(), await self.find(keys)

    async def _claim_patiently(self, keys: Collection[LedgerKey], shutdown: Shutdown) -> _Claim:
        waited = 0.0
        while not (claim := await self._call_with_retry(lambda: self._claim_once(keys)))[0]:
            if waited >= self._patience:
                break
            await shutdown.run_until_shutdown(self._clock.sleep(CLAIM_POLL))
            waited += CLAIM_POLL
        return claim

    def _claim_once(self, keys: Collection[LedgerKey]) -> _Claim:
        """Claim keys and find their recorded entries, as one unit of work."""
        claimed = self._ledger.claim(keys)
        try:
            return claimed, self._ledger.find(claimed) if claimed else {}
        except BaseException:
            self._ledger.release(claimed)  # the claim is retried
            raise

    async def _call_with_retry(self, ask: Callable[[], T]) -> T:
        reply = await waits.STORE.retry(lambda: self._offload.run(ask), self._clock, self._failed)
        self._log.over(LEDGER)
        return reply

    def _failed(self, err: TransientError) -> None:
        self._log.wait(LEDGER, f"waiting for the ledger of labels: {err}")
