"""Exactly once, whatever dies and whatever comes between: the protocol against a model."""

from collections import Counter
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, TypeAlias

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from reviewstream.core.delivery.attempt import attempt, deliver
from reviewstream.core.delivery.markers import Marker, checksum, is_written
from reviewstream.core.delivery.ports import OutgoingRecord, TransactionalSink
from reviewstream.errors import ConfigError, PermanentError, TransientError
from reviewstream.testing import MemoryLog, MemoryTransactionalSink

Protocol: TypeAlias = Callable[
    [TransactionalSink, Marker, Sequence[OutgoingRecord]], Generator[None, None, bool]
]

TOPIC = "labelled"
PARTITIONS = 2
ROWS = 2  # of each task


def records(batch: int, partition: int) -> list[OutgoingRecord]:
    keys = [f"{batch}/{partition}/{row}".encode() for row in range(ROWS)]
    return [OutgoingRecord(topic=TOPIC, key=key, value=b"") for key in keys]


def marker_for(written: Sequence[OutgoingRecord], batch: int) -> Marker:
    origins = [record.key.decode() for record in written]
    return Marker(query="q", batch=batch, count=len(written), checksum=checksum(origins))


class Cluster(RuleBasedStateMachine):
    """A driver that runs micro-batch after micro-batch, and attempts that die or linger.

    The driver goes on to the next micro-batch when an attempt at each of its tasks has said that
    it is done. Attempts at old tasks may still be alive then: nothing but the protocol keeps them
    from writing.
    """

    protocol: Protocol = staticmethod(attempt)
    attempts: Bundle[Any] = Bundle("attempts")

    def __init__(self) -> None:
        super().__init__()
        self.log = MemoryLog(partitions=1)
        self.log.ensure([TOPIC])
        self.batch = 0
        self.done: set[int] = set()

    @rule(target=attempts, partition=st.integers(0, PARTITIONS - 1))
    def start(self, partition: int) -> tuple[int, int, Generator[None, None, bool]]:
        """Begin an attempt: the first, a retry, a speculative one, or one of a new driver."""
        written = records(self.batch, partition)
        sink = MemoryTransactionalSink(self.log, f"name-{partition}")
        steps = self.protocol(sink, marker_for(written, self.batch), written)
        return self.batch, partition, steps

    @rule(chosen=attempts, count=st.integers(1, 6))
    def go_on(self, chosen: tuple[int, int, Generator[None, None, bool]], count: int) -> None:
        batch, partition, steps = chosen
        with suppress(TransientError, ConfigError):  # fenced, or overtaken: the attempt failed
            for _ in range(count):
                try:
                    next(steps)
                except StopIteration as end:
                    # An attempt that ended before has nothing to say; Python says None for it.
                    if end.value is not None and batch == self.batch:
                        self.done.add(partition)
                    return

    @rule(chosen=consumes(attempts), tells=st.booleans())
    def kill(self, chosen: tuple[int, int, Generator[None, None, bool]], *, tells: bool) -> None:
        """End an attempt where it is; `tells`: it did one more step, and nobody heard of it."""
        if tells:
            with suppress(TransientError, ConfigError, StopIteration):
                next(chosen[2])
        chosen[2].close()

    @precondition(lambda self: len(self.done) == PARTITIONS)
    @rule(forgets=st.booleans())
    def end_batch(self, *, forgets: bool) -> None:
        """Put the end into the checkpoint; `forgets`: the driver dies before, and does it again."""
        self.done = set()
        self.batch += not forgets

    @invariant()
    def nothing_is_there_twice(self) -> None:
        counts = Counter(record.key for record in self.log.read_all(TOPIC))
        assert counts.total() == len(counts), counts

    @invariant()
    def nothing_that_is_done_is_missing(self) -> None:
        tasks = {(batch, part) for batch in range(self.batch) for part in range(PARTITIONS)}
        tasks |= {(self.batch, part) for part in self.done}
        found = {record.key for record in self.log.read_all(TOPIC)}
        for batch, partition in tasks:
            assert {record.key for record in records(batch, partition)} <= found


TestCluster = Cluster.TestCase
TestCluster.settings = settings(stateful_step_count=40, deadline=None)


# It is enough to find the fault; the shortest way to it takes longer.
QUICK = settings(
    max_examples=5_000,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.generate],
)


def look_before_fencing(
    sink: TransactionalSink, task: Marker, written: Sequence[OutgoingRecord]
) -> Generator[None, None, bool]:
    last = sink.marker()
    yield
    sink.fence()
    yield
    return (yield from write(sink, task, written)) if not is_written(task, last) else False


