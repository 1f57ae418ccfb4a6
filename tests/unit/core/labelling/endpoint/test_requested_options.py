"""Options that the user left at `auto` follow from the dialect and the model; set ones stay."""

import pytest

from reviewstream.core.labelling.chat import ChatOptions
from reviewstream.core.labelling.endpoint.dialects import DIALECTS
from reviewstream.core.labelling.endpoint.negotiation import FIELDS, HIDDEN_ROOMS
from reviewstream.core.labelling.endpoint.requested_options import RequestedOptions

ROOM = HIDDEN_ROOMS[1]


def test_what_is_left_open_is_the_dialect_s_and_the_model_s() -> None:
    deepseek = RequestedOptions().first("some-model", DIALECTS["deepseek"])
    assert deepseek == ChatOptions(response_format="json_object", max_tokens_field="max_tokens")
    openai = RequestedOptions().first("gpt-5-mini", DIALECTS["openai"])
    assert openai == ChatOptions(
        response_format="json_schema",
        max_tokens_field="max_completion_tokens",
        reasoning_effort="minimal",
        hidden_tokens_per_label=ROOM,
    )


def test_what_is_set_is_sent_as_it_is() -> None:
    asked = RequestedOptions(
        response_format="text",
        max_tokens_field="max_tokens",
        reasoning_effort="high",
        temperature=0.5,
        service_tier="flex",
        extra_body={"seed": 1},
        is_ceiling_set=True,
    )
    assert asked.first("gpt-5-mini", DIALECTS["openai"]) == ChatOptions(
        response_format="text",
        max_tokens_field="max_tokens",
        reasoning_effort="high",
        temperature=0.5,
        service_tier="flex",
        extra_body={"seed": 1},
    )
    assert asked.auto == frozenset()


@pytest.mark.parametrize(
    ("effort", "model", "sent", "room"),
    [
        ("default", "gpt-5-mini", None, ROOM),
        ("none", "gpt-5-mini", "none", 0),
        ("auto", "some-model", None, 0),
        ("default", "some-model", None, 0),
    ],
)
def test_only_a_model_that_may_reason_has_room_for_hidden_tokens(
    effort: str, model: str, sent: str | None, room: int
) -> None:
    options = RequestedOptions(reasoning_effort=effort).first(model, DIALECTS["openai"])
    assert (options.reasoning_effort, options.hidden_tokens_per_label) == (sent, room)


@pytest.mark.parametrize("name", FIELDS)
def test_only_what_is_left_open_may_be_changed(name: str) -> None:
    left = {*FIELDS, "hidden_tokens_per_label"}
    assert RequestedOptions().auto == left
    assert RequestedOptions(is_ceiling_set=True).auto == {*FIELDS}
    values = {
        "response_format": "text",
        "max_tokens_field": "max_tokens",
        "reasoning_effort": "default",
    }
    assert RequestedOptions(**{name: values[name]}).auto == left - {name}  # type: ignore[arg-type]
