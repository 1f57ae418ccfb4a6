"""The mock endpoint over HTTP: what OpenAI's published description of the API requires of it."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from hashlib import sha256
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import psutil
import pytest
from openai.types import Model
from openai.types.chat import ChatCompletion
from openai.types.shared import ErrorObject

from reviewstream_testbed.openai_endpoint import EndpointFailed, OpenAIEndpoint

PATIENCE = 30.0  # seconds
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "labels": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "sentiment": {"type": "string", "enum": ["POSITIVE", "NEUTRAL", "NEGATIVE"]},
                    "confidence": {"type": "number"},
                },
                "required": ["id", "sentiment", "confidence"],
                "additionalProperties": False,
            },
        }
    },
    "required": ["labels"],
    "additionalProperties": False,
}
TEXTS = ["I love it, wonderful!", "I hate it, horrible!", "the chair", "😍😍", "Стул"]
LABELS = ["POSITIVE", "NEGATIVE", "NEUTRAL", "POSITIVE", "NEUTRAL"]

# `components.schemas` of the published description, reduced to what is required there.
NULLABLE_STRING = {"type": ["string", "null"]}
COUNT = {"type": "integer", "minimum": 0}
PUBLISHED_COMPLETION = {
    "type": "object",
    "required": ["choices", "created", "id", "model", "object", "usage"],
    "properties": {
        "id": {"type": "string"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "object": {"const": "chat.completion"},
        "usage": {
            "type": "object",
            "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
            "additionalProperties": {"anyOf": [COUNT, {"type": "object"}]},
        },
        "choices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["finish_reason", "index", "message", "logprobs"],
                "properties": {
                    "finish_reason": {"enum": ["stop", "length", "content_filter"]},
                    "index": COUNT,
                    "logprobs": {"type": "null"},
                    "message": {
                        "type": "object",
                        "required": ["role", "content", "refusal"],
                        "properties": {
                            "role": {"const": "assistant"},
                            "content": NULLABLE_STRING,
                            "refusal": NULLABLE_STRING,
                        },
                    },
                },
            },
        },
    },
}
PUBLISHED_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message", "param", "code"],
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string", "minLength": 1},
                "param": NULLABLE_STRING,
                "code": NULLABLE_STRING,
            },
        }
    },
}


class Answer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: Any
    text: str

    def json(self) -> Any:
        return json.loads(self.text)

    def labels(self) -> list[dict[str, Any]]:
        content = self.json()["choices"][0]["message"]["content"]
        labels: list[dict[str, Any]] = json.loads(content)["labels"]
        return labels


def _body(*texts: str, **changes: Any) -> dict[str, Any]:
    reviews = [{"id": f"r{number}", "text": text} for number, text in enumerate(texts or TEXTS)]
    body = {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": "Label the reviews."},
            {"role": "user", "content": json.dumps({"reviews": reviews})},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "labels", "strict": True, "schema": SCHEMA},
        },
    } | changes
    return {name: value for name, value in body.items() if value is not ...}


def _with_schema(**changes: Any) -> dict[str, Any]:
    schema = {name: value for name, value in (SCHEMA | changes).items() if value is not ...}
    return {"type": "json_schema", "json_schema": {"name": "x", "strict": True, "schema": schema}}


def _send(
    endpoint: OpenAIEndpoint,
    body: Any = None,
    *,
    path: str = "/v1/chat/completions",
    key: str | None = "sk-any",
    timeout: float = PATIENCE,
) -> Answer:
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    request = urllib.request.Request(endpoint.url + path, data=data, headers=headers)  # noqa: S310 - http, ours
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=timeout) as answer:
            return Answer(answer.status, answer.headers, answer.read().decode())
    except urllib.error.HTTPError as err:
        with err:
            return Answer(err.code, err.headers, err.read().decode())


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def test_a_completion_has_every_field_that_the_description_requires(
    endpoint: OpenAIEndpoint,
) -> None:
    body = _send(endpoint, _body()).json()
    jsonschema.validate(body, PUBLISHED_COMPLETION)
    ChatCompletion.model_validate(body, strict=True)
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_an_answer_follows_the_schema_and_depends_on_the_texts(endpoint: OpenAIEndpoint) -> None:
    answer = _send(endpoint, _body())
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
    wanted = _with_schema(
        properties=schema, required=list(schema), **{"$defs": {"word": {"type": "string"}}}
    )
    answer = _send(endpoint, _body(TEXTS[0], response_format=wanted)).json()
    assert json.loads(answer["choices"][0]["message"]["content"]) == expected


def test_a_plain_question_is_answered_with_a_plain_word(endpoint: OpenAIEndpoint) -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": TEXTS[1]}]}]
    answer = _send(endpoint, _body(messages=messages, response_format=...)).json()
    assert answer["choices"][0]["message"]["content"] == "NEGATIVE"


def test_json_mode_answers_with_json(endpoint: OpenAIEndpoint) -> None:
    messages = [{"role": "user", "content": f"Answer in JSON: {TEXTS[0]}"}]
    wanted = {"type": "json_object"}
    answer = _send(endpoint, _body(messages=messages, response_format=wanted))
    assert answer.labels()[0]["sentiment"] == "POSITIVE"


def test_an_answer_stops_at_the_token_limit(endpoint: OpenAIEndpoint) -> None:
    body = _send(endpoint, _body(max_completion_tokens=5)).json()
    assert body["choices"][0]["finish_reason"] == "length"
    assert body["usage"]["completion_tokens"] == 5


def test_several_choices_are_given_where_they_are_asked_for(endpoint: OpenAIEndpoint) -> None:
    choices = _send(endpoint, _body(n=3)).json()["choices"]
    assert [one["index"] for one in choices] == [0, 1, 2]


def test_an_answer_names_its_request_and_the_limits(endpoint: OpenAIEndpoint) -> None:
    first, second = (_send(endpoint, _body()).headers for _ in range(2))
    assert first["x-request-id"].startswith("req_")
    assert first["x-request-id"] != second["x-request-id"]
    for what in ("requests", "tokens"):
        limit, left = (int(first[f"x-ratelimit-{word}-{what}"]) for word in ("limit", "remaining"))
        assert 0 <= left < limit
        assert first[f"x-ratelimit-reset-{what}"].endswith("ms")


def test_the_model_answers_under_its_dated_name(endpoint: OpenAIEndpoint) -> None:
    assert _send(endpoint, _body()).json()["model"] == "gpt-4o-mini-2024-07-18"


def test_the_models_are_listed_and_described(endpoint: OpenAIEndpoint) -> None:
    listed = _send(endpoint, path="/v1/models").json()
    assert listed["object"] == "list"
    models = [Model.model_validate(one, strict=True) for one in listed["data"]]
    assert "gpt-4o-mini" in {one.id for one in models}
    described = _send(endpoint, path="/v1/models/gpt-4o-mini").json()
    assert Model.model_validate(described, strict=True) in models


REFUSED: list[Any] = [
    pytest.param(_body(model=...), 400, None, None, id="no-model"),
    pytest.param(_body(model=7), 400, "model", "invalid_type", id="mistyped-model"),
    pytest.param(_body(model="gpt-0"), 404, None, "model_not_found", id="unknown-model"),
    pytest.param(
        _body(messages=...), 400, "messages", "missing_required_parameter", id="no-messages"
    ),
    pytest.param(_body(messages=[]), 400, "messages", "empty_array", id="empty-messages"),
    pytest.param(_body(messages="hi"), 400, "messages", "invalid_type", id="messages-a-string"),
    pytest.param(_body(messages=["hi"]), 400, "messages[0]", "invalid_type", id="bare-message"),
    pytest.param(
        *(_body(messages=[{"content": "hi"}]), 400, "messages[0].role"),
        "missing_required_parameter",
        id="no-role",
    ),
    pytest.param(
        *(_body(messages=[{"role": "robot", "content": "hi"}]), 400, "messages[0].role"),
        "invalid_value",
        id="unknown-role",
    ),
    pytest.param(
        *(_body(messages=[{"role": "user"}]), 400, "messages[0].content"),
        "missing_required_parameter",
        id="no-content",
    ),
    pytest.param(
        *(_body(messages=[{"role": "user", "content": 5}]), 400, "messages[0].content"),
        "invalid_type",
        id="content-a-number",
    ),
    pytest.param(
        _body(messages=[{"role": "user", "content": ["hi"]}]),
        *(400, "messages[0].content[0]", "invalid_type"),
        id="bare-part",
    ),
    pytest.param(_body(colour="red"), 400, None, None, id="unknown-argument"),
    pytest.param(
        _body(temperature=2.1), 400, "temperature", "decimal_above_max_value", id="too-hot"
    ),
    pytest.param(_body(n=0), 400, "n", "integer_below_min_value", id="no-choice"),
    pytest.param(_body(n=1.5), 400, "n", "invalid_type", id="half-a-choice"),
    pytest.param(_body(n=True), 400, "n", "invalid_type", id="true-choices"),
    pytest.param(
        *(_body(max_tokens=9, max_completion_tokens=9), 400, "max_tokens"),
        "invalid_parameter_combination",
        id="two-limits",
    ),
    pytest.param(
        *(_body(response_format={}), 400, "response_format.type", "missing_required_parameter"),
        id="no-type",
    ),
    pytest.param(
        *(_body(response_format={"type": "xml"}), 400, "response_format.type", "invalid_value"),
        id="unknown-type",
    ),
    pytest.param(
        _body(response_format={"type": "json_schema"}),
        *(400, "response_format.json_schema", "missing_required_parameter"),
        id="no-schema",
    ),
    pytest.param(
        _body(response_format={"type": "json_schema", "json_schema": {"name": "a b"}}),
        *(400, "response_format.json_schema.name", "invalid_value"),
        id="bad-name",
    ),
    pytest.param(
        *(_body(response_format={"type": "json_object"}, messages=[{"role": "user"}]), 400),
        *("messages[0].content", "missing_required_parameter"),
        id="json-mode",
    ),
    pytest.param(b"{", 400, None, None, id="not-json"),
    pytest.param(b"[]", 400, None, None, id="not-an-object"),
    pytest.param(b'{"temperature":NaN}', 400, None, None, id="nan"),
    pytest.param(b'{"\\ud800":1}', 400, None, None, id="lone-surrogate"),
    pytest.param(b'{"model":"\xff"}', 400, None, None, id="not-utf-8"),
    pytest.param(b"[" * 100_000, 400, None, None, id="deep"),
    pytest.param(
        _body("love " * 200_000), 400, "messages", "context_length_exceeded", id="too-long"
    ),
]


@pytest.mark.parametrize(("body", "status", "param", "code"), REFUSED)
def test_what_the_real_endpoint_refuses_is_refused_in_its_shape(
    endpoint: OpenAIEndpoint, body: Any, status: int, param: str | None, code: str | None
) -> None:
    answer = _send(endpoint, body)
    jsonschema.validate(answer.json(), PUBLISHED_ERROR)
    error = ErrorObject.model_validate(answer.json()["error"], strict=True)
    assert (answer.status, error.type) == (status, "invalid_request_error")
    assert (error.param, error.code) == (param, code)
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (_with_schema(additionalProperties=...), "'additionalProperties' is required"),
        (_with_schema(additionalProperties=True), "'additionalProperties' is required"),
        (_with_schema(required=[]), "Missing 'labels'"),
        (_with_schema(required=["labels", "more"]), "Extra required key 'more'"),
        (_with_schema(type="array", items={"type": "string"}), "got 'type: \"array\"'"),
        (_with_schema(properties={"labels": {"type": "array"}}), "missing items"),
        (_with_schema(properties={"labels": {}}), "must have a 'type' key"),
        (_with_schema(properties={"labels": True}), "schema must be an object"),
        (_with_schema(allOf=[]), "non-empty"),
        (_with_schema(oneOf=[SCHEMA]), "'oneOf' is not permitted"),
        (_with_schema(type="objekt"), "objekt"),
        (
            _with_schema(properties={"labels": {"type": "object", "properties": {}}}),
            "In context=('properties', 'labels'), 'additionalProperties' is required",
        ),
    ],
)
def test_a_schema_that_strict_mode_does_not_know_is_refused(
    endpoint: OpenAIEndpoint, wanted: dict[str, Any], words: str
) -> None:
    answer = _send(endpoint, _body(response_format=wanted))
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
    body = _body() if path.endswith("completions") else None
    answer = _send(endpoint, body, path=path, key=key)
    jsonschema.validate(answer.json(), PUBLISHED_ERROR)
    assert (answer.status, answer.json()["error"]["code"]) == (401, code)
    assert "pk-wrong" not in answer.text


@pytest.mark.parametrize(("path", "status"), [("/v1/nothing", 404), ("/v1/models", 405)])
def test_what_is_not_there_is_an_error_in_the_same_shape(
    endpoint: OpenAIEndpoint, path: str, status: int
) -> None:
    answer = _send(endpoint, {}, path=path)
    jsonschema.validate(answer.json(), PUBLISHED_ERROR)
    assert answer.status == status


@pytest.mark.parametrize(
    ("kind", "status", "family", "code"),
    [
        ("400", 400, "invalid_request_error", "scripted"),
        ("401", 401, "invalid_request_error", "invalid_api_key"),
        ("500", 500, "server_error", None),
        ("503", 503, "server_error", None),
        ("rate_429", 429, "requests", "rate_limit_exceeded"),
        ("quota_429", 429, "insufficient_quota", "insufficient_quota"),
    ],
)
def test_a_scripted_error_has_the_published_shape(
    endpoint: OpenAIEndpoint, kind: str, status: int, family: str, code: str | None
) -> None:
    endpoint.fault(kind)
    answer = _send(endpoint, _body())
    jsonschema.validate(answer.json(), PUBLISHED_ERROR)
    error = answer.json()["error"]
    assert (answer.status, error["type"], error["code"]) == (status, family, code)
    assert _send(endpoint, _body()).status == 200


def test_a_rate_limit_says_how_long_to_wait_as_it_is_told(endpoint: OpenAIEndpoint) -> None:
    date = "Sun, 22 Nov 2026 12:00:00 GMT"
    endpoint.fault(
        {"kind": "rate_429", "retry_after": 1.5},
        {"kind": "rate_429", "retry_after_header": date},
        "rate_429",
    )
    headers = [_send(endpoint, _body()).headers for _ in range(3)]
    assert [one["retry-after"] for one in headers] == ["1.5", date, None]
    assert [one["retry-after-ms"] for one in headers] == ["1500", None, None]


@pytest.mark.parametrize(
    ("kind", "is_wrong"),
    [
        ("html", lambda it: it.headers.get_content_type() == "text/html"),
        ("empty_choices", lambda it: it.json()["choices"] == []),
        ("refusal", lambda it: it.json()["choices"][0]["message"]["refusal"]),
        ("length", lambda it: it.json()["choices"][0]["finish_reason"] == "length"),
        ("off_list_label", lambda it: it.labels()[-1]["sentiment"] not in LABELS),
        ("wrong_id", lambda it: it.labels()[-1]["id"] == "r4-not"),
        ("missing_id", lambda it: len(it.labels()) == len(TEXTS) - 1),
        ("extra_id", lambda it: len(it.labels()) == len(TEXTS) + 1),
    ],
)
def test_a_scripted_bad_answer_is_bad_in_that_way_only(
    endpoint: OpenAIEndpoint, kind: str, is_wrong: Callable[[Answer], Any]
) -> None:
    good = _send(endpoint, _body())
    assert not is_wrong(good)
    endpoint.fault(kind)
    bad = _send(endpoint, _body())
    assert bad.status == 200
    assert is_wrong(bad)
    assert _send(endpoint, _body()).labels() == good.labels()


def test_a_truncated_body_is_no_json(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("truncated_json")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        _send(endpoint, _body()).json()


def test_a_reset_breaks_the_connection(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("reset")
    with pytest.raises((OSError, HTTPException)):
        _send(endpoint, _body())
    assert _send(endpoint, _body()).status == 200


def test_a_hanging_request_hangs_and_ends_with_its_client(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("hang")
    with pytest.raises(TimeoutError):
        _send(endpoint, _body(), timeout=1.0)
    _await(lambda: endpoint.requests()["statuses"], expected={"dropped": 1})
    assert endpoint.requests()["in_flight"] == 0


def test_a_slow_answer_takes_its_time(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault({"kind": "slow", "seconds": 0.3})
    started = time.monotonic()
    assert _send(endpoint, _body()).status == 200
    assert time.monotonic() - started >= 0.3


def test_faults_can_be_meant_for_some_requests_only(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault({"kind": "500", "times": 2}, match="poison")
    texts = ["fine", "poison", "poison", "poison"]
    assert [_send(endpoint, _body(text)).status for text in texts] == [200, 500, 500, 200]


def test_a_rate_of_faults_is_met_about_that_often_and_always_the_same(
    endpoint: OpenAIEndpoint,
) -> None:
    runs = []
    for _ in range(2):
        endpoint.fault(rate=0.5, faults=["500", "503"], seed=3)
        runs.append([_send(endpoint, _body("x")).status for _ in range(40)])
    assert runs[0] == runs[1]
    assert set(runs[0]) == {200, 500, 503}
    assert 8 <= runs[0].count(200) <= 32


@pytest.mark.parametrize(
    "script",
    [
        {"sequence": ["sneeze"]},
        {"sequence": [{"kind": "slow", "hours": 1}]},
        {"rate": 2, "faults": ["500"]},
        {"rate": 0.5},
        {"sequenze": []},
        [],
    ],
)
def test_a_malformed_script_is_refused(endpoint: OpenAIEndpoint, script: Any) -> None:
    assert _send(endpoint, script, path="/_mock/fault").status == 400


def test_every_request_and_every_text_is_counted(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("500")
    _send(endpoint, _body("a", "b"))
    _send(endpoint, _body("a"))
    _send(endpoint, _body(model="gpt-0"))
    seen = endpoint.requests()
    assert (seen["requests"], seen["in_flight"], seen["peak_in_flight"]) == (3, 0, 1)
    assert seen["statuses"] == {"500": 1, "200": 1, "404": 1}
    assert seen["faults"] == {"500": 1}
    expected = {sha256(text).hexdigest(): count for text, count in ((b"a", 2), (b"b", 1))}
    assert seen["reviews"] == expected
    endpoint.reset()
    assert endpoint.requests()["requests"] == 0


def test_an_endpoint_of_ones_own_takes_its_key_only_and_keeps_its_latency() -> None:
    with OpenAIEndpoint(latency=200, api_key="sk-one") as endpoint:
        assert _send(endpoint, _body(), key="sk-other").status == 401
        started = time.monotonic()
        assert _send(endpoint, _body(), key=endpoint.api_key).status == 200
        assert time.monotonic() - started >= 0.2


def test_a_killed_endpoint_comes_back_at_the_same_address() -> None:
    with OpenAIEndpoint() as endpoint:
        address = endpoint.base_url
        endpoint.kill()
        with pytest.raises(OSError, match="refused"):
            _send(endpoint, _body())
        endpoint.restart()
        assert endpoint.base_url == address
        assert _send(endpoint, _body()).status == 200
        assert endpoint.logs().startswith(f"Ready. {address}")


def test_a_paused_endpoint_does_not_answer_until_it_goes_on() -> None:
    with OpenAIEndpoint() as endpoint:
        endpoint.pause()
        with pytest.raises(TimeoutError):
            _send(endpoint, path="/_mock/health", timeout=0.3)
        endpoint.resume()
        assert _send(endpoint, path="/_mock/health").json() == {"status": "ok"}


def test_a_port_in_use_is_told_in_one_sentence() -> None:
    with OpenAIEndpoint() as endpoint:
        port = endpoint.url.rpartition(":")[2]
        command = [sys.executable, "-m", "reviewstream_testbed.openai_endpoint", "--port", port]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert second.returncode == 1
        assert second.stderr.startswith(f"cannot listen on 127.0.0.1:{port}: ")
        assert "Traceback" not in second.stderr


def test_an_endpoint_that_cannot_start_says_why() -> None:
    with pytest.raises(EndpointFailed, match="--latency is -1 ms"), OpenAIEndpoint(latency=-1):
        pass


def test_nothing_is_left_after_the_parent_is_killed() -> None:
    program = (
        "import time; from reviewstream_testbed.openai_endpoint import OpenAIEndpoint\n"
        "with OpenAIEndpoint() as it: print(it.url, it._log, flush=True); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        log = parent.stdout.readline().split()[1]
        family = psutil.Process(parent.pid).children(recursive=True)
        assert family
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
    _await(lambda: [one for one in family if one.is_running()], expected=[])
    _await(Path(log).parent.exists, expected=False)


def _await(ask: Callable[[], Any], *, expected: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while (last := ask()) != expected:
        if time.monotonic() > deadline:
            pytest.fail(f"still {last!r} after {PATIENCE:g} s")
        time.sleep(0.02)
