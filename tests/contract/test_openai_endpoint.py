"""The mock endpoint over HTTP: what OpenAI's published description of the API requires of it."""

import json
from collections.abc import Iterator
from hashlib import sha256
from typing import Any

import jsonschema
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion
from openai.types.shared import ErrorObject

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.openai_http import (
    LABELS,
    SCHEMA,
    TEXTS,
    body_of,
    send,
    with_schema,
)
from tests.contract.openai_published import COMPLETION, ERROR

pytestmark = pytest.mark.model


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def test_a_completion_has_every_field_that_the_description_requires(
    endpoint: OpenAIEndpoint,
) -> None:
    body = send(endpoint, body_of()).json()
    jsonschema.validate(body, COMPLETION)
    ChatCompletion.model_validate(body, strict=True)
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_an_answer_follows_the_schema_and_depends_on_the_texts(endpoint: OpenAIEndpoint) -> None:
    answer = send(endpoint, body_of())
    jsonschema.validate(json.loads(answer.json()["choices"][0]["message"]["content"]), SCHEMA)
    assert [one["sentiment"] for one in answer.labels()] == LABELS
    assert [one["id"] for one in answer.labels()] == [f"r{n}" for n in range(len(TEXTS))]
    assert all(0 <= one["confidence"] <= 1 for one in answer.labels())


@pytest.mark.parametrize(
    ("schema", "expected"),
    [
        (
            {"verdict": {"type": "string", "enum": ["bad", "good", "Positive"]}},
            {"verdict": "Positive"},
        ),
        ({"happy": {"type": "boolean"}}, {"happy": True}),
        ({"score": {"type": ["integer", "null"], "minimum": 3}}, {"score": 3}),
        ({"one": {"anyOf": [{"const": 7}, {"type": "null"}]}}, {"one": 7}),
        ({"one": {"$ref": "#/$defs/word"}}, {"one": "POSITIVE"}),
    ],
)
def test_any_other_schema_is_followed_too(
    endpoint: OpenAIEndpoint, schema: dict[str, Any], expected: dict[str, Any]
) -> None:
    wanted = with_schema(
        properties=schema, required=list(schema), **{"$defs": {"word": {"type": "string"}}}
    )
    answer = send(endpoint, body_of(TEXTS[0], response_format=wanted)).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == expected


def test_a_plain_question_is_answered_with_a_plain_word(endpoint: OpenAIEndpoint) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": TEXTS[1]}]}]
    answer = send(endpoint, body_of(messages=messages, response_format=...)).json()
    assert answer["choices"][0]["message"]["content"] == "NEGATIVE"


def test_json_mode_answers_with_json(endpoint: OpenAIEndpoint) -> None:
    messages = [{"role": "user", "content": f"Answer in JSON: {TEXTS[0]}"}]
    wanted = {"type": "json_object"}
    answer = send(endpoint, body_of(messages=messages, response_format=wanted))
    assert answer.labels()[0]["sentiment"] == "POSITIVE"


def test_an_answer_stops_at_the_token_limit(endpoint: OpenAIEndpoint) -> None:
    body = send(endpoint, body_of(max_completion_tokens=5)).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5


def test_several_choices_are_given_where_they_are_asked_for(endpoint: OpenAIEndpoint) -> None:
    choices = send(endpoint, body_of(n=3)).json()["choices"]
    assert [one["index"] for one in choices] == [0, 1, 2]


def test_an_answer_names_its_request_and_no_limit_that_is_not_enforced(
    endpoint: OpenAIEndpoint,
) -> None:
    first, second = (send(endpoint, body_of()).headers for _ in range(2))
    assert first["x-request-id"].startswith("req_")
    assert first["x-request-id"] != second["x-request-id"]
    assert not [name for name in first if name.lower().startswith("x-ratelimit")]


def test_the_usual_limits_are_told_where_they_are_asked_for(endpoint: OpenAIEndpoint) -> None:
    endpoint.options(tell_limits=True)
    told = send(endpoint, body_of()).headers
    for what in ("requests", "tokens"):
        limit, left = (int(told[f"x-ratelimit-{word}-{what}"]) for word in ("limit", "remaining"))
        assert 0 <= left < limit
        assert told[f"x-ratelimit-reset-{what}"].endswith("ms")


