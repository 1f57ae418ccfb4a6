"""Whether a text or the endpoint is to blame for failures in a row."""

import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.health import SAMPLE, Health

LOOK = 6  # failures of a text, from which on it is looked at after each
RATES = (0.1, 0.3, 0.5, 0.7, 0.85)


def _probed(health: Health, chance: random.Random, rate: float) -> None:
    """Ask the probe until it is answered, as is done before a text is blamed."""
    while failed := chance.random() < rate:
        health.record(failed=failed)
    health.record(failed=False)


def _is_blamed(health: Health, chance: random.Random, rate: float) -> bool:
    """Ask about a sound text until it is answered, or blamed for the endpoint's failures."""
    failures = 0
    while chance.random() < rate:
        failures += 1
        if failures == 1:
            health.record(failed=True)
        if failures >= LOOK:
            _probed(health, chance, rate)
            if health.is_text_at_fault(failures):
                return True
    if not failures:
        health.record(failed=False)
    return False


def _failures_of_poison(health: Health, chance: random.Random, rate: float) -> int:
    """Return how often a text that always fails is asked about before it is blamed."""
    health.record(failed=True)
    failures = LOOK
    _probed(health, chance, rate)
    while not health.is_text_at_fault(failures):
        failures += 1
        _probed(health, chance, rate)
    return failures


def _chances(count: int) -> Iterator[random.Random]:
    yield from map(random.Random, range(count))


@pytest.mark.parametrize("rate", RATES)
def test_an_endpoint_that_fails_at_random_blames_no_text(rate: float) -> None:
    health, chance = Health(), random.Random(1)  # noqa: S311 - repeatable, not secret
    assert not any(_is_blamed(health, chance, rate) for _ in range(20_000))


@pytest.mark.parametrize("rate", RATES)
def test_an_endpoint_that_falls_ill_blames_one_text_in_a_thousand_at_most(rate: float) -> None:
    blamed = 0
    for chance in _chances(1_000):
        health = Health()
        for _ in range(300):
            health.record(failed=False)
        blamed += sum(_is_blamed(health, chance, rate) for _ in range(5))
    assert blamed <= 5


@pytest.mark.parametrize(("rate", "most"), [(0.0, 20), (0.3, 40), (0.5, 60), (0.7, 110)])
def test_a_text_that_always_fails_is_blamed_in_the_end(rate: float, most: int) -> None:
    for chance in _chances(200):
        health = Health()
        for _ in range(SAMPLE):
            health.record(failed=chance.random() < rate)
        assert _failures_of_poison(health, chance, rate) <= most


def test_where_nothing_is_known_no_text_is_blamed() -> None:
    assert not Health().is_text_at_fault(10_000)


def test_only_the_last_requests_count() -> None:
    health = Health()
    for _ in range(1_000):
        health.record(failed=True)
    for _ in range(SAMPLE):
        health.record(failed=False)
    assert health.is_text_at_fault(10)


@given(st.lists(st.booleans(), max_size=50), st.integers(1, 60))
def test_more_failures_of_a_text_never_speak_for_it(outcomes: list[bool], failures: int) -> None:
    health = Health()
    for failed in outcomes:
        health.record(failed=failed)
    if health.is_text_at_fault(failures):
        assert health.is_text_at_fault(failures + 1)
