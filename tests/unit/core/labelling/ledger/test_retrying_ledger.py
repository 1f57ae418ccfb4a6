"""A ledger that is away or in use is waited for, but not for ever."""

import asyncio
from collections.abc import Collection, Mapping

import pytest

from reviewstream.core.labelling.ledger.retrying_ledger import (
    CLAIM_PATIENCE,
    CLAIM_POLL,
    RetryingLedger,
)
from reviewstream.core.labelling.ports import LabelLedger, LedgerEntry, LedgerKey
from reviewstream.core.labelling.shutdown import Cancelled, Shutdown
from reviewstream.core.retry.waits import STORE
from reviewstream.errors import ConfigError, TransientError
from reviewstream.testing import FakeClock, MemoryLedger
from tests.contract.ledger_entries import entries, entry_of, key_of

KEY, ENTRY = key_of(1), entry_of(1)


def patient(ledger: LabelLedger, clock: FakeClock, *answers: bool) -> RetryingLedger:
    """Return one whose model answers or not, each time that it is asked."""
    rest = iter(answers)

    async def is_answering() -> bool:
        return next(rest)

    return RetryingLedger(ledger, clock, is_answering)


class Away(MemoryLedger):
    """Fails some times, then works."""

    def __init__(self, times: int, error: Exception) -> None:
        super().__init__()
        self.times = times
        self.error = error

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        self._fail()
        return super().find(keys)

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        self._fail()
        super().record(entries)

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        self._fail()
        return super().claim(keys)

    def _fail(self) -> None:
        if self.times:
            self.times -= 1
            raise self.error


@pytest.mark.anyio
async def test_a_ledger_that_is_away_for_a_while_is_asked_again() -> None:
    ledger, clock = Away(2, TransientError("busy")), FakeClock()
    asked = patient(ledger, clock)
    await asked.record({KEY: ENTRY})
    assert ledger.labels == {KEY: ENTRY}
    assert clock.sleeps == [0.5, 1.0]
    ledger.times = 2
    assert await asked.find([KEY]) == {KEY: ENTRY}
    ledger.times = 2
    async with asked.alone([KEY], Shutdown()) as bought:
        assert bought == ({KEY: ENTRY}, [])


@pytest.mark.anyio
async def test_a_claim_is_given_back_where_the_look_after_it_fails() -> None:
    class Blind(MemoryLedger):
        times = 1

        def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
            if self.times:
                self.times -= 1
                raise TransientError("busy")
            return super().find(keys)

    ledger = Blind()
    async with patient(ledger, FakeClock()).alone([KEY], Shutdown()) as (known, mine):
        assert (known, mine) == ({}, [KEY])
    assert ledger.claimed == set()


@pytest.mark.anyio
async def test_a_ledger_that_stays_away_is_waited_for_with_a_line_in_the_log_and_is_an_error_then(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ledger, clock = Away(99, TransientError("busy")), FakeClock()
    with pytest.raises(TransientError, match="busy"):
        await patient(ledger, clock).find([KEY])
    assert STORE.total <= sum(clock.sleeps) < STORE.total + STORE.longest
    assert {record.message for record in caplog.records} == {
        "waiting for the ledger of labels: busy"
    }


@pytest.mark.anyio
async def test_a_damaged_ledger_is_not_asked_again() -> None:
    ledger = Away(99, ConfigError("damaged"))
    with pytest.raises(ConfigError, match="damaged"):
        await patient(ledger, FakeClock()).find([KEY])
    assert ledger.times == 98


@pytest.mark.anyio
async def test_what_another_is_buying_is_waited_for_and_taken_from_the_ledger() -> None:
    ledger = MemoryLedger()

    class Meanwhile(FakeClock):
        async def sleep(self, seconds: float) -> None:
            await super().sleep(seconds)
            if len(self.sleeps) == 3:
                ledger.record(entries(1))
                ledger.release([KEY])

    clock = Meanwhile()
    ledger.claim([KEY])
    async with patient(ledger, clock).alone([KEY], Shutdown()) as bought:
        assert bought == ({KEY: ENTRY}, [])
        assert clock.sleeps == [CLAIM_POLL] * 3
        assert ledger.claimed == {KEY}
    assert ledger.claimed == set()


@pytest.mark.anyio
@pytest.mark.parametrize("answers", [(True, True), (False, True, False, True, True)])
async def test_one_that_buys_for_ever_though_the_model_answers_holds_nobody_back_for_ever(
    answers: tuple[bool, ...],
) -> None:
    ledger, clock = MemoryLedger(), FakeClock(most=100_000)
    ledger.claim([KEY])
    async with patient(ledger, clock, *answers).alone([KEY], Shutdown()) as bought:
        assert bought == ({}, [KEY])
    waits = len(answers)
    assert waits * CLAIM_PATIENCE <= sum(clock.sleeps) < waits * (CLAIM_PATIENCE + 1)
    assert ledger.claimed == {KEY}, "the claim is the other's"


@pytest.mark.anyio
async def test_a_claim_is_given_back_when_the_purchase_fails() -> None:
    ledger = MemoryLedger()
    with pytest.raises(ZeroDivisionError):
        async with patient(ledger, FakeClock()).alone([KEY], Shutdown()):
            raise ZeroDivisionError
    assert ledger.claimed == set()


@pytest.mark.anyio
async def test_what_others_buy_is_left_to_them_and_nothing_is_claimed_while_we_wait() -> None:
    ledger, other = MemoryLedger(), key_of(2)
    ledger.claim([other])
    async with patient(ledger, FakeClock()).alone([other, KEY], Shutdown()) as bought:
        assert bought == ({}, [KEY])
        assert ledger.claimed == {other, KEY}
    assert ledger.claimed == {other}


@pytest.mark.anyio
async def test_a_wait_for_others_ends_with_the_work() -> None:
    ledger, shutdown = MemoryLedger(), Shutdown()
    ledger.claim([KEY])

    class Ending(FakeClock):
        async def sleep(self, seconds: float) -> None:
            shutdown.end()
            await super().sleep(seconds)
            await asyncio.Event().wait()

    with pytest.raises(Cancelled):
        async with patient(ledger, Ending()).alone([KEY], shutdown):
            raise AssertionError("nobody gave the claim back")
    assert ledger.claimed == {KEY}