def test_an_answer_stops_before_the_words_that_it_is_to_stop_at(endpoint: OpenAIEndpoint) -> None:
    whole = send(endpoint, body_of()).json()["choices"][0]["message"]["content"]
    for stop in ("NEGATIVE", ["nowhere", "NEGATIVE", "NEUTRAL"]):
        choice = send(endpoint, body_of(stop=stop)).json()["choices"][0]
        assert choice["message"]["content"] == whole[: whole.index("NEGATIVE")]
        assert choice["finish_reason"] == "stop"


def test_all_choices_are_paid_for(endpoint: OpenAIEndpoint) -> None:
    one, three = (send(endpoint, body_of(n=n)).json()["usage"] for n in (1, 3))
    assert three["completion_tokens"] == 3 * one["completion_tokens"]
    assert three["prompt_tokens"] == one["prompt_tokens"]


@pytest.mark.parametrize("name", ["logprobs", "tools"])
def test_what_this_mock_does_not_know_is_refused_not_ignored(
    endpoint: OpenAIEndpoint, name: str
) -> None:
    value = True if name == "logprobs" else [{"type": "function", "function": {"name": "f"}}]
    answer = send(endpoint, body_of(**{name: value}))
    assert answer.status == 400
    assert f"This mock endpoint does not know '{name}'" in answer.json()["error"]["message"]


def test_the_model_answers_under_its_dated_name(endpoint: OpenAIEndpoint) -> None:
    assert send(endpoint, body_of()).json()["model"] == "gpt-4o-mini-2024-07-18"


def test_the_models_are_listed_and_described(endpoint: OpenAIEndpoint) -> None:
    listed = send(endpoint, path="/v1/models").json()
    assert listed["object"] == "list"
    models = [Model.model_validate(one, strict=True) for one in listed["data"]]
    assert "gpt-4o-mini" in {one.id for one in models}
    described = send(endpoint, path="/v1/models/gpt-4o-mini").json()
    assert Model.model_validate(described, strict=True) in models


def _options(*, stream: bool = True, **options: Any) -> dict[str, Any]:
    return body_of(stream=stream, stream_options=options)


def _message(**fields: Any) -> dict[str, Any]:
    return body_of(messages=[{"role": "user", "content": "hi", **fields}])


