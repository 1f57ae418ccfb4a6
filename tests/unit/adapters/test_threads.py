"""A thread that does what blocks, in order."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import closing
from functools import partial

import pytest

from reviewstream.adapters.threads import SerialThread
from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.limits.operations import Amount, LimitKey, Operation, Reply
from reviewstream.core.labelling.limits.shared_limiter import SharedLimiter
from reviewstream.core.labelling.offload import Offload
from reviewstream.testing import FakeClock, MemoryLimits

TERMS = LimitKey(model="m", run="this one")
TIMEOUT = 20  # seconds; only a test that fails takes them


class Locked(MemoryLimits):
    """A store that another process keeps locked until the event loop has gone on."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.lock = threading.Event()
        self.begun = threading.Event()
        self.operations: list[str] = []

    def apply(self, operation: Operation, terms: LimitKey) -> Reply:
        self.begun.set()
        assert self.lock.wait(TIMEOUT), "the event loop waits for the store"
        self.operations.append(type(operation).__name__)
        return super().apply(operation, terms)


@pytest.fixture
def thread() -> Iterator[SerialThread]:
    with closing(SerialThread()) as opened:
        yield opened


@pytest.mark.anyio
async def test_work_is_done_elsewhere_and_its_result_or_error_comes_back(
    thread: SerialThread,
) -> None:
    offload: Offload = thread
    name = await offload.run(lambda: threading.current_thread().name)
    assert name.startswith("reviewstream")
    with pytest.raises(KeyError):
        await offload.run({}.popitem)


@pytest.mark.anyio
async def test_work_is_done_in_the_order_in_which_it_came(thread: SerialThread) -> None:
    done: list[int] = []
    for number in range(100):
        thread.submit(partial(done.append, number))
    await asyncio.gather(*(thread.run(partial(done.append, n)) for n in range(100, 200)))
    assert done == list(range(200))


@pytest.mark.anyio
async def test_an_error_of_submitted_work_does_not_end_the_thread(
    thread: SerialThread, caplog: pytest.LogCaptureFixture
) -> None:
    thread.submit({}.popitem)
    assert await thread.run(lambda: 5) == 5
    assert caplog.messages == ["work that was submitted failed"]


@pytest.mark.anyio
async def test_work_that_nobody_waits_for_any_more_is_not_begun(thread: SerialThread) -> None:
    go, done = threading.Event(), list[int]()
    thread.submit(partial(go.wait, TIMEOUT))
    waiting = asyncio.create_task(thread.run(partial(done.append, 1)))
    await asyncio.sleep(0)  # it is in the queue
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    await thread.run(partial(done.append, 2))
    assert done == [2]


@pytest.mark.anyio
async def test_work_that_was_begun_is_finished_when_nobody_waits_any_more(
    thread: SerialThread,
) -> None:
    begun, go, done = threading.Event(), threading.Event(), list[int]()

    def work() -> None:
        begun.set()
        go.wait(TIMEOUT)
        done.append(1)

    waiting = asyncio.create_task(thread.run(work))
    await asyncio.to_thread(begun.wait, TIMEOUT)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    go.set()
    await thread.run(partial(done.append, 2))
    assert done == [1, 2]


def test_a_loop_that_is_closed_meanwhile_is_no_failure(
    thread: SerialThread, caplog: pytest.LogCaptureFixture
) -> None:
    begun, go = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go.wait(TIMEOUT)

    async def give_up() -> None:
        waiting = asyncio.create_task(thread.run(work))
        await asyncio.to_thread(begun.wait, TIMEOUT)
        waiting.cancel()

    asyncio.run(give_up())
    go.set()
    assert asyncio.run(thread.run(lambda: 5)) == 5
    assert caplog.messages == []


def test_a_close_waits_for_what_was_submitted() -> None:
    thread, go, done = SerialThread(), threading.Event(), list[str]()
    thread.submit(partial(go.wait, TIMEOUT))
    thread.submit(partial(done.append, "settled"))
    closing_it = threading.Thread(target=thread.close)
    closing_it.start()
    go.set()
    closing_it.join(TIMEOUT)
    assert done == ["settled"]
    thread.close()
    with pytest.raises(RuntimeError, match="closed"):
        thread.submit(go.set)
    with pytest.raises(RuntimeError, match="closed"):
        asyncio.run(thread.run(go.set))


@pytest.mark.anyio
async def test_a_store_that_is_locked_holds_up_nobody_else_on_the_event_loop(
    thread: SerialThread,
) -> None:
    store = Locked()
    limiter = SharedLimiter(store, TERMS, FakeClock(), offload=thread)
    limiter.learn(RateLimits())
    asking = asyncio.create_task(limiter.acquire(Amount(tokens=1, micro_usd=5)))
    checking = asyncio.create_task(limiter.check())
    await asyncio.sleep(0)  # both have asked
    limiter.settle(Amount(micro_usd=5), Amount())
    store.lock.set()
    await asyncio.gather(asking, checking)
    assert store.operations[:3] == ["Observe", "Reserve", "Abort"]


@pytest.mark.anyio
async def test_whoever_is_cancelled_while_the_store_is_locked_leaves_nothing_reserved(
    thread: SerialThread,
) -> None:
    store = Locked()
    limiter = SharedLimiter(store, TERMS, FakeClock(), offload=thread)
    asking = asyncio.create_task(limiter.acquire(Amount(tokens=1, micro_usd=5)))
    await asyncio.to_thread(store.begun.wait, TIMEOUT)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    store.lock.set()
    await limiter.check()
    assert store.operations == ["Reserve", "Release", "Abort"]
    assert (store.spent, store.reserved[""].micro_usd) == ({"": 0}, 0)
