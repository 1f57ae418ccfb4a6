"""What every `TransactionalSink` must do; provide `log`, `open_sink`, `settings` and `topic`."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from reviewstream.core.delivery.attempt import attempt, deliver
from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import OutgoingRecord, RecordLog, TransactionalSink
from reviewstream.errors import PermanentError, TransientError
from tests.contract.record_sink import of

PATIENCE = 30.0  # seconds
OpenSink = Callable[[], TransactionalSink]


def marker(batch: int, count: int = 2) -> Marker:
    return Marker(query="q", batch=batch, count=count, checksum=7)


def never(error: TransientError) -> None:
    raise error


def until(seconds: float) -> Iterator[None]:
    """Go on for so long: what is to be noticed may take a moment."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield


def keys(log: RecordLog, topic: str) -> list[bytes]:
    return sorted(record.key or b"" for record in log.read_all(topic))


def commit(sink: TransactionalSink, records: list[OutgoingRecord], batch: int) -> None:
    sink.begin()
    for record in records:
        sink.write(record)
    sink.commit(marker(batch))


class TransactionalSinkContract:
    """All sinks that `open_sink` opens have the same name."""

    @pytest.fixture
    def sink(self, open_sink: OpenSink) -> Iterator[TransactionalSink]:
        with closing(open_sink()) as sink:
            yield sink

    @pytest.fixture(autouse=True)
    def topics(self, log: RecordLog, topic: str) -> None:
        log.ensure([topic])

    def test_a_new_name_has_no_marker(self, sink: TransactionalSink) -> None:
        sink.fence()
        assert sink.marker() is None

    def test_records_and_marker_are_there_after_the_commit_and_not_before(
        self, log: RecordLog, sink: TransactionalSink, topic: str
    ) -> None:
        sink.fence()
        sink.begin()
        sink.write(of(topic, "a"))
        sink.write(of(topic, "b"))
        assert sum(log.end_offsets(topic).values()) == 0
        sink.commit(marker(0))
        assert keys(log, topic) == [b"a", b"b"]
        assert sink.marker() == marker(0)

    def test_the_last_marker_counts(self, sink: TransactionalSink, topic: str) -> None:
        sink.fence()
        for batch in (0, 1, 7):
            commit(sink, [of(topic, "k")], batch)
        assert sink.marker() == marker(7)

    def test_what_is_aborted_leaves_no_trace(
        self, log: RecordLog, sink: TransactionalSink, topic: str
    ) -> None:
        sink.fence()
        sink.begin()
        sink.write(of(topic, "lost"))
        sink.abort()
        commit(sink, [of(topic, "kept")], 0)
        assert keys(log, topic) == [b"kept"]

    def test_a_sink_that_died_is_undone_by_the_next(
        self, log: RecordLog, sink: TransactionalSink, open_sink: OpenSink, topic: str
    ) -> None:
        sink.fence()
        sink.begin()
        sink.write(of(topic, "dead"))
        with closing(open_sink()) as later:
            later.fence()
            assert later.marker() is None
            commit(later, [of(topic, "alive")], 0)
        assert keys(log, topic) == [b"alive"]

    def test_of_two_sinks_the_one_that_fenced_last_writes(
        self, log: RecordLog, sink: TransactionalSink, open_sink: OpenSink, topic: str
    ) -> None:
        sink.fence()
        sink.begin()
        sink.write(of(topic, "k"))
        with closing(open_sink()) as later:
            later.fence()
            with pytest.raises(TransientError):
                sink.commit(marker(0))
            commit(later, [of(topic, "k")], 0)
        assert keys(log, topic) == [b"k"]

    def test_a_sink_that_was_fenced_before_it_began_writes_nothing(
        self, log: RecordLog, sink: TransactionalSink, open_sink: OpenSink, topic: str
    ) -> None:
        sink.fence()
        with closing(open_sink()) as later:
            later.fence()
            commit(later, [of(topic, "later")], 4)
        with pytest.raises(TransientError):
            commit(sink, [of(topic, "zombie")], 3)
        assert keys(log, topic) == [b"later"]

    def test_a_sink_that_is_fenced_while_it_writes_may_be_followed_by_another(
        self, log: RecordLog, sink: TransactionalSink, open_sink: OpenSink, topic: str
    ) -> None:
        sink.fence()
        sink.begin()
        with closing(open_sink()) as later:
            later.fence()
            with pytest.raises(TransientError):
                for _ in until(PATIENCE):
                    sink.write(of(topic, "late"))
            commit(later, [of(topic, "k")], 0)
        assert keys(log, topic) == [b"k"]

    def test_an_attempt_that_is_fenced_while_it_writes_begins_again(
        self, log: RecordLog, open_sink: OpenSink, topic: str
    ) -> None:
        fenced: list[TransientError] = []
        with closing(open_sink()) as other:

            class Overtaken:
                """The records of a task; the first who writes them is fenced meanwhile."""

                def __iter__(self) -> Iterator[OutgoingRecord]:
                    yield of(topic, "k")
                    if not fenced:
                        other.fence()
                        yield from (of(topic, "late") for _ in until(PATIENCE))

            assert deliver(open_sink, marker(0, 1), Overtaken(), fenced.append)
        assert len(fenced) == 1
        assert keys(log, topic) == [b"k"]

    def test_a_marker_is_read_by_whoever_has_fenced(
        self, sink: TransactionalSink, open_sink: OpenSink, topic: str
    ) -> None:
        sink.fence()
        commit(sink, [of(topic, "k")], 3)
        with closing(open_sink()) as later:
            later.fence()
            assert later.marker() == marker(3)

    def test_a_record_over_the_limit_is_refused_and_nothing_is_written(
        self, log: RecordLog, open_sink: OpenSink, topic: str
    ) -> None:
        records = [of(topic, "good"), of(topic, "big", b"x" * 2_000_000)]
        with pytest.raises(PermanentError, match=r"2,000,003 bytes \(limit 1,000,000\)"):
            deliver(open_sink, marker(0), records, never)
        assert keys(log, topic) == []
        assert deliver(open_sink, marker(0), records[:1], never)
        assert keys(log, topic) == [b"good"]

    def test_a_replay_writes_nothing(self, log: RecordLog, open_sink: OpenSink, topic: str) -> None:
        records = [of(topic, f"k{number}") for number in range(100)]
        written = [deliver(open_sink, marker(5), records, never) for _ in range(3)]
        assert written == [True, False, False]
        assert len(keys(log, topic)) == 100

    def test_an_attempt_that_is_overtaken_anywhere_writes_nothing(
        self, log: RecordLog, open_sink: OpenSink, topic: str
    ) -> None:
        """The steps: fence, marker, begin, a record, commit."""
        for steps in range(5):
            records = [of(topic, f"b{steps}")]
            with ExitStack() as stack:
                slow = attempt(stack.enter_context(closing(open_sink())), marker(steps), records)
                for _ in range(steps):
                    next(slow)
                assert deliver(open_sink, marker(steps), records, never)
                with pytest.raises((TransientError, StopIteration)):
                    while True:
                        next(slow)
        assert keys(log, topic) == [f"b{steps}".encode() for steps in range(5)]
