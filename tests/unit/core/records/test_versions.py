"""Of two writes of one review, the right one stays."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.records.versions import external_version

moments = st.datetimes(
    datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59), timezones=st.just(UTC)
).map(lambda moment: moment.replace(microsecond=0))
generations = st.integers(0, 999)


@given(moments, generations)
def test_a_version_is_one_that_elasticsearch_takes(moment: datetime, generation: int) -> None:
    assert 0 <= external_version(moment, generation) < 2**63


@given(moments, generations, moments, generations)
def test_an_edit_beats_every_generation_of_what_it_replaces(
    one: datetime, generation: int, other: datetime, other_generation: int
) -> None:
    if one < other and other.year > 1970:
        assert external_version(one, generation) < external_version(other, other_generation)


@given(moments, st.integers(0, 998))
def test_a_new_label_of_the_same_edit_beats_the_old_one(moment: datetime, generation: int) -> None:
    assert external_version(moment, generation) < external_version(moment, generation + 1)


def test_the_version_is_the_second_times_a_thousand_plus_the_generation() -> None:
    moment = datetime(1970, 1, 1, 0, 0, 7, tzinfo=UTC)
    assert external_version(moment, 42) == 7_042


def test_what_was_written_before_1970_counts_as_1970() -> None:
    assert external_version(datetime(1970, 1, 1, tzinfo=UTC) - timedelta(seconds=1), 3) == 3
