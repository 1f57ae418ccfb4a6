"""Usage: what an endpoint bills for an answer."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.endpoint.billed import Billed, read_usage
from reviewstream.core.records.json_values import MAX_TOKENS

counts = st.none() | st.integers() | st.floats() | st.text(max_size=6)
usages = st.fixed_dictionaries(
    {},
    optional={
        "prompt_tokens": counts,
        "completion_tokens": counts,
        "total_tokens": counts,
        "cost": counts,
        "prompt_tokens_details": st.dictionaries(st.just("cached_tokens"), counts),
        "completion_tokens_details": st.dictionaries(st.just("reasoning_tokens"), counts),
    },
)


def read(**usage: Any) -> Billed:
    return read_usage(usage, has_text=True)


def known(prompt: int, completion: int, **more: Any) -> Billed:
    return Billed(prompt_tokens=prompt, completion_tokens=completion, is_known=True, **more)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 260}, known(200, 60)),
        ({"prompt_tokens": 200.0, "completion_tokens": 60.0}, known(200, 60)),
        ({"prompt_tokens": "200", "completion_tokens": "60"}, known(200, 60)),
        ({"prompt_tokens": 200, "total_tokens": 260}, known(200, 60)),
        ({"completion_tokens": 60, "total_tokens": 260}, known(200, 60)),
        ({"completion_tokens": 60, "total_tokens": 10}, known(0, 60)),
        ({"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": 100}, known(200, 60)),
        ({"prompt_tokens": 200, "completion_tokens": 60, "total_tokens": -1}, known(200, 60)),
    ],
)
def test_counts_are_read_or_follow_from_the_others(usage: dict[str, Any], expected: Billed) -> None:
    assert read(**usage) == expected


def test_reasoning_beside_the_completion_is_billed_as_completion() -> None:
    details = {"reasoning_tokens": 1000}
    expected = known(200, 1060, reasoning_tokens=1000)
    usage = {"prompt_tokens": 200, "completion_tokens": 60, "completion_tokens_details": details}
    assert read(**usage, total_tokens=1260) == expected
    assert read(**usage) == expected


def test_reasoning_within_the_completion_is_billed_once() -> None:
    details = {"reasoning_tokens": 40}
    usage = {"prompt_tokens": 200, "completion_tokens": 60, "completion_tokens_details": details}
    assert read(**usage) == known(200, 60, reasoning_tokens=40)


@pytest.mark.parametrize(
    "cached",
    [
        {"prompt_tokens_details": {"cached_tokens": 50}},
        {"prompt_cache_hit_tokens": 50},
        {"cached_tokens": 50},
    ],
)
def test_cached_tokens_have_several_names(cached: dict[str, Any]) -> None:
    usage = {"prompt_tokens": 200, "completion_tokens": 60}
    assert read(**usage, **cached) == known(200, 60, cached_tokens=50)


def test_no_more_is_cached_than_was_asked() -> None:
    assert read(prompt_tokens=7, completion_tokens=1, cached_tokens=50).cached_tokens == 7


@pytest.mark.parametrize(
    "usage",
    [
        None,
        {},
        [],
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {"prompt_tokens": 10, "completion_tokens": 0},
        {"prompt_tokens": 10},
        {"completion_tokens": 10},
        {"total_tokens": 10},
        {"prompt_tokens": -1, "completion_tokens": 10},
        {"prompt_tokens": 10, "completion_tokens": MAX_TOKENS + 1},
        {"prompt_tokens": 10.5, "completion_tokens": 10},
        {"prompt_tokens": True, "completion_tokens": 10},
        {"prompt_tokens": "1_0", "completion_tokens": 10},
        {"prompt_tokens": "9" * 100, "completion_tokens": 10},
        {"prompt_tokens": 10**400, "completion_tokens": 10},
    ],
)
def test_what_cannot_be_is_unknown(usage: Any) -> None:
    assert read_usage(usage, has_text=True) == Billed()


def test_an_answer_without_a_text_may_take_no_tokens() -> None:
    usage = {"prompt_tokens": 0, "completion_tokens": 0}
    assert read_usage(usage, has_text=False) == known(0, 0)


@pytest.mark.parametrize(
    ("cost", "micro_usd"),
    [
        (0.05, 50_000),
        (0.0000001, 1),
        (0, 0),
        ("0.05", 50_000),
        (100, 100_000_000),
        (100.1, None),
        (-0.1, None),
        (float("nan"), None),
        (float("inf"), None),
        (True, None),
        (None, None),
    ],
)
def test_a_cost_is_rounded_up_to_a_micro_dollar(cost: Any, micro_usd: int | None) -> None:
    assert read(cost=cost).cost_micro_usd == micro_usd


def test_a_key_of_the_users_own_gets_a_bill_of_its_own() -> None:
    usage = {"cost": 0.001, "is_byok": True}
    upstream = {"cost_details": {"upstream_inference_cost": 0.02}}
    assert read(**usage, **upstream).cost_micro_usd == 21_000
    assert read(**usage).cost_micro_usd is None


@given(usages, st.booleans())
def test_reading_usage_never_raises(usage: dict[str, Any], has_text: bool) -> None:  # noqa: FBT001
    billed = read_usage(usage, has_text=has_text)
    assert 0 <= billed.cached_tokens <= billed.prompt_tokens <= MAX_TOKENS
    assert 0 <= billed.reasoning_tokens <= billed.completion_tokens <= 2 * MAX_TOKENS
