"""Retry of calls to a store that is unavailable for a while: Redis fails over, a file is locked."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Final, TypeVar

from reviewstream.core.labelling.backoff import backoff
from reviewstream.core.retry.ports import Clock
from reviewstream.errors import TransientError

OUTAGE: Final = timedelta(seconds=90)  # Redis elects another primary in less
RETRY_CAP: Final = 5.0  # seconds; the longest wait between two calls

T = TypeVar("T")


async def call_with_retry(
    call: Callable[[], Awaitable[T]], clock: Clock, on_failure: Callable[[TransientError], None]
) -> T:
    """Call a store again after each transient failure.

    Args:
        call: The call.
        clock: Clock for the waits.
        on_failure: Called before each wait.

    Raises:
        TransientError: The store is still unavailable after `OUTAGE`.
    """
    began, attempt = clock.now(), 0
    while True:
        try:
            return await call()
        except TransientError as err:
            if clock.now() - began >= OUTAGE:
                raise
            on_failure(err)
        attempt += 1
        await clock.sleep(backoff(attempt, jitter=clock.jitter(), cap=RETRY_CAP))
