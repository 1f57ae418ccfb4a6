"""A record says what it was made from, and a word of nobody's does no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.records.lineage import CAUSE_HEADER, Cause, cause_header, made_from, place_of

OTHER = ("reviewstream.version", b"replayed")


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause is not Cause.LINE])
@pytest.mark.parametrize("place", ["", place_of("reviews.rejected", 2, 17)])
def test_a_cause_is_read_as_it_was_written(cause: Cause, place: str) -> None:
    assert made_from([OTHER, cause_header(cause, place)]) == (cause, place)


def test_a_header_names_the_record_that_another_was_made_from() -> None:
    place = place_of("reviews.rejected", 2, 17)
    assert cause_header(Cause.REPLAYED, place) == (
        "reviewstream.cause",
        b"replayed reviews.rejected/2@17",
    )
    assert cause_header(Cause.RELABELLED) == ("reviewstream.cause", b"relabelled")


def test_a_record_without_the_header_was_made_from_its_line() -> None:
    assert made_from([OTHER]) == made_from([]) == (Cause.LINE, "")


@given(st.binary())
def test_whatever_is_in_the_header_a_cause_comes_out(value: bytes) -> None:
    cause, place = made_from([(CAUSE_HEADER, value)])
    assert cause in Cause
    assert isinstance(place, str)
    assert made_from([(CAUSE_HEADER, b"nobody " + value)])[0] is Cause.LINE
    assert made_from([(CAUSE_HEADER, b"replayed \xff")]) == (Cause.REPLAYED, "\ufffd")
