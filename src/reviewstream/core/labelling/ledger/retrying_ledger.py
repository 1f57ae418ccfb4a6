"""A ledger as the labeller uses it: patient with failures that pass, and with other buyers."""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Final, TypeAlias, TypeVar

from reviewstream.core.labelling.backoff import backoff
from reviewstream.core.labelling.offload import Inline, Offload
from reviewstream.core.labelling.ports import Clock, LabelLedger, LedgerEntry, LedgerKey
from reviewstream.core.labelling.shutdown import Shutdown
from reviewstream.errors import TransientError
from reviewstream.settings import OpenAISettings

CLAIM_POLL: Final = 0.1  # seconds between two looks at what another is buying
CLAIM_PATIENCE: Final = 300.0  # seconds; then we ask whether the model answers anybody
# In a row, one patience apart. Then a label bought twice is better than a stream that hangs.
CLAIM_ANSWERS: Final = 2

OPENAI: Final = "api.openai.com"

T = TypeVar("T")

# What is claimed, and what was bought of it before it was.
_Claim: TypeAlias = tuple[set[LedgerKey], Mapping[LedgerKey, LedgerEntry]]


def ledger_name(settings: OpenAISettings) -> str:
    """Return what the ledger calls the model; see `OpenAISettings.ledger_name`."""
    if settings.ledger_name is not None:
        return settings.ledger_name
    address = settings.base_url.partition("://")[2].partition("?")[0].rstrip("/")
    address = address.rpartition("@")[2]  # without user and password
    host = address.partition("/")[0]
    if host == OPENAI or host.endswith(f".{OPENAI}"):
        return settings.model
    return f"{settings.model} at {address}"


class RetryingLedger:
    """Asks a ledger again after a failure that passes, `attempts` times at most in all.

    Args:
        ledger: To ask.
        clock: To wait.
        is_answering: Says whether the model answers just now.
        attempts: See above.
        patience: Seconds to wait for what another worker has claimed, before the model is asked
            whether it answers; more than one request may take.
        offload: Runs the ledger's calls.
    """

    def __init__(  # noqa: PLR0913 - what it works with
        self,
        ledger: LabelLedger,
        clock: Clock,
        is_answering: Callable[[], Awaitable[bool]],
        *,
        attempts: int,
        patience: float = CLAIM_PATIENCE,
        offload: Offload | None = None,
    ) -> None:
        self._ledger = ledger
        self._clock = clock
        self._is_answering = is_answering
        self._attempts = attempts
        self._patience = patience
        self._offload = offload or Inline()
        self._is_proven = False

    async def prove(self) -> None:
        """See that labels can be written, once: before the first is paid for."""
        if not self._is_proven:
            await self._call_with_retry(self._ledger.prove)
            self._is_proven = True

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
        """Claim the labels that nobody else buys; where others buy them all, wait.

        Nothing is claimed while we wait, so that two who want each other's labels both get on.

        Yields:
            What was bought in the meantime, and what is for the caller to buy, in the order of the
            keys. The keys that are in neither are being bought by others.
        """
        claimed, known = await self._claim(keys, shutdown)
        free = claimed or keys
        try:
            yield known, [key for key in keys if key in free and key not in known]
        finally:
            self._offload.submit(lambda: self._ledger.release(claimed))

    async def _claim(self, keys: Collection[LedgerKey], shutdown: Shutdown) -> _Claim:
        """Claim what is free; nothing, if others hold it though the model answers.

        In an outage, and behind a limit, they wait for the model as we should: nobody buys twice.
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
        """Claim, and look what was bought of it in the meantime, in one piece of work."""
        claimed = self._ledger.claim(keys)
        try:
            return claimed, self._ledger.find(claimed) if claimed else {}
        except BaseException:
            self._ledger.release(claimed)  # it is asked for again
            raise

    async def _call_with_retry(self, ask: Callable[[], T]) -> T:
        for attempt in range(1, self._attempts):
            try:
                return await self._offload.run(ask)
            except TransientError:
                await self._clock.sleep(backoff(attempt, jitter=self._clock.jitter()))
        return await self._offload.run(ask)
