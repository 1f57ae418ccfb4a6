"""A record says what it was made from, and a word of nobody's does no harm."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.lineage import CAUSE_HEADER, Cause, cause_header, cause_of, place_of

OTHER = ("reviewstream.version", b"replayed")


@pytest.mark.parametrize("cause", list(Cause))
@pytest.mark.parametrize("place", ["", place_of("reviews.rejected", 2, 17)])
def test_a_cause_is_read_as_it_was_written(cause: Cause, place: str) -> None:
    assert cause_of([OTHER, cause_header(cause, place)]) is cause


def test_a_header_names_the_record_that_another_was_made_from() -> None:
    place = place_of("reviews.rejected", 2, 17)
    assert cause_header(Cause.REPLAYED, place) == (
        "reviewstream.cause",
        b"replayed reviews.rejected/2@17",
    )
    assert cause_header(Cause.RELABELLED) == ("reviewstream.cause", b"relabelled")


def test_a_record_without_the_header_was_made_from_its_line() -> None:
    assert cause_of([OTHER]) is Cause.LINE
    assert cause_of([]) is Cause.LINE


@given(st.binary())
def test_whatever_is_in_the_header_a_cause_comes_out(value: bytes) -> None:
    assert cause_of([(CAUSE_HEADER, value)]) in Cause
