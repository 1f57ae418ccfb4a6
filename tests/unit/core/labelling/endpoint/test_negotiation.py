"""Which optional fields an endpoint takes: found out without changing what the user set."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reviewstream.core.labelling.chat import ChatOptions
from reviewstream.core.labelling.endpoint.negotiation import (
    FIELDS,
    HIDDEN_ROOMS,
    Negotiation,
    setting_of,
)

ROOM = "hidden_tokens_per_label"
AUTO = frozenset({*FIELDS, ROOM})
TOLD = ("", *FIELDS, "max_tokens", "max_completion_tokens", "temperature", "service_tier", "model")
WORDS = ("no", "max_tokens is too large: at most 4096", "response_format")

options = st.builds(
    ChatOptions,
    response_format=st.sampled_from(["json_schema", "json_object", "text"]),
    max_tokens_field=st.sampled_from(["max_completion_tokens", "max_tokens"]),
    reasoning_effort=st.sampled_from([None, "none", "minimal", "low", "high"]),
    temperature=st.none() | st.just(0.0),
    service_tier=st.none() | st.just("flex"),
    hidden_tokens_per_label=st.sampled_from([0, 300, *HIDDEN_ROOMS]),
)
autos = st.frozensets(st.sampled_from(sorted(AUTO)))
steps = st.lists(st.tuples(st.sampled_from(TOLD), st.sampled_from(WORDS), st.booleans()))


@given(options, autos, steps)
def test_what_is_set_is_never_changed_and_nothing_is_tried_twice(
    first: ChatOptions, auto: frozenset[str], refusals: list[tuple[str, str, bool]]
) -> None:
    negotiation, tried = Negotiation(first, auto), [first]
    for field, words, is_cut in refusals:
        before = negotiation.options
        changed = negotiation.make_room() if is_cut else negotiation.adapt(field, words)
        now = negotiation.options
        if changed is None:
            assert now == before
            continue
        assert now not in tried
        tried.append(now)
        differing = {
            name for name in now.__struct_fields__ if getattr(now, name) != getattr(first, name)
        }
        assert differing <= auto
        assert changed


@given(options, autos, st.sampled_from(TOLD), st.sampled_from(WORDS))
def test_an_endpoint_that_refuses_everything_is_given_up(
    first: ChatOptions, auto: frozenset[str], field: str, words: str
) -> None:
    negotiation = Negotiation(first, auto)
    count = 0
    while negotiation.adapt(field, words) or negotiation.make_room():
        count += 1
        assert count < 200
    assert negotiation.adapt(field, words) is None
    negotiation.reset()
    assert negotiation.options == first
    again = 0
    while negotiation.adapt(field, words) or negotiation.make_room():
        again += 1
    assert again == count


@pytest.mark.parametrize(
    ("field", "given_options", "expected"),
    [
        ("response_format", {}, {"response_format": "json_object"}),
        ("json_schema", {}, {"response_format": "json_object"}),
        ("response_format", {"response_format": "json_object"}, {"response_format": "text"}),
        ("max_completion_tokens", {}, {"max_tokens_field": "max_tokens"}),
        (
            "max_tokens",
            {"max_tokens_field": "max_tokens"},
            {"max_tokens_field": "max_completion_tokens"},
        ),
        ("reasoning_effort", {"reasoning_effort": "minimal"}, {"reasoning_effort": "none"}),
        ("reasoning_effort", {"reasoning_effort": "none"}, {"reasoning_effort": "minimal"}),
        ("", {}, {"response_format": "json_object"}),
        ("", {"response_format": "text"}, {"max_tokens_field": "max_tokens"}),
    ],
)
def test_the_field_that_is_named_is_changed_by_the_least_step(
    field: str, given_options: dict[str, Any], expected: dict[str, Any]
) -> None:
    negotiation = Negotiation(ChatOptions(**given_options), AUTO)
    assert negotiation.adapt(field, "no")
    assert negotiation.options == ChatOptions(**{**given_options, **expected})


def test_an_effort_that_no_value_suits_is_left_out_in_the_end() -> None:
    negotiation = Negotiation(ChatOptions(reasoning_effort="none"), AUTO)
    while negotiation.adapt("reasoning_effort", "no"):
        pass
    assert negotiation.options.reasoning_effort is None


def test_a_field_of_no_option_changes_nothing() -> None:
    negotiation = Negotiation(ChatOptions(temperature=0.0), AUTO)
    assert negotiation.adapt("temperature", "no") is None
    assert negotiation.options == ChatOptions(temperature=0.0)


def test_room_grows_until_there_is_no_more() -> None:
    negotiation = Negotiation(ChatOptions(), AUTO)
    rooms = [0]
    while not negotiation.is_roomiest:
        assert negotiation.make_room()
        rooms.append(negotiation.options.hidden_tokens_per_label)
    assert tuple(rooms) == HIDDEN_ROOMS
    assert negotiation.make_room() is None


def test_a_room_that_is_set_does_not_grow() -> None:
    negotiation = Negotiation(ChatOptions(), AUTO - {ROOM})
    assert negotiation.is_roomiest
    assert negotiation.make_room() is None


def test_a_ceiling_that_is_too_large_for_the_endpoint_is_lowered() -> None:
    negotiation = Negotiation(ChatOptions(hidden_tokens_per_label=6_000), AUTO)
    assert negotiation.adapt("max_tokens", "max_tokens is too large: at most 16384")
    assert negotiation.options.hidden_tokens_per_label == 3_000


@pytest.mark.parametrize(
    ("field", "setting"),
    [
        ("json_schema", "openai.response_format"),
        ("max_completion_tokens", "openai.max_tokens_field"),
        ("reasoning", "openai.reasoning_effort"),
        ("temperature", "openai.temperature"),
        ("service_tier", "openai.service_tier"),
        ("model", "openai.model"),
        ("seed", ""),
    ],
)
def test_a_field_comes_from_a_setting(field: str, setting: str) -> None:
    assert setting_of(field) == setting


def test_an_effort_that_is_not_sent_cannot_be_lowered() -> None:
    negotiation = Negotiation(ChatOptions(), frozenset({"reasoning_effort"}))
    assert negotiation.adapt("reasoning_effort", "no") is None
    assert negotiation.adapt("", "no") is None
    assert negotiation.options == ChatOptions()


def test_a_field_that_was_renamed_is_not_renamed_back() -> None:
    negotiation = Negotiation(ChatOptions(), frozenset({"max_tokens_field"}))
    assert negotiation.adapt("max_completion_tokens", "no") == "openai.max_tokens_field=max_tokens"
    assert negotiation.adapt("max_tokens", "no") is None
    assert negotiation.options.max_tokens_field == "max_tokens"


def test_an_effort_is_lowered_step_by_step_until_it_is_not_sent() -> None:
    negotiation = Negotiation(ChatOptions(reasoning_effort="high"), frozenset({"reasoning_effort"}))
    seen = []
    while negotiation.adapt("reasoning_effort", "no") is not None:
        seen.append(negotiation.options.reasoning_effort)
    assert seen == ["none", "minimal", "low", None]