def look_without_a_marker(
    sink: TransactionalSink, task: Marker, written: Sequence[OutgoingRecord]
) -> Generator[None, None, bool]:
    sink.fence()
    yield
    return (yield from write(sink, task, written))


def marker_on_its_own(
    sink: TransactionalSink, task: Marker, written: Sequence[OutgoingRecord]
) -> Generator[None, None, bool]:
    sink.fence()
    yield
    last = sink.marker()
    if is_written(task, last):
        return False
    before = Marker(query="q", batch=-1, count=0, checksum=0) if last is None else last
    yield from write(sink, before, written)
    yield
    return (yield from write(sink, task, []))


def any_later_marker_will_do(
    sink: TransactionalSink, task: Marker, written: Sequence[OutgoingRecord]
) -> Generator[None, None, bool]:
    sink.fence()
    yield
    last = sink.marker()
    if last == task:
        return False
    return (yield from write(sink, task, written))


def write(
    sink: TransactionalSink, task: Marker, written: Sequence[OutgoingRecord]
) -> Generator[None, None, bool]:
    sink.begin()
    for record in written:
        yield
        sink.write(record)
    yield
    sink.commit(task)
    return True


@pytest.mark.parametrize(
    "broken",
    [look_before_fencing, look_without_a_marker, marker_on_its_own, any_later_marker_will_do],
)
def test_the_model_finds_what_a_broken_rule_does(broken: Protocol) -> None:
    class Broken(Cluster):
        protocol = staticmethod(broken)

    with pytest.raises(AssertionError):
        run_state_machine_as_test(Broken, settings=QUICK)


class Failing(MemoryTransactionalSink):
    """Loses the answer to a commit, or the broker, some times."""

    def __init__(self, log: MemoryLog, faults: list[str]) -> None:
        super().__init__(log, "name")
        self.faults = faults

    def commit(self, marker: Marker) -> None:
        fault = self.faults.pop(0) if self.faults else ""
        if fault == "before":
            raise TransientError("away")
        super().commit(marker)
        if fault == "after":
            raise TransientError("no answer")


def delivered(log: MemoryLog, faults: list[str], waits: list[str]) -> bool:
    written = records(0, 0)
    open_sink = partial(Failing, log, faults)
    task = marker_for(written, 0)
    return deliver(open_sink, task, written, lambda error: waits.append(str(error)))


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.ensure([TOPIC])
    return log


def test_a_commit_whose_answer_is_lost_is_looked_up_and_not_repeated(log: MemoryLog) -> None:
    waits: list[str] = []
    assert not delivered(log, ["before", "before", "after"], waits)
    assert waits == ["away", "away", "no answer"]
    assert len(list(log.read_all(TOPIC))) == ROWS


def test_what_fails_for_good_is_aborted_and_not_tried_again() -> None:
    log = MemoryLog()  # without the topic
    waits: list[str] = []
    with pytest.raises(PermanentError, match="topic labelled does not exist"):
        delivered(log, [], waits)
    assert waits == []


class Aborted(MemoryTransactionalSink):
    """Knows whether its transaction was ended without a trace."""

    aborts = 0

    def abort(self) -> None:
        super().abort()
        self.aborts += 1


def test_a_record_that_cannot_be_made_leaves_no_transaction_open(log: MemoryLog) -> None:
    def broken() -> Iterator[OutgoingRecord]:
        yield records(0, 0)[0]
        raise ValueError("no such field")

    sink = Aborted(log, "name")
    with pytest.raises(ValueError, match="no such field"):
        deliver(lambda: sink, marker_for(records(0, 0), 0), broken(), lambda _: None)
    assert sink.aborts == 1
    assert list(log.read_all(TOPIC)) == []


def test_a_sink_that_cannot_be_opened_is_tried_again(log: MemoryLog) -> None:
    waits: list[str] = []
    away = [TransientError("away"), TransientError("still away")]

    def open_sink() -> TransactionalSink:
        if away:
            raise away.pop(0)
        return log.transactional_sink("name")

    task, written = marker_for(records(0, 0), 0), records(0, 0)
    assert deliver(open_sink, task, written, lambda error: waits.append(str(error)))
    assert waits == ["away", "still away"]


def test_the_wait_decides_when_it_is_enough(log: MemoryLog) -> None:
    written = records(0, 0)

    def enough(error: TransientError) -> None:
        raise error

    with pytest.raises(TransientError, match="away"):
        deliver(partial(Failing, log, ["before"]), marker_for(written, 0), written, enough)
    assert list(log.read_all(TOPIC)) == []
