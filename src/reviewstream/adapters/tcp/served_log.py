"""The served log, and what its sessions share: threads, and memory for pieces of the file."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, ParamSpec, TypeVar

from reviewstream.adapters.files.review_log import ReviewLog
from reviewstream.adapters.tcp.access import ServerAuth
from reviewstream.adapters.tcp.replay_throttle import ReplayThrottle

GREETING: Final = 10.0  # seconds for the client's hello
LOADED: Final = 1 << 20  # bytes read from the file at once: each read costs a thread switch
LOADED_LITTLE: Final = 64 << 10  # bytes read at once while other sessions use all the memory
READ_AHEAD: Final = 32 << 20  # bytes of large pieces that all sessions hold together
READERS: Final = 4  # threads that read the file

P = ParamSpec("P")
T = TypeVar("T")


class ReadBudget:
    """A limit on bytes that are read but not sent: a slow client keeps its piece for long.

    When the budget is used up, pieces are small, but no session waits.
    """

    def __init__(self, size: int = READ_AHEAD) -> None:
        self._free = size

    @contextmanager
    def piece(self, wanted: int) -> Iterator[int]:
        """Yield the number of bytes to read, at most `wanted`; reserved until the block ends."""
        large = min(wanted, LOADED)
        taken = large if large <= self._free else 0
        self._free -= taken
        try:
            yield taken or min(wanted, LOADED_LITTLE)
        finally:
            self._free += taken


@dataclass(frozen=True, kw_only=True)
class ServedLog:
    """The state that all sessions share.

    Attributes:
        chunk_bytes: Bytes of the file in one message.
        heartbeat: Seconds of silence after which a tailing client receives a heartbeat.
        poll: Seconds between checks for new lines.
        auth: TLS and token.
        handshake: Seconds for the client's hello.
        idle: Seconds without a request, or without progress of sending.
        clock: Returns seconds.
    """

    log: ReviewLog
    throttle: ReplayThrottle
    chunk_bytes: int
    heartbeat: float
    poll: float
    auth: ServerAuth = field(default_factory=ServerAuth)
    handshake: float = GREETING
    idle: float = 600.0
    clock: Callable[[], float] = time.monotonic
    budget: ReadBudget = field(default_factory=ReadBudget)
    threads: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(READERS))

    def in_thread(
        self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs
    ) -> asyncio.Future[T]:
        """Run a function that reads the file in a thread, so that other clients are not blocked."""
        loop = asyncio.get_running_loop()
        return loop.run_in_executor(self.threads, lambda: function(*args, **kwargs))

    async def ranges(self, offset: int) -> AsyncIterator[tuple[int, int]]:
        """Yield the ranges that become readable, and an empty one after some silence.

        Ends with a file that does not grow.
        """
        quiet_since = self.clock()
        while True:
            head = await self.in_thread(self.throttle.head, offset)
            now = self.clock()
            if head > offset or now - quiet_since >= self.heartbeat:
                yield offset, max(offset, head)
                offset, quiet_since = max(offset, head), now
            elif not self.log.follow and offset >= self.log.size():
                return
            else:
                await asyncio.sleep(self.poll)
