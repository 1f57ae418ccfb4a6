"""At the end nothing begins, and waits are given up."""

import asyncio

import pytest

from reviewstream.core.labelling.shutdown import Halt, Halted
from reviewstream.errors import StopError, TransientError


@pytest.mark.anyio
async def test_a_wait_that_is_over_in_time_is_kept() -> None:
    async def seven() -> int:
        await asyncio.sleep(0)
        return 7

    assert await Halt().unless_halted(seven()) == 7


@pytest.mark.anyio
async def test_a_wait_is_given_up_at_the_end_and_leaves_nothing_running() -> None:
    halt, ended = Halt(), asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    before = asyncio.all_tasks()
    waiting = asyncio.ensure_future(halt.unless_halted(forever()))
    await asyncio.sleep(0)
    halt.end()
    with pytest.raises(Halted):
        await waiting
    assert ended.is_set()
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
async def test_what_a_wait_raises_is_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Halt().unless_halted(fail())


def test_after_the_end_nobody_passes() -> None:
    halt = Halt()
    halt.check()
    halt.stop(StopError("no money"))
    with pytest.raises(Halted):
        halt.check()


def test_a_stop_tells_more_than_what_failed_before_or_after_it() -> None:
    halt, stop = Halt(), StopError("no money")
    for reason in (TransientError("first"), stop, StopError("later"), TransientError("last")):
        halt.stop(reason)
        halt.stop(Halted())
    assert halt.reason is stop
