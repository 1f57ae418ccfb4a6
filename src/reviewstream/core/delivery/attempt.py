"""Exactly once: one task's records in one transaction, with a marker that a replay finds."""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from typing import TypeAlias

from reviewstream.core.delivery.markers import Marker, is_written
from reviewstream.core.delivery.ports import OutgoingRecord, TransactionalSink
from reviewstream.errors import ReviewStreamError, TransientError

Attempt: TypeAlias = Generator[None, None, bool]


def attempt(sink: TransactionalSink, task: Marker, records: Iterable[OutgoingRecord]) -> Attempt:
    """Write a task's records unless they are written; a generator, so that tests may crash it.

    It yields wherever a process may die or another attempt at the same task may come between.

    Returns:
        Whether it wrote.

    Raises:
        ConfigError: See `core.markers.is_written`.
        ReviewStreamError: See `TransactionalSink`.
    """
    # In this order: an attempt that is thought dead could commit between the look and the fence.
    sink.fence()
    yield
    last = sink.marker()
    yield
    if is_written(task, last):
        return False
    sink.begin()
    try:
        for record in records:
            yield
            sink.write(record)
        yield
        sink.commit(task)
    except TransientError:
        raise  # the next attempt's fence undoes it
    except Exception:
        # Whoever reads waits for the end of an open transaction; nobody tries this one again.
        with suppress(ReviewStreamError):
            sink.abort()
        raise
    return True


def deliver(
    open_sink: Callable[[], TransactionalSink],
    task: Marker,
    records: Iterable[OutgoingRecord],
    wait: Callable[[TransientError], None],
) -> bool:
    """Write a task's records exactly once, trying again while that may help.

    Args:
        open_sink: Called for each attempt; a `TransientError` of its own fails the attempt.
        task: Its marker.
        records: All of the task's; looked through anew in each attempt.
        wait: Called after each failed attempt; it raises when it was the last.

    Returns:
        Whether they were written now; otherwise they were there already.
    """
    while True:
        try:
            with closing(open_sink()) as sink:
                return _end(attempt(sink, task, records))
        except TransientError as error:
            failed = error
        wait(failed)


def _end(steps: Attempt) -> bool:
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return bool(end.value)
