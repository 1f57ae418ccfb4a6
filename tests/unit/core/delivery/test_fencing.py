"""Of a name one sink can write, and what it writes is there at once or not at all."""

import pytest

from reviewstream.core.delivery.fencing import FencedSink
from reviewstream.core.delivery.ports import OutgoingRecord
from reviewstream.errors import PermanentError, TransientError
from reviewstream.testing import MemoryLog, MemorySink, MemoryTransactionalSink


@pytest.fixture
def log() -> MemoryLog:
    log = MemoryLog()
    log.ensure(["t"])
    return log


def opened(log: MemoryLog) -> FencedSink:
    return FencedSink(MemoryTransactionalSink(log, "name"), "name")


def of(key: str, value: bytes = b"v", topic: str = "t") -> OutgoingRecord:
    return OutgoingRecord(topic=topic, key=key.encode(), value=value)


def keys(log: MemoryLog) -> list[bytes]:
    return sorted(record.key or b"" for record in log.read_all("t"))


def test_records_are_there_when_they_are_flushed(log: MemoryLog) -> None:
    sink = opened(log)
    assert sink.flush() == 0
    for burst in ("ab", "c"):
        for key in burst:
            sink.write(of(key))
        assert sink.flush() == len(burst)
    assert keys(log) == [b"a", b"b", b"c"]


def test_what_was_not_flushed_when_the_next_one_began_is_never_there(log: MemoryLog) -> None:
    first = opened(log)
    first.write(of("late"))
    second = opened(log)
    with pytest.raises(TransientError, match="another sink has been fenced in"):
        first.flush()
    second.write(of("a"))
    assert second.flush() == 1
    with pytest.raises(TransientError, match="another sink has been fenced in"):
        first.flush()
    assert keys(log) == [b"a"]


def test_a_record_that_is_refused_leaves_nothing_of_the_others_and_the_next_ones_go_on(
    log: MemoryLog,
) -> None:
    sink = opened(log)
    sink.write(of("a"))
    with pytest.raises(PermanentError, match="limit"):
        sink.write(of("big", b"x" * MemorySink.LIMIT))
    sink.write(of("b"))
    sink.write(of("c", topic="nowhere"))
    with pytest.raises(PermanentError, match="nowhere"):
        sink.flush()
    sink.write(of("d"))
    assert sink.flush() == 1
    assert keys(log) == [b"d"]
