"""A thread for calls that block, so that the event loop goes on with its requests meanwhile."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class SerialThread:
    """`Offload` that does one piece of work after the other, in the order in which they came.

    Args:
        name: Of the thread, in stack traces.
    """

    def __init__(self, name: str = "reviewstream") -> None:
        self._pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix=name)

    async def run(self, work: Callable[[], T]) -> T:
        """Wait for work; if this is cancelled, work that has begun is finished all the same."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def submit(self, work: Callable[[], object]) -> None:
        """Do work later, and forget its result and its error.

        Raises:
            RuntimeError: The thread was closed.
        """
        self._pool.submit(work)

    def close(self) -> None:
        """Do everything that was submitted, and end the thread. This blocks."""
        self._pool.shutdown(wait=True)
