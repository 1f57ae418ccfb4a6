"""At the end nothing begins, and waits are given up."""

import asyncio

import pytest

from reviewstream.core.labelling.shutdown import Cancelled, Shutdown
from reviewstream.errors import FatalError, TransientError


@pytest.mark.anyio
async def test_a_wait_that_is_over_in_time_is_kept() -> None:
    async def seven() -> int:
        await asyncio.sleep(0)
        return 7

    assert await Shutdown().run_until_shutdown(seven()) == 7


@pytest.mark.anyio
async def test_a_wait_is_given_up_at_the_end_and_leaves_nothing_running() -> None:
    shutdown, ended = Shutdown(), asyncio.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    before = asyncio.all_tasks()
    waiting = asyncio.ensure_future(shutdown.run_until_shutdown(forever()))
    await asyncio.sleep(0)
    shutdown.end()
    with pytest.raises(Cancelled):
        await waiting
    assert ended.is_set()
    assert asyncio.all_tasks() == before


@pytest.mark.anyio
async def test_what_a_wait_raises_is_raised() -> None:
    async def fail() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await Shutdown().run_until_shutdown(fail())


def test_after_the_end_nobody_passes() -> None:
    shutdown = Shutdown()
    shutdown.check()
    shutdown.stop(FatalError("no money"))
    with pytest.raises(Cancelled):
        shutdown.check()


def test_a_stop_tells_more_than_what_failed_before_or_after_it() -> None:
    shutdown, stop = Shutdown(), FatalError("no money")
    for reason in (TransientError("first"), stop, FatalError("later"), TransientError("last")):
        shutdown.stop(reason)
        shutdown.stop(Cancelled())
    assert shutdown.reason is stop
