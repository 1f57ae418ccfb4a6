import tempfile
from collections.abc import Iterator

import pytest

from reviewstream.adapters.files.review_log import ReviewLog
from reviewstream.adapters.tcp.replay_throttle import ReplayThrottle

LINE = b"line\n"


class ManualClock:
    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def log() -> Iterator[ReviewLog]:
    with tempfile.TemporaryFile() as file:
        file.write(LINE * 100)
        file.flush()
        yield ReviewLog(file, source="reviews", follow=True)


def test_without_a_rate_everything_has_arrived(log: ReviewLog) -> None:
    assert ReplayThrottle(log).head() == 500


def test_lines_arrive_at_their_rate(log: ReviewLog, clock: ManualClock) -> None:
    throttle = ReplayThrottle(log, rate=4, clock=clock)
    heads = []
    for clock.seconds in (100, 100.2, 100.25, 101, 103, 1000):
        heads.append(throttle.head() // len(LINE))
    assert heads == [0, 0, 1, 4, 12, 100]


def test_a_slow_rate_comes_out_right_however_often_one_looks(
    log: ReviewLog, clock: ManualClock
) -> None:
    throttle = ReplayThrottle(log, rate=0.5, clock=clock)
    for _ in range(1024):
        clock.seconds += 1 / 64
        throttle.head()
    assert throttle.head() == 8 * len(LINE)


def test_after_a_restart_the_head_goes_on_from_the_furthest_reader(
    log: ReviewLog, clock: ManualClock
) -> None:
    throttle = ReplayThrottle(log, rate=1, clock=clock)
    assert throttle.head(reader=250) == 250
    clock.seconds += 2
    assert throttle.head(reader=0) == 260


def test_what_the_file_did_not_have_in_time_is_not_made_up_for(
    log: ReviewLog, clock: ManualClock
) -> None:
    throttle = ReplayThrottle(log, rate=10, clock=clock)
    clock.seconds += 1000
    assert throttle.head() == 500
    file, _ = log.locate(0)
    file.seek(0, 2)
    file.write(LINE * 50)
    file.flush()
    clock.seconds += 1
    assert throttle.head() == 550


def test_a_reader_beyond_the_last_complete_line_does_not_push_the_head_there(
    log: ReviewLog, clock: ManualClock
) -> None:
    assert ReplayThrottle(log, rate=1, clock=clock).head(reader=10_000) == 500
