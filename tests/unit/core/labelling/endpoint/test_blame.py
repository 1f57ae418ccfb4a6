"""Blame: whose fault a refused request is."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.endpoint.blame import Blame, blame, settled
from reviewstream.core.labelling.endpoint.dialects import DIALECTS, KNOWN_NAMES
from reviewstream.core.labelling.endpoint.refusals import Refused, read_error
from tests.unit.core.labelling.endpoint.recorded import ERRORS, Error

OF_TEXTS = {Blame.TEXT, Blame.MODERATED, Blame.ANSWER}

refusals = st.builds(
    Refused,
    status=st.integers(-1, 1000),
    names=st.frozensets(st.sampled_from(sorted(KNOWN_NAMES)) | st.text(max_size=5), max_size=3),
    words=st.text(max_size=20),
    retry_after=st.none() | st.floats(0, 1e6),
)


def read(error: Error, dialect: str = "generic") -> Refused:
    body = error.body if isinstance(error.body, str) else json.dumps(error.body)
    return read_error(error.status, body.encode(), error.headers, DIALECTS[dialect])


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_a_recorded_error_is_blamed_on_whom_it_is_due_to(error: Error) -> None:
    assert blame(read(error)) is error.blame


@pytest.mark.parametrize("dialect", DIALECTS)
def test_names_of_errors_hold_for_every_dialect(dialect: str) -> None:
    assert {name: blame(read(error, dialect)) for name, error in ERRORS.items()} == {
        name: error.blame for name, error in ERRORS.items()
    }


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (301, Blame.REQUEST),
        (400, Blame.UNCLEAR),
        (401, Blame.ACCOUNT),
        (402, Blame.QUOTA),
        (403, Blame.UNCLEAR),
        (404, Blame.REQUEST),
        (405, Blame.REQUEST),
        (408, Blame.ENDPOINT),
        (409, Blame.ENDPOINT),
        (413, Blame.TEXT),
        (422, Blame.UNCLEAR),
        (424, Blame.ENDPOINT),
        (425, Blame.ENDPOINT),
        (429, Blame.RATE),
        (451, Blame.UNCLEAR),
        (498, Blame.CAPACITY),
        (500, Blame.ENDPOINT),
        (599, Blame.ENDPOINT),
        (0, Blame.ENDPOINT),
    ],
)
def test_a_status_alone_says_as_much_as_it_can(status: int, expected: Blame) -> None:
    assert blame(Refused(status=status)) is expected


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ({"insufficient_quota", "content_filter"}, Blame.QUOTA),
        ({"content_filter", "invalid_api_key"}, Blame.MODERATED),
        ({"json_validate_failed", "context_length_exceeded"}, Blame.ANSWER),
    ],
)
def test_of_several_names_the_weightier_decides(names: set[str], expected: Blame) -> None:
    assert blame(Refused(status=400, names=frozenset(names))) is expected


@pytest.mark.parametrize("wait", [3600.0, 86_400.0])
def test_a_limit_that_lifts_in_hours_is_a_quota(wait: float) -> None:
    assert blame(Refused(status=429, retry_after=wait)) is Blame.QUOTA


def test_a_limit_that_lifts_within_the_hour_is_a_rate() -> None:
    assert blame(Refused(status=429, retry_after=3599.0)) is Blame.RATE


def test_no_capacity_for_hours_is_no_quota() -> None:
    names = frozenset({"resource_unavailable"})
    assert blame(Refused(status=429, names=names, retry_after=7200.0)) is Blame.CAPACITY


@given(refusals)
def test_the_probe_settles_every_blame(refused: Refused) -> None:
    found = blame(refused)
    for is_answered in (True, False):
        assert settled(found, is_probe_answered=is_answered) is not Blame.UNCLEAR


@pytest.mark.parametrize("found", Blame)
def test_no_text_is_at_fault_if_the_probe_is_refused_too(found: Blame) -> None:
    assert settled(found, is_probe_answered=False) not in OF_TEXTS


@pytest.mark.parametrize("found", [Blame.UNCLEAR, Blame.REQUEST])
def test_what_the_probe_is_not_refused_for_is_the_fault_of_the_text(found: Blame) -> None:
    assert settled(found, is_probe_answered=True) is Blame.TEXT


@pytest.mark.parametrize("found", sorted(set(Blame) - {Blame.UNCLEAR, Blame.REQUEST}))
def test_a_probe_that_is_answered_changes_no_other_blame(found: Blame) -> None:
    assert settled(found, is_probe_answered=True) is found


@pytest.mark.parametrize(
    "found", [Blame.ACCOUNT, Blame.QUOTA, Blame.RATE, Blame.CAPACITY, Blame.ENDPOINT]
)
def test_a_probe_that_is_refused_leaves_the_endpoint_what_is_its_own(found: Blame) -> None:
    assert settled(found, is_probe_answered=False) is found
