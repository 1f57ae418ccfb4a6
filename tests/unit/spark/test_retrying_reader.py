import pickle

import pytest

from reviewstream.errors import TransientError
from reviewstream.spark.retrying_reader import CAP, NAP, RetryingReader, RetryPolicy
from tests.unit.spark.served import AWAY, Served


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.seconds += seconds


@pytest.fixture
def time() -> Time:
    return Time()


def patience(time: Time, timeout: float = 60.0) -> RetryPolicy:
    return RetryPolicy("the server", timeout, now=time.now, jitter=lambda: 0.0)


def patient_reader(served: Served, time: Time, timeout: float = 60.0) -> RetryingReader:
    return RetryingReader(served.connect, patience(time, timeout), now=time.now, sleep=time.sleep)


def test_waits_grow_and_stay_below_their_ceiling(time: Time) -> None:
    patient = patience(time)
    waits = [patient.failed(TransientError("away")) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[0] < waits[1] < waits[-1] == CAP


def test_a_success_makes_the_next_wait_short_and_the_time_count_anew(time: Time) -> None:
    patient = patience(time, timeout=10.0)
    first = patient.failed(TransientError("away"))
    time.sleep(9.0)
    patient.failed(TransientError("away"))
    patient.succeeded()
    time.sleep(9.0)
    assert patient.failed(TransientError("away")) == first
    time.sleep(9.0)
    patient.failed(TransientError("away"))


def test_the_server_is_obeyed_when_it_asks_for_a_longer_wait_up_to_the_ceiling(time: Time) -> None:
    patient = patience(time)
    assert patient.failed(TransientError("busy", retry_after=3.0)) == 3.0
    assert patient.failed(TransientError("busy", retry_after=3600.0)) == CAP


def test_after_the_limit_the_sentence_names_server_cause_and_fix(time: Time) -> None:
    patient = patience(time, timeout=10.0)
    patient.failed(TransientError("connection refused"))
    time.sleep(10.0)
    with pytest.raises(TransientError) as caught:
        patient.failed(TransientError("connection refused"))
    assert str(caught.value) == (
        "the server has been away for 10 s (limit: retryTimeout = 10): connection refused; "
        "start it and then the query, which resumes from its checkpoint"
    )


def test_a_glance_at_a_server_that_is_away_sees_nothing_and_says_nothing(time: Time) -> None:
    served = Served(b"a\n", outages=[True])
    reader = patient_reader(served, time)
    assert reader.poll_once(lambda server: server.latest(0), fingerprint="") is None
    assert time.slept == []


def test_a_glance_never_lasts_longer_than_a_nap(time: Time) -> None:
    served = Served(b"a\n", outages=[True] * 20)
    reader = patient_reader(served, time)
    for glances in range(1, 40):
        reader.poll_once(lambda server: server.latest(0), fingerprint="")
        assert len(time.slept) <= glances
    assert max(time.slept) <= NAP


def test_insisting_waits_until_the_server_is_back(time: Time) -> None:
    served = Served(b"a\n", outages=[True] * 5)
    hello, latest = patient_reader(served, time).insist(
        lambda server: server.latest(0), fingerprint=""
    )
    assert (hello.source, latest.head) == ("reviews.json", 2)


def test_insisting_ends_with_the_limit(time: Time) -> None:
    served = Served(b"a\n", outages=[True] * 1000)
    reader = patient_reader(served, time, timeout=30.0)
    with pytest.raises(TransientError, match=f"away for .* {AWAY}"):
        reader.insist(lambda server: server.latest(0), fingerprint="")
    assert 30.0 <= time.now() < 30.0 + CAP + NAP


def test_one_connection_serves_all_questions_until_it_fails(time: Time) -> None:
    served = Served(b"a\n")
    reader = patient_reader(served, time)
    for _ in range(3):
        reader.insist(lambda server: server.latest(0), fingerprint="")
    assert served.connections == 1
    served.outages = [True]
    reader.insist(lambda server: server.latest(0), fingerprint="")
    assert (served.connections, served.closed) == (2, 1)


def test_the_error_crosses_a_process_boundary(time: Time) -> None:
    patient = patience(time, timeout=1.0)
    patient.failed(TransientError("gone"))
    time.sleep(1.0)
    with pytest.raises(TransientError) as caught:
        patient.failed(TransientError("gone"))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
