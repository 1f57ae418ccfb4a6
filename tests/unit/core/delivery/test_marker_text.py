import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.delivery.marker_text import marker_of, marker_text
from reviewstream.core.delivery.markers import Marker
from reviewstream.errors import ConfigError

WHOLE = st.integers(0, 2**62)


@given(st.builds(Marker, query=st.text(), batch=WHOLE, count=WHOLE, checksum=WHOLE))
def test_a_marker_is_read_as_it_was_written(marker: Marker) -> None:
    assert marker_of(marker_text(marker)) == marker


def test_the_text_is_this() -> None:
    marker = Marker(query="q", batch=1, count=2, checksum=3)
    assert marker_text(marker) == '{"v":1,"query":"q","batch":1,"count":2,"crc":3}'


@pytest.mark.parametrize(
    "text", ["", "n=3", "[]", '{"v":1}', '{"v":1,"query":"q","batch":1,"count":2,"crc":3,"x":4}']
)
def test_what_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^not a marker of ours: "):
        marker_of(text)


def test_a_long_text_is_cut() -> None:
    with pytest.raises(ConfigError) as caught:
        marker_of("n" * 1_000)
    assert f"not a marker of ours: {'n' * 80!r} (" in str(caught.value)


@given(st.text())
def test_any_text_is_a_marker_or_refused(text: str) -> None:
    with pytest.raises(ConfigError):
        marker_of(text)


def test_a_later_version_says_what_to_do() -> None:
    with pytest.raises(ConfigError) as caught:
        marker_of('{"v":2,"query":"q","batch":1,"count":2,"crc":3}')
    assert str(caught.value) == (
        "a marker of version 2, and this reviewstream reads version 1: upgrade it"
    )