REFUSED: list[Any] = [
    pytest.param(body_of(model=...), 400, None, None, id="no-model"),
    pytest.param(body_of(model=7), 400, "model", "invalid_type", id="mistyped-model"),
    pytest.param(body_of(model="gpt-0"), 404, None, "model_not_found", id="unknown-model"),
    pytest.param(
        body_of(messages=...), 400, "messages", "missing_required_parameter", id="no-messages"
    ),
    pytest.param(body_of(messages=[]), 400, "messages", "empty_array", id="empty-messages"),
    pytest.param(body_of(messages="hi"), 400, "messages", "invalid_type", id="messages-a-string"),
    pytest.param(body_of(messages=["hi"]), 400, "messages[0]", "invalid_type", id="bare-message"),
    pytest.param(
        *(body_of(messages=[{"content": "hi"}]), 400, "messages[0].role"),
        "missing_required_parameter",
        id="no-role",
    ),
    pytest.param(
        *(body_of(messages=[{"role": "robot", "content": "hi"}]), 400, "messages[0].role"),
        "invalid_value",
        id="unknown-role",
    ),
    pytest.param(
        *(body_of(messages=[{"role": "user"}]), 400, "messages[0].content"),
        "missing_required_parameter",
        id="no-content",
    ),
    pytest.param(
        *(body_of(messages=[{"role": "user", "content": 5}]), 400, "messages[0].content"),
        "invalid_type",
        id="content-a-number",
    ),
    pytest.param(
        body_of(messages=[{"role": "user", "content": ["hi"]}]),
        *(400, "messages[0].content[0]", "invalid_type"),
        id="bare-part",
    ),
    pytest.param(body_of(colour="red"), 400, None, None, id="unknown-argument"),
    pytest.param(
        body_of(temperature=2.1), 400, "temperature", "decimal_above_max_value", id="too-hot"
    ),
    pytest.param(body_of(n=0), 400, "n", "integer_below_min_value", id="no-choice"),
    pytest.param(body_of(n=1.5), 400, "n", "invalid_type", id="half-a-choice"),
    pytest.param(body_of(n=True), 400, "n", "invalid_type", id="true-choices"),
    pytest.param(
        *(body_of(max_tokens=9, max_completion_tokens=9), 400, "max_tokens"),
        "invalid_parameter_combination",
        id="two-limits",
    ),
    pytest.param(
        *(body_of(response_format={}), 400, "response_format.type", "missing_required_parameter"),
        id="no-type",
    ),
    pytest.param(
        *(body_of(response_format={"type": "xml"}), 400, "response_format.type", "invalid_value"),
        id="unknown-type",
    ),
    pytest.param(
        body_of(response_format={"type": "json_schema"}),
        *(400, "response_format.json_schema", "missing_required_parameter"),
        id="no-schema",
    ),
    pytest.param(
        body_of(response_format={"type": "json_schema", "json_schema": {"name": "a b"}}),
        *(400, "response_format.json_schema.name", "invalid_value"),
        id="bad-name",
    ),
    pytest.param(
        *(body_of(response_format={"type": "json_object"}, messages=[{"role": "user"}]), 400),
        *("messages[0].content", "missing_required_parameter"),
        id="json-mode",
    ),
    pytest.param(
        _options(include_usage=True, stream=False), 400, "stream_options", None, id="no-stream"
    ),
    pytest.param(
        *(_options(include_usage="yes"), 400, "stream_options.include_usage", "invalid_type"),
        id="stream-option-a-string",
    ),
    pytest.param(
        *(_options(colour="red"), 400, "stream_options.colour", "unknown_parameter"),
        id="unknown-stream-option",
    ),
    pytest.param(body_of(stream="yes"), 400, "stream", "invalid_type", id="stream-a-string"),
    pytest.param(body_of(stop=[1]), 400, "stop", "invalid_type", id="stop-at-a-number"),
    pytest.param(
        body_of(stop=list("abcde")), 400, "stop", "array_above_max_length", id="many-stops"
    ),
    pytest.param(body_of(top_logprobs=2), 400, "top_logprobs", None, id="top-of-no-logprobs"),
    pytest.param(body_of(tools=[]), 400, "tools", "empty_array", id="empty-tools"),
    pytest.param(body_of(tool_choice="auto"), 400, "tool_choice", None, id="choice-of-no-tool"),
    pytest.param(
        *(body_of(parallel_tool_calls=True), 400, "parallel_tool_calls", None),
        id="parallel-calls-of-no-tool",
    ),
    pytest.param(
        body_of(function_call="auto"), 400, "function_call", None, id="call-of-no-function"
    ),
    pytest.param(
        body_of(service_tier="gold"), 400, "service_tier", "invalid_value", id="unknown-tier"
    ),
    pytest.param(
        *(body_of(reasoning_effort="low"), 400, "reasoning_effort", "unsupported_parameter"),
        id="a-model-that-does-not-reason",
    ),
    pytest.param(
        *(_message(colour="red"), 400, "messages[0].colour", "unknown_parameter"),
        id="unknown-field-of-a-message",
    ),
    pytest.param(_message(name=7), 400, "messages[0].name", "invalid_type", id="mistyped-name"),
    pytest.param(
        *(_message(role="tool"), 400, "messages[0].tool_call_id", "missing_required_parameter"),
        id="answer-of-no-tool",
    ),
    pytest.param(
        *(_message(role="function"), 400, "messages[0].name", "missing_required_parameter"),
        id="answer-of-no-function",
    ),
    pytest.param(
        body_of(response_format={"type": "text", "colour": "red"}),
        *(400, "response_format.colour", "unknown_parameter"),
        id="unknown-field-of-a-format",
    ),
    pytest.param(
        body_of(response_format={"type": "json_schema", "json_schema": {"name": "x", "hue": 1}}),
        *(400, "response_format.json_schema.hue", "unknown_parameter"),
        id="unknown-field-of-a-schema",
    ),
    pytest.param(
        body_of(metadata={"a": 1}), 400, "metadata.a", "invalid_type", id="metadata-a-number"
    ),
    pytest.param(
        body_of(logit_bias={"7": "x"}), 400, "logit_bias.7", "invalid_type", id="bias-a-string"
    ),
    pytest.param(b"{", 400, None, None, id="not-json"),
    pytest.param(b"[]", 400, None, None, id="not-an-object"),
    pytest.param(b'{"temperature":NaN}', 400, None, None, id="nan"),
    pytest.param(b'{"\\ud800":1}', 400, None, None, id="lone-surrogate"),
    pytest.param(b'{"model":"\xff"}', 400, None, None, id="not-utf-8"),
    pytest.param(b"[" * 100_000, 400, None, None, id="deep"),
    pytest.param(
        body_of("love " * 200_000), 400, "messages", "context_length_exceeded", id="too-long"
    ),
]


