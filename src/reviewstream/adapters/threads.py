"""A thread for blocking calls, so that the event loop can continue with its requests.

A separate queue takes half the time of a `concurrent.futures` executor, which creates two futures
per call.
"""

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

_log = logging.getLogger(__name__)


class SerialThread:
    """`Offload` that runs functions one after another, in the order of submission.

    It does not keep the process alive: without `close`, submitted work may be lost at exit.

    Args:
        name: Name of the thread, in stack traces.
    """

    def __init__(self, name: str = "reviewstream") -> None:
        self._works: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._is_closed = False
        self._thread = Thread(target=self._do_all, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """Run a function and return its result; if cancelled, a running function still finishes.

        Raises:
            RuntimeError: The thread is closed.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self.submit(partial(_do, work, loop, done))
        return await done

    def submit(self, work: Callable[[], object]) -> None:
        """Run a function later, which must not raise.

        Raises:
            RuntimeError: The thread is closed.
        """
        if self._is_closed:
            raise RuntimeError("the thread was closed")
        self._works.put(work)

    def close(self) -> None:
        """Run all submitted functions, and end the thread. This blocks."""
        if not self._is_closed:
            self._is_closed = True
            self._works.put(None)
        self._thread.join()

    def _do_all(self) -> None:
        while (work := self._works.get()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - the next function must still run
                _log.exception("work that was submitted failed")


def _do(work: Callable[[], T], loop: asyncio.AbstractEventLoop, done: "asyncio.Future[T]") -> None:
    if done.cancelled():
        return
    try:
        tell: Callable[..., None] = partial(_tell, done, done.set_result, work())
    except BaseException as err:  # noqa: BLE001 - raised in the caller of `run`
        tell = partial(_tell, done, done.set_exception, err)
    with suppress(RuntimeError):  # the loop is closed: no caller waits
        loop.call_soon_threadsafe(tell)


def _tell(done: "asyncio.Future[Any]", tell: Callable[[Any], None], what: object) -> None:
    if not done.done():
        tell(what)
