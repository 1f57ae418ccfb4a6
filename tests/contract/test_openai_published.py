"""The mock endpoint keeps to OpenAI's published description: what it takes, refuses and answers."""

from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.mock_openai.fault_kinds import KINDS
from reviewstream_testbed.mock_openai.request_rules import UNKNOWN_HERE
from reviewstream_testbed.mock_openai.validation import PARAMETERS
from tests.contract.openai_http import body_of, send
from tests.contract.openai_published import COMPLETION, ERROR, REQUEST, Field

pytestmark = pytest.mark.model

OF_KIND: dict[str, Any] = {
    "array": [1],
    "boolean": True,
    "integer": 2,
    "number": 0.5,
    "object": {"a": "b"},
    "string": "x",
}
# A value that is right by itself is not so beside others; these take some other field.
NEEDED: dict[str, dict[str, Any]] = {
    "stream_options": {"stream": True},
    "top_logprobs": {"logprobs": True},
    "reasoning_effort": {"model": "gpt-5-mini"},
}
# What a value must be to be right, where a kind alone does not say.
RIGHT: dict[str, list[Any]] = {
    "messages": [[{"role": "user", "content": "hi"}]],
    "model": ["gpt-4o-mini"],
    "logit_bias": [{"7": 1}],
    "response_format": [{"type": "text"}],
    "stream_options": [{"include_usage": True}],
    "stop": ["x", ["x", "y"]],
    "modalities": [["text"]],
    # The tier and the effort that a model takes, are the model's: not all are anybody's.
    "service_tier": ["auto", "default", "scale", "priority", "fast"],
    "reasoning_effort": ["minimal", "low", "medium", "high"],
}
NOT_HERE = {"tool_choice", "parallel_tool_calls", "function_call", "top_logprobs", *UNKNOWN_HERE}


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def _right(name: str, field: Field) -> list[Any]:
    if name in RIGHT:
        return RIGHT[name]
    limits = [one for one in (field.low, field.high) if one is not None]
    return [*field.values] or limits or [OF_KIND[field.kind]]


def _wrong(field: Field) -> list[Any]:
    if field.kind == "any":
        return []
    kinds = [one for one in OF_KIND if one != field.kind and {one, field.kind} != NUMBERS]
    low = [] if field.low is None else [field.low - 1]
    high = [] if field.high is None else [field.high + 1]
    return [*(OF_KIND[one] for one in kinds), *low, *high]


NUMBERS = {"integer", "number"}


def test_every_field_of_the_description_is_known_and_no_other() -> None:
    assert PARAMETERS.keys() == REQUEST.keys()
    for name, field in REQUEST.items():
        assert (PARAMETERS[name].kind, PARAMETERS[name].high) == (field.kind, field.high)


@pytest.mark.parametrize("name", sorted(REQUEST.keys() - NOT_HERE))
def test_a_right_value_is_answered(endpoint: OpenAIEndpoint, name: str) -> None:
    for value in _right(name, REQUEST[name]):
        answer = send(endpoint, body_of(**{**NEEDED.get(name, {}), name: value}))
        assert answer.status == 200, (value, answer.text)


@pytest.mark.parametrize("name", sorted(REQUEST))
def test_a_value_of_another_type_or_out_of_range_is_refused(
    endpoint: OpenAIEndpoint, name: str
) -> None:
    for value in _wrong(REQUEST[name]):
        answer = send(endpoint, body_of(**{**NEEDED.get(name, {}), name: value}))
        assert answer.status == 400, (value, answer.text)
        jsonschema.validate(answer.json(), ERROR)
        assert answer.json()["error"]["param"] == name


@pytest.mark.parametrize("name", sorted(name for name, field in REQUEST.items() if field.values))
def test_a_text_off_the_list_is_refused(endpoint: OpenAIEndpoint, name: str) -> None:
    answer = send(endpoint, body_of(**{**NEEDED.get(name, {}), name: "no-such-value"}))
    assert (answer.status, answer.json()["error"]["param"]) == (400, name)


@pytest.mark.parametrize("name", sorted(name for name, one in REQUEST.items() if one.is_required))
def test_a_field_that_is_required_may_not_be_left_out(endpoint: OpenAIEndpoint, name: str) -> None:
    answer = send(endpoint, body_of(**{name: ...}))
    assert answer.status == 400
    jsonschema.validate(answer.json(), ERROR)


@pytest.mark.parametrize(
    "name",
    sorted(name for name, one in REQUEST.items() if one.is_nullable and name != "stream_options"),
)
def test_null_is_as_if_a_field_were_left_out(endpoint: OpenAIEndpoint, name: str) -> None:
    assert send(endpoint, body_of(**{name: None})).status == 200


REQUESTS: list[dict[str, Any]] = [
    {},
    {"n": 3},
    {"model": "gpt-5-mini", "reasoning_effort": "high"},
    {"model": "gpt-5-mini", "service_tier": "flex"},
    {"max_completion_tokens": 5},
    {"response_format": ...},
]


@pytest.mark.parametrize("changes", REQUESTS, ids=str)
def test_every_answer_has_what_the_description_requires_and_nothing_else(
    endpoint: OpenAIEndpoint, changes: dict[str, Any]
) -> None:
    endpoint.options(hidden_tokens=20, cached_share="0.5")
    jsonschema.validate(send(endpoint, body_of(**changes)).json(), COMPLETION)


@pytest.mark.parametrize(
    "kind", sorted(kind for kind, one in KINDS.items() if one.error is not None)
)
def test_every_error_has_what_the_description_requires(endpoint: OpenAIEndpoint, kind: str) -> None:
    endpoint.fault(kind)
    jsonschema.validate(send(endpoint, body_of()).json(), ERROR)
