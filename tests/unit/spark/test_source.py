import time
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.streaming.datasource import ReadAllAvailable, ReadMaxBytes, ReadMaxRows

from reviewstream.adapters.tcp.client import ReviewClient
from reviewstream.adapters.tcp.log_server import serving
from reviewstream.errors import SourceReplacedError
from reviewstream.settings import SourceSettings
from reviewstream.spark import source
from reviewstream.spark.columns import SOURCE, arrow_type, rows_of
from reviewstream.spark.options import SourceOptions
from reviewstream.spark.source import DRAINED, ReviewReader, ReviewStreamReader
from tests.unit.spark.served import Served, fingerprint_of

LINES = b"".join(b"{line %d}\n" % n for n in range(10, 30))  # 20 lines of 10 bytes


@pytest.fixture(autouse=True)
def _no_idling(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(source, "IDLE", 0.0)


@pytest.fixture
def served() -> Served:
    return Served(LINES)


def stream(served: Served, **options: str) -> ReviewStreamReader:
    return ReviewStreamReader(SourceOptions.of(options), served.connect)


def offset(position: int, data: bytes = LINES) -> dict[str, Any]:
    return {
        "offset": position,
        "source": "reviews.json",
        "fingerprint": fingerprint_of(data[:64]),
        "partitions": SourceSettings().partitions,
    }


def test_a_new_query_starts_without_asking_the_server(served: Served) -> None:
    offset = stream(served, partitions="7").initialOffset()
    assert offset == {"offset": 0, "source": "", "fingerprint": "", "partitions": 7}
    start = stream(served, startingOffset="20").initialOffset()
    assert start["offset"] == 20
    assert served.connections == 0


def test_a_micro_batch_that_is_run_again_has_the_tasks_that_it_had() -> None:
    served = Served(LINES * 1_000)
    before, after = stream(served, partitions="4"), stream(served, partitions="7")
    start = before.initialOffset()
    end = before.latestOffset(start, ReadAllAvailable())
    assert after.partitions(start, end) == before.partitions(start, end)
    assert len(before.partitions(start, end)) == 4
    of_version_0_1 = {name: value for name, value in end.items() if name != "partitions"}
    assert len(after.partitions(start, of_version_0_1)) == 7


def test_half_a_line_that_was_the_last_is_read_whole_when_the_file_has_grown(
    served: Served,
) -> None:
    served.data = LINES[:35]
    first = stream(served)
    before = first.latestOffset(first.initialOffset(), ReadMaxRows(100))
    assert before["offset"] == 35
    served.data = LINES[:40]
    again = stream(served)
    after = again.latestOffset(before, ReadMaxRows(100))
    assert (after["offset"], after["begin"]) == (40, 30)
    assert again.latestOffset(after, ReadMaxRows(100)) == after
    for start, end, expected in (
        (first.initialOffset(), before, b"".join([LINES[:30], LINES[30:35]])),
        (before, after, LINES[30:40]),
    ):
        [task] = again.partitions(start, end)
        rows = [row for batch in again.read(task) for row in rows_of(batch, SOURCE)]
        raw = [row["rejection"]["raw"] for row in rows]
        assert raw == expected.splitlines(), "as it was when it was planned"


def test_an_offset_in_mid_line_that_the_options_name_is_no_half_line(served: Served) -> None:
    reader = stream(served, startingOffset="15")
    assert "begin" not in reader.latestOffset(reader.initialOffset(), ReadMaxRows(1))


def test_a_micro_batch_ends_at_the_limit_of_rows(served: Served) -> None:
    reader = stream(served, maxRowsPerTrigger="3")
    limit = reader.getDefaultReadLimit()
    assert limit == ReadMaxRows(3)
    first = reader.latestOffset(reader.initialOffset(), limit)
    assert first == offset(30)
    assert reader.latestOffset(first, limit) == offset(60)


def test_a_micro_batch_ends_at_the_limit_of_bytes(served: Served) -> None:
    reader = stream(served, maxBytesPerTrigger="25")
    assert reader.latestOffset(reader.initialOffset(), ReadMaxRows(1000)) == offset(20)
    assert reader.latestOffset(reader.initialOffset(), ReadMaxBytes(35)) == offset(30)


def test_all_available_knows_no_limit(served: Served) -> None:
    reader = stream(served, maxRowsPerTrigger="1", maxBytesPerTrigger="1")
    assert reader.latestOffset(reader.initialOffset(), ReadAllAvailable()) == offset(200)


def test_at_the_end_there_is_nothing_new(served: Served) -> None:
    reader = stream(served)
    assert reader.latestOffset(offset(200), ReadMaxRows(5)) == offset(200)


def test_latest_starts_at_what_there_was_when_the_server_was_first_asked(served: Served) -> None:
    reader = stream(served, startingOffset="latest")
    start = reader.initialOffset()
    first = reader.latestOffset(start, ReadMaxRows(1))
    assert first == offset(200)
    assert reader.partitions(start, first) == []
    served.data += b"{line 30}\n"
    second = reader.latestOffset(first, ReadMaxRows(1))
    assert second["offset"] == 210


def test_while_the_server_is_away_there_is_nothing_new_and_then_it_goes_on(served: Served) -> None:
    served.outages = [True]
    reader = stream(served, maxRowsPerTrigger="3")
    assert reader.latestOffset(offset(30), ReadMaxRows(3)) == offset(30)
    assert reader.latestOffset(offset(30), ReadMaxRows(3)) == offset(60)


def test_another_file_ends_the_query(served: Served) -> None:
    served.data = LINES.upper()
    with pytest.raises(SourceReplacedError):
        stream(served).latestOffset(offset(30), ReadMaxRows(3))


def test_a_file_that_is_written_over_while_it_is_served_ends_the_query(tmp_path: Path) -> None:
    path = tmp_path / "reviews.json"
    path.write_bytes(LINES)
    with serving(path, follow=True) as at:
        reader = ReviewStreamReader(SourceOptions.of({}), lambda: ReviewClient(at.host, at.port))
        start = reader.initialOffset()
        first = reader.latestOffset(start, ReadMaxRows(3))
        [task] = reader.partitions(start, first)
        rows = reader.read(task)
        with path.open("r+b") as file:
            file.write(LINES.upper() * 2)
        with pytest.raises(SourceReplacedError):
            next(rows)
        with pytest.raises(SourceReplacedError):
            reader.latestOffset(first, ReadMaxRows(3))
        reader.stop()


def test_another_file_ends_a_query_for_what_is_available_now(served: Served) -> None:
    served.data = LINES.upper()
    reader = stream(served)
    reader.prepareForTriggerAvailableNow()
    with pytest.raises(SourceReplacedError):
        reader.latestOffset(offset(30), ReadMaxRows(3))


def test_the_server_says_which_fingerprint_to_go_on_with(served: Served) -> None:
    served.sample = "0-ab,20+10-cd"
    first = stream(served).latestOffset(offset(0), ReadMaxRows(3))
    assert first["fingerprint"] == "0-ab,20+10-cd"


def test_a_file_that_has_grown_is_the_same_file() -> None:
    served = Served(LINES[:20])
    reader = stream(served)
    first = reader.latestOffset(reader.initialOffset(), ReadMaxRows(5))
    assert first["fingerprint"].startswith("20-")
    served.data = LINES
    second = stream(served).latestOffset(first, ReadMaxRows(100))
    assert second == offset(200)


def test_a_file_that_was_renamed_keeps_the_name_with_which_the_query_began(served: Served) -> None:
    reader = stream(served)
    start = offset(30) | {"source": "former.json"}
    end = reader.latestOffset(start, ReadMaxRows(3))
    assert end == offset(60) | {"source": "former.json"}
    assert [task.source for task in reader.partitions(start, end)] == ["former.json"]


def test_the_lag_is_known_once_the_server_was_asked(served: Served) -> None:
    reader = stream(served)
    assert reader.reportLatestOffset() is None
    reader.latestOffset(reader.initialOffset(), ReadMaxRows(1))
    assert reader.reportLatestOffset() == offset(200)


def test_available_now_reads_what_there_was_at_the_start_and_no_more(served: Served) -> None:
    reader = stream(served)
    served.outages = [True]
    reader.prepareForTriggerAvailableNow()
    served.data += b"{line 30}\n"
    assert reader.latestOffset(reader.initialOffset(), ReadMaxRows(100))["offset"] == 200
    assert reader.latestOffset(offset(200), ReadMaxRows(100)) == offset(200)


def test_available_now_waits_for_a_server_that_goes_away(served: Served) -> None:
    reader = stream(served)
    reader.prepareForTriggerAvailableNow()
    served.outages = [True, True]
    assert reader.latestOffset(offset(30), ReadMaxRows(3)) == offset(60)


def test_a_drain_file_stops_admission_and_is_answered(served: Served, tmp_path: Path) -> None:
    drain_file = tmp_path / "drain"
    reader = stream(served, drainFile=str(drain_file), maxRowsPerTrigger="3")
    assert reader.latestOffset(offset(0), ReadMaxRows(3)) == offset(30)
    drain_file.touch()
    assert reader.latestOffset(offset(30), ReadMaxRows(3)) == offset(30)
    assert drain_file.read_text() == DRAINED
    drain_file.unlink()
    assert reader.latestOffset(offset(30), ReadMaxRows(3)) == offset(60)


def test_whoever_asks_again_for_nothing_new_is_held_up_for_a_moment(
    served: Served, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    clock = SimpleNamespace(monotonic=time.monotonic, sleep=slept.append)
    monkeypatch.setattr(source, "time", clock)
    monkeypatch.setattr(source, "IDLE", 0.1)
    reader = stream(served, drainFile=str(tmp_path / "drain"))
    for asked in range(3):
        assert reader.latestOffset(offset(200), ReadMaxRows(3)) == offset(200)
        assert slept == [0.1] * (asked + 1)
    (tmp_path / "drain").touch()
    assert reader.latestOffset(offset(0), ReadMaxRows(3)) == offset(0)
    assert slept == [0.1] * 4


@dataclass
class DrainedInOutage(Served):
    """Is away, and then the query is to stop."""

    drain_file: Path = Path()

    def answer(self) -> None:
        if self.outages:
            self.drain_file.touch()
        super().answer()


@pytest.fixture
def drained(tmp_path: Path) -> DrainedInOutage:
    return DrainedInOutage(LINES, drain_file=tmp_path / "drain")


def test_available_now_stops_waiting_for_the_server_when_it_is_drained(
    drained: DrainedInOutage,
) -> None:
    reader = stream(drained, drainFile=str(drained.drain_file))
    reader.prepareForTriggerAvailableNow()
    drained.outages = [True]
    assert reader.latestOffset(offset(30), ReadMaxRows(3)) == offset(30)
    assert drained.drain_file.read_text() == DRAINED


@pytest.mark.parametrize("starting", ["earliest", "latest"])
def test_available_now_need_not_meet_the_server_to_be_drained(
    drained: DrainedInOutage, starting: str
) -> None:
    drained.outages = [True]
    reader = stream(drained, drainFile=str(drained.drain_file), startingOffset=starting)
    reader.prepareForTriggerAvailableNow()
    assert drained.drain_file.read_text() == DRAINED
    start = reader.initialOffset()
    assert reader.latestOffset(start, ReadMaxRows(3)) == start
    drained.drain_file.unlink()
    assert reader.latestOffset(offset(30), ReadMaxRows(3)) == offset(30)


def test_stopping_closes_the_connection(served: Served) -> None:
    reader = stream(served)
    reader.latestOffset(reader.initialOffset(), ReadMaxRows(1))
    reader.stop()
    assert served.closed == 1


def test_a_task_gives_arrow_batches_of_the_sources_columns(served: Served) -> None:
    served.data = b'{"review_id": 1}\n\n' + LINES
    reader = stream(served)
    end = reader.latestOffset(reader.initialOffset(), ReadMaxRows(3))
    [part] = reader.partitions(reader.initialOffset(), end)
    [batch] = reader.read(part)
    assert batch.schema == pa.schema(
        [pa.field(f.name, arrow_type(f.dataType), f.nullable) for f in SOURCE]
    )
    rows = rows_of(batch, SOURCE)
    assert [row["origin"] for row in rows] == [
        {"source": "reviews.json", "offset": 0},
        {"source": "reviews.json", "offset": 18},
    ]
    assert [row["review_id"] for row in rows] == [None, None]
    assert [row["rejection"]["reason"] for row in rows] == ["WRONG_TYPE", "NOT_JSON"]


@pytest.mark.parametrize(("starting", "start"), [("earliest", 0), ("50", 50), ("latest", 200)])
def test_a_batch_query_reads_all_there_is_from_where_it_is_told(
    served: Served, starting: str, start: int
) -> None:
    served.outages = [True, True]
    reader = ReviewReader(SourceOptions.of({"startingOffset": starting}), served.connect)
    ranges = reader.partitions()
    rows = [row for part in ranges for b in reader.read(part) for row in rows_of(b, SOURCE)]
    assert [row["origin"]["offset"] for row in rows] == list(range(start, 200, 10))