@pytest.mark.parametrize(("body", "status", "param", "code"), REFUSED)
def test_what_the_real_endpoint_refuses_is_refused_in_its_shape(
    endpoint: OpenAIEndpoint, body: Any, status: int, param: str | None, code: str | None
) -> None:
    answer = send(endpoint, body)
    jsonschema.validate(answer.json(), ERROR)
    error = ErrorObject.model_validate(answer.json()["error"], strict=True)
    assert (answer.status, error.type) == (status, "invalid_request_error")
    assert (error.param, error.code) == (param, code)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (with_schema(additionalProperties=...), "'additionalProperties' is required"),
        (with_schema(additionalProperties=True), "'additionalProperties' is required"),
        (with_schema(required=[]), "Missing 'labels'"),
        (with_schema(required=["labels", "more"]), "Extra required key 'more'"),
        (with_schema(type="array", items={"type": "string"}), "got 'type: \"array\"'"),
        (with_schema(properties={"labels": {"type": "array"}}), "missing items"),
        (with_schema(properties={"labels": {}}), "must have a 'type' key"),
        (with_schema(properties={"labels": True}), "schema must be an object"),
        (with_schema(allOf=[]), "non-empty"),
        (with_schema(oneOf=[SCHEMA]), "'oneOf' is not permitted"),
        (with_schema(type="objekt"), "objekt"),
        (
            with_schema(properties={"labels": {"type": "object", "properties": {}}}),
            "In context=('properties', 'labels'), 'additionalProperties' is required",
        ),
    ],
)
def test_a_schema_that_strict_mode_does_not_know_is_refused(
    endpoint: OpenAIEndpoint, wanted: dict[str, Any], words: str
) -> None:
    answer = send(endpoint, body_of(response_format=wanted))
    error = answer.json()["error"]
    assert (answer.status, error["param"]) == (400, "response_format")
    assert words in error["message"]


@pytest.mark.parametrize(
    ("key", "code"), [(None, None), ("", None), ("pk-wrong", "invalid_api_key")]
)
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/models", "/v1/models/gpt-4o"])
def test_without_a_key_nothing_is_answered(
    endpoint: OpenAIEndpoint, path: str, key: str | None, code: str | None
) -> None:
    body = body_of() if path.endswith("completions") else None
    answer = send(endpoint, body, path=path, key=key)
    jsonschema.validate(answer.json(), ERROR)
    assert (answer.status, answer.json()["error"]["code"]) == (401, code)
    assert "pk-wrong" not in answer.text


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), ("/v1/models", 405)])
def test_what_is_not_there_is_an_error_in_the_same_shape(
    endpoint: OpenAIEndpoint, path: str, status: int
) -> None:
    answer = send(endpoint, {}, path=path)
    jsonschema.validate(answer.json(), ERROR)
    assert answer.status == status


def test_every_request_and_every_text_is_counted(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("500")
    send(endpoint, body_of("a", "b"))
    send(endpoint, body_of("a"))
    send(endpoint, body_of(model="gpt-0"))
    seen = endpoint.requests()
    assert (seen["requests"], seen["in_flight"], seen["peak_in_flight"]) == (3, 0, 1)
    assert seen["statuses"] == {"500": 1, "200": 1, "404": 1}
    assert seen["faults"] == {"500": 1}
    expected = {sha256(text).hexdigest(): count for text, count in ((b"a", 2), (b"b", 1))}
    assert seen["reviews"] == expected
    endpoint.reset()
    assert endpoint.requests()["requests"] == 0
