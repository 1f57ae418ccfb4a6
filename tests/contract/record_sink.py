"""What every `RecordSink` and `RecordLog` must do; provide `log`, `sink` and `topic`."""

import pytest

from reviewstream.core.delivery.ports import OutgoingRecord, RecordLog, RecordSink
from reviewstream.errors import PermanentError


def of(topic: str, key: str, value: bytes = b"v") -> OutgoingRecord:
    headers = (("reviewstream.version", b"7"),)
    return OutgoingRecord(topic=topic, key=key.encode(), value=value, headers=headers)


class RecordSinkContract:
    def test_everything_written_is_acknowledged_and_can_be_read(
        self, log: RecordLog, sink: RecordSink, topic: str
    ) -> None:
        log.ensure([topic])
        for number in range(500):
            sink.write(of(topic, f"k{number}"))
        assert sink.flush() == 500
        keys = sorted(record.key or b"" for record in log.read_all(topic))
        assert keys == sorted(f"k{number}".encode() for number in range(500))

    def test_a_record_is_read_as_it_was_written(
        self, log: RecordLog, sink: RecordSink, topic: str
    ) -> None:
        log.ensure([topic])
        sink.write(of(topic, "ключ", b"\0\1\2"))
        sink.flush()
        (record,) = log.read_all(topic)
        assert (record.topic, record.key, record.value) == (topic, "ключ".encode(), b"\0\1\2")
        assert record.headers == (("reviewstream.version", b"7"),)

    def test_flush_counts_what_was_acknowledged_since_the_last_one(
        self, log: RecordLog, sink: RecordSink, topic: str
    ) -> None:
        log.ensure([topic])
        counts = []
        for burst in (3, 0, 2):
            for number in range(burst):
                sink.write(of(topic, str(number)))
            counts.append(sink.flush())
        assert counts == [3, 0, 2]

    def test_records_of_one_key_keep_their_order(
        self, log: RecordLog, sink: RecordSink, topic: str
    ) -> None:
        log.ensure([topic])
        for number in range(300):
            sink.write(of(topic, f"k{number % 3}", str(number).encode()))
        sink.flush()
        values: dict[bytes | None, list[int]] = {}
        for record in log.read_all(topic):
            values.setdefault(record.key, []).append(int(record.value or b""))
        assert sorted(values.values()) == [list(range(n, 300, 3)) for n in range(3)]

    def test_a_record_over_the_limit_is_refused_with_its_size_and_the_others_are_written(
        self, log: RecordLog, sink: RecordSink, topic: str
    ) -> None:
        log.ensure([topic])
        sink.write(of(topic, "before"))
        with pytest.raises(PermanentError, match=r"2,000,003 bytes \(limit 1,000,000\)"):
            sink.write(of(topic, "big", b"x" * 2_000_000))
        sink.write(of(topic, "after"))
        assert sink.flush() == 2
        assert sorted(r.key or b"" for r in log.read_all(topic)) == [b"after", b"before"]

    def test_a_topic_is_created_once(self, log: RecordLog, topic: str) -> None:
        assert list(log.ensure([topic])) == [topic]
        assert list(log.ensure([topic])) == []

    def test_the_end_offsets_count_what_was_written(
        self, log: RecordLog, sink: RecordSink, topic: str
    ) -> None:
        log.ensure([topic])
        assert dict(log.end_offsets(topic)) == {0: 0, 1: 0, 2: 0}
        for number in range(10):
            sink.write(of(topic, str(number)))
        sink.flush()
        assert sum(log.end_offsets(topic).values()) == 10

    def test_an_empty_topic_is_read_at_once(self, log: RecordLog, topic: str) -> None:
        log.ensure([topic])
        assert list(log.read_all(topic)) == []

    def test_a_topic_that_is_not_there_is_a_permanent_error(
        self, log: RecordLog, topic: str
    ) -> None:
        with pytest.raises(PermanentError, match=topic):
            log.end_offsets(topic)
        with pytest.raises(PermanentError, match=topic):
            list(log.read_all(topic))
