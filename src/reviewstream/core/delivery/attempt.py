"""Exactly-once writes: one task's records in one transaction, with a marker that replays read."""

from collections.abc import Callable, Generator, Iterable
from contextlib import closing, suppress
from typing import TypeAlias

from reviewstream.core.delivery.markers import Marker, is_written
from reviewstream.core.delivery.ports import OutgoingRecord, TransactionalSink
from reviewstream.errors import ReviewStreamError, TransientError

Attempt: TypeAlias = Generator[None, None, bool]


def attempt(sink: TransactionalSink, task: Marker, records: Iterable[OutgoingRecord]) -> Attempt:
    """Write a task's records unless they are written; a generator, so that tests can crash it.

    It yields wherever a process may die or another attempt at the same task may intervene.

    Returns:
        Whether it wrote the records.

    Raises:
        ConfigError: See `core.delivery.markers.is_written`.
        ReviewStreamError: See `TransactionalSink`.
    """
    # Fence first: an attempt presumed dead could otherwise commit after the marker is read.
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
        raise  # the fence of the next attempt aborts it
    except Exception:
        # Abort: readers wait for the end of an open transaction, and this one is not retried.
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
    """Write a task's records exactly once; retry after transient errors.

    Args:
        open_sink: Called for each attempt; a `TransientError` that it raises fails the attempt.
        task: The task's marker.
        records: All records of the task; iterated again in each attempt.
        wait: Called after each failed attempt; it raises after the last one.

    Returns:
        Whether the records were written now; otherwise they were already there.
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
