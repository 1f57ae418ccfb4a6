"""What fuzzing found worth keeping, tried again: `tox -e fuzz` looks for more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fuzz.targets import CORPUS, TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_every_input_that_is_kept_holds(name: str) -> None:
    kept = sorted((CORPUS / name).iterdir())
    assert kept
    for path in kept:
        TARGETS[name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
@given(data=st.binary())
def test_any_input_holds(name: str, data: bytes) -> None:
    TARGETS[name](data)
