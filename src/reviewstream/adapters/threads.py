"""A thread for calls that block, so that the event loop goes on with its requests meanwhile.

A queue of its own takes half of the time that an executor of `concurrent.futures` takes, which
makes two futures for each call.
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
    """`Offload` that does one piece of work after the other, in the order in which they came.

    It does not keep a process alive: without `close`, submitted work may be lost at its end.

    Args:
        name: Of the thread, in stack traces.
    """

    def __init__(self, name: str = "reviewstream") -> None:
        self._works: SimpleQueue[Callable[[], object] | None] = SimpleQueue()
        self._is_closed = False
        self._thread = Thread(target=self._do_all, name=name, daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        """Wait for work; if this is cancelled, work that has begun is finished all the same.

        Raises:
            RuntimeError: The thread was closed.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[T] = loop.create_future()
        self.submit(partial(_do, work, loop, done))
        return await done

    def submit(self, work: Callable[[], object]) -> None:
        """Do work later, which must not raise.

        Raises:
            RuntimeError: The thread was closed.
        """
        if self._is_closed:
            raise RuntimeError("the thread was closed")
        self._works.put(work)

    def close(self) -> None:
        """Do everything that was submitted, and end the thread. This blocks."""
        if not self._is_closed:
            self._is_closed = True
            self._works.put(None)
        self._thread.join()

    def _do_all(self) -> None:
        while (work := self._works.get()) is not None:
            try:
                work()
            except Exception:  # noqa: BLE001 - the next piece of work is to be done
                _log.exception("work that was submitted failed")


def _do(work: Callable[[], T], loop: asyncio.AbstractEventLoop, done: "asyncio.Future[T]") -> None:
    if done.cancelled():
        return
    try:
        tell: Callable[..., None] = partial(_tell, done, done.set_result, work())
    except BaseException as err:  # noqa: BLE001 - it is raised where the work is waited for
        tell = partial(_tell, done, done.set_exception, err)
    with suppress(RuntimeError):  # the loop was closed: nobody waits
        loop.call_soon_threadsafe(tell)


def _tell(done: "asyncio.Future[Any]", tell: Callable[[Any], None], what: object) -> None:
    if not done.done():
        tell(what)
