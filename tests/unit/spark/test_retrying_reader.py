import pickle

import pytest

from reviewstream.core.retry.waits import REVIEW_SERVER
from reviewstream.errors import TransientError
from reviewstream.spark.retrying_reader import NAP, RetryingReader, RetryPolicy
from tests.unit.spark.served import AWAY, Served
from tests.unit.timer import FakeTimer


@pytest.fixture
def time() -> FakeTimer:
    return FakeTimer()


def patience(time: FakeTimer, timeout: float = 60.0) -> RetryPolicy:
    return RetryPolicy("the server", REVIEW_SERVER.within(timeout), time, jitter=lambda: 0.0)


def patient_reader(served: Served, time: FakeTimer, timeout: float = 60.0) -> RetryingReader:
    return RetryingReader(served.connect, patience(time, timeout), time)


def test_waits_grow_and_stay_below_their_ceiling(time: FakeTimer) -> None:
    patient = patience(time)
    waits = [patient.failed(TransientError("away")) for _ in range(10)]
    assert waits == sorted(waits)
    assert waits[0] < waits[1] < waits[-1] == REVIEW_SERVER.longest


def test_a_success_makes_the_next_wait_short_and_the_time_count_anew(time: FakeTimer) -> None:
    patient = patience(time, timeout=10.0)
    first = patient.failed(TransientError("away"))
    time.sleep(9.0)
    patient.failed(TransientError("away"))
    patient.succeeded()
    time.sleep(9.0)
    assert patient.failed(TransientError("away")) == first
    time.sleep(9.0)
    patient.failed(TransientError("away"))


def test_the_server_is_obeyed_when_it_asks_for_a_longer_wait_up_to_the_ceiling(
    time: FakeTimer,
) -> None:
    patient = patience(time)
    assert patient.failed(TransientError("busy", retry_after=3.0)) == 3.0
    assert patient.failed(TransientError("busy", retry_after=3600.0)) == REVIEW_SERVER.longest


def test_after_the_limit_the_sentence_names_server_cause_and_fix(time: FakeTimer) -> None:
    patient = patience(time, timeout=10.0)
    patient.failed(TransientError("connection refused"))
    time.sleep(10.0)
    with pytest.raises(TransientError) as caught:
        patient.failed(TransientError("connection refused"))
    assert str(caught.value) == (
        "the server has been away for 10 s (limit: retryTimeout = 10): connection refused; "
        "start it and then the query, which resumes from its checkpoint"
    )


def test_a_glance_at_a_server_that_is_away_sees_nothing_and_says_nothing(time: FakeTimer) -> None:
    served = Served(b"a\n", outages=[True])
    reader = patient_reader(served, time)
    assert reader.poll_once(lambda server: server.latest(0), fingerprint="") is None
    assert time.slept == []


def test_a_glance_never_lasts_longer_than_a_nap(time: FakeTimer) -> None:
    served = Served(b"a\n", outages=[True] * 20)
    reader = patient_reader(served, time)
    for glances in range(1, 40):
        reader.poll_once(lambda server: server.latest(0), fingerprint="")
        assert len(time.slept) <= glances
    assert max(time.slept) <= NAP


def test_insisting_waits_until_the_server_is_back(time: FakeTimer) -> None:
    served = Served(b"a\n", outages=[True] * 5)
    hello, latest = patient_reader(served, time).insist(
        lambda server: server.latest(0), fingerprint=""
    )
    assert (hello.source, latest.head) == ("reviews.json", 2)


def test_insisting_ends_with_the_limit(time: FakeTimer) -> None:
    served = Served(b"a\n", outages=[True] * 1000)
    reader = patient_reader(served, time, timeout=30.0)
    with pytest.raises(TransientError, match=f"away for .* {AWAY}"):
        reader.insist(lambda server: server.latest(0), fingerprint="")
    assert 30.0 <= time.monotonic() < 30.0 + REVIEW_SERVER.longest + NAP


def test_one_connection_serves_all_questions_until_it_fails(time: FakeTimer) -> None:
    served = Served(b"a\n")
    reader = patient_reader(served, time)
    for _ in range(3):
        reader.insist(lambda server: server.latest(0), fingerprint="")
    assert served.connections == 1
    served.outages = [True]
    reader.insist(lambda server: server.latest(0), fingerprint="")
    assert (served.connections, served.closed) == (2, 1)


def test_the_error_crosses_a_process_boundary(time: FakeTimer) -> None:
    patient = patience(time, timeout=1.0)
    patient.failed(TransientError("gone"))
    time.sleep(1.0)
    with pytest.raises(TransientError) as caught:
        patient.failed(TransientError("gone"))
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
