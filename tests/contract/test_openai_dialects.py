"""The mock endpoint in each dialect: errors, answers, usage and headers, over HTTP."""

import json
import zlib
from collections.abc import Iterator
from http.client import HTTPConnection
from typing import Any

import pytest

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.mock_openai.dialect_table import DIALECTS
from reviewstream_testbed.mock_openai.fault_kinds import KINDS
from reviewstream_testbed.mock_openai.sending import bomb
from tests.contract.openai_http import LABELS, PATIENCE, Answer, body_of, send

pytestmark = pytest.mark.model

PROMPT = 22  # tokens of what `_asked` asks: 4 and 12, and 3 for each message


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def _refused(endpoint: OpenAIEndpoint, dialect: str, kind: str) -> tuple[int, Any]:
    endpoint.dialect(dialect)
    endpoint.fault(kind)
    answer = send(endpoint, body_of(response_format=..., model="some/model"))
    return answer.status, answer.json()


def _asked(endpoint: OpenAIEndpoint, **changes: Any) -> Answer:
    """Ask as every dialect lets one ask: without a schema, by the prompt alone."""
    messages = [
        {"role": "system", "content": "Answer in JSON."},
        {"role": "user", "content": json.dumps({"reviews": [{"id": "a", "text": "I love it"}]})},
    ]
    return send(endpoint, {"model": "some/model", "messages": messages, **changes})


# What is recorded in public of each endpoint's errors, reduced to what a client looks at.
ERRORS: list[Any] = [
    ("azure", "401", 401, {"error": {"code": "401"}}),
    ("azure", "content_filter_400", 400, {"error": {"code": "content_filter"}}),
    ("azure", "moderation_403", 400, {"error": {"code": "content_filter", "status": 400}}),
    ("azure", "quota_429", 429, {"error": {"code": "insufficient_quota"}}),
    ("openrouter", "401", 401, {"error": {"code": 401}}),
    ("openrouter", "quota_402", 402, {"error": {"code": 402}}),
    ("openrouter", "quota_429", 402, {"error": {"code": 402}}),
    ("openrouter", "500", 200, {"error": {"code": 502}}),
    ("openrouter", "moderation_403", 403, {"error": {"code": 403, "metadata": {"reasons": [...]}}}),
    ("openrouter", "rate_429", 429, {"error": {"metadata": {"raw": "Too Many Requests"}}}),
    ("gemini", "401", 400, [{"error": {"code": 400, "status": "INVALID_ARGUMENT"}}]),
    ("gemini", "rate_429", 429, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}]),
    ("gemini", "503", 503, [{"error": {"code": 503, "status": "UNAVAILABLE"}}]),
    ("gemini", "moderation_403", 200, {"choices": []}),
    ("mistral", "401", 401, {"detail": "Unauthorized"}),
    ("mistral", "rate_429", 429, {"object": "error", "type": "rate_limited", "code": "1300"}),
    ("groq", "no_capacity", 498, {"error": {"code": "capacity_exceeded"}}),
    ("groq", "401", 401, {"error": {"code": "invalid_api_key"}}),
    ("deepseek", "quota_429", 402, {"error": {"message": "Insufficient Balance"}}),
    ("deepseek", "moderation_403", 400, {"error": {"message": "Content Exists Risk"}}),
    ("deepseek", "401", 401, {"error": {"type": "authentication_error"}}),
    ("xai", "401", 400, {"code": "Client specified an invalid argument"}),
    ("xai", "quota_429", 403, {"error": ...}),
    ("vllm", "context_400", 400, {"error": {"type": "BadRequestError", "code": 400}}),
    ("ollama", "500", 500, {"error": {"type": "server_error", "param": None}}),
    ("litellm", "quota_429", 400, {"error": {"type": "budget_exceeded", "code": "400"}}),
    ("litellm", "401", 401, {"error": {"code": "401"}}),
]


@pytest.mark.parametrize(("dialect", "kind", "status", "expected"), ERRORS)
def test_an_error_has_the_dialects_shape_and_code(
    endpoint: OpenAIEndpoint, dialect: str, kind: str, status: int, expected: Any
) -> None:
    got, body = _refused(endpoint, dialect, kind)
    assert got == status
    _holds(body, expected)


def _holds(body: Any, expected: Any) -> None:
    if expected is ...:
        assert body is not None
    elif isinstance(expected, dict):
        for name, value in expected.items():
            _holds(body[name], value)
    elif isinstance(expected, list):
        assert len(body) == len(expected)
        for one, value in zip(body, expected, strict=True):
            _holds(one, value)
    else:
        assert body == expected


ERROR_KINDS = sorted(kind for kind, one in KINDS.items() if one.error is not None)


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_every_error_can_be_said_in_every_dialect(endpoint: OpenAIEndpoint, dialect: str) -> None:
    endpoint.dialect(dialect)
    endpoint.fault(*ERROR_KINDS)
    for kind in ERROR_KINDS:
        answer = _asked(endpoint)
        instead = DIALECTS[dialect].instead.get(kind, kind)
        is_error = KINDS[instead].error is not None
        assert (answer.status >= 400) == is_error
        assert answer.json()


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
def test_every_dialect_answers(endpoint: OpenAIEndpoint, dialect: str) -> None:
    endpoint.options(models=["some/model"])
    endpoint.dialect(dialect)
    for more in ({}, {"stream": True}, {"response_format": {"type": "json_object"}}):
        answer = _asked(endpoint, **more)
        assert answer.status == 200
        if not more.get("stream"):
            assert answer.labels()[0]["sentiment"] == "POSITIVE"
            assert answer.json()["usage"]["prompt_tokens"] > 0


@pytest.mark.parametrize(
    ("dialect", "expected"),
    [
        (
            "openai",
            {"service_tier": "default", "prompt_tokens_details": {"cached_tokens": PROMPT // 2}},
        ),
        ("openrouter", {"cost": ..., "provider": "Mock"}),
        ("deepseek", {"prompt_cache_hit_tokens": PROMPT // 2}),
        ("groq", {"queue_time": ..., "service_tier": "on_demand"}),
        ("azure", {"prompt_filter_results": [...]}),
    ],
)
def test_usage_has_the_dialects_fields(
    endpoint: OpenAIEndpoint, dialect: str, expected: dict[str, Any]
) -> None:
    endpoint.options(models=["some/model"], cached_share="0.5", prices="1,0.1,4")
    endpoint.dialect(dialect)
    body = _asked(endpoint).json()
    assert body["usage"]["prompt_tokens"] == PROMPT
    _holds({**body, **body["usage"]}, expected)


@pytest.mark.parametrize("dialect", ["gemini", "mistral", "vllm", "ollama"])
def test_usage_has_no_details_where_the_dialect_tells_none(
    endpoint: OpenAIEndpoint, dialect: str
) -> None:
    endpoint.options(cached_share=1)
    endpoint.dialect(dialect)
    usage = _asked(endpoint).json()["usage"]
    assert usage.keys() == {"prompt_tokens", "completion_tokens", "total_tokens"}
    assert endpoint.bill()["totals"]["cached_tokens"] == 0


@pytest.mark.parametrize("dialect", ["gemini", "xai"])
def test_hidden_tokens_may_be_told_beside_the_completion(
    endpoint: OpenAIEndpoint, dialect: str
) -> None:
    endpoint.options(hidden_tokens=100)
    endpoint.dialect(dialect)
    usage = _asked(endpoint).json()["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"] + 100
    assert endpoint.bill()["totals"]["completion_tokens"] == usage["completion_tokens"] + 100


@pytest.mark.parametrize(
    ("dialect", "field"),
    [("deepseek", "reasoning_content"), ("vllm", "reasoning_content"), ("ollama", "reasoning")],
)
def test_what_is_thought_may_be_told(endpoint: OpenAIEndpoint, dialect: str, field: str) -> None:
    endpoint.dialect(dialect)
    assert field not in _asked(endpoint).json()["choices"][0]["message"]
    endpoint.options(hidden_tokens=5)
    assert _asked(endpoint).json()["choices"][0]["message"][field]


def test_content_is_in_parts_where_mistral_reasons(endpoint: OpenAIEndpoint) -> None:
    endpoint.dialect("mistral")
    endpoint.options(hidden_tokens=5)
    thinking, text = _asked(endpoint).json()["choices"][0]["message"]["content"]
    assert (thinking["type"], text["type"]) == ("thinking", "text")
    assert json.loads(text["text"])["labels"]


@pytest.mark.parametrize(
    ("dialect", "told"),
    [
        ("groq", {"x-ratelimit-limit-requests": "86400", "x-ratelimit-limit-tokens": "6000"}),
        ("mistral", {"x-ratelimit-limit-req-minute": "60"}),
        ("openai", {"x-ratelimit-limit-requests": "60"}),
        ("vllm", {}),
        ("gemini", {}),
    ],
)
def test_limits_are_told_as_the_dialect_tells_them(
    endpoint: OpenAIEndpoint, dialect: str, told: dict[str, str]
) -> None:
    endpoint.options(models=["some/model"])
    endpoint.limit(requests_per_minute=60, tokens_per_minute=6_000)
    endpoint.dialect(dialect)
    headers = {name.lower(): one for name, one in _asked(endpoint).headers.items()}
    assert told.items() <= headers.items()
    assert bool(told) == any(name.startswith("x-ratelimit") for name in headers)


def test_groq_says_413_of_a_request_that_never_fits(endpoint: OpenAIEndpoint) -> None:
    endpoint.dialect("groq")
    endpoint.limit(tokens_per_minute=100)
    answer = _asked(endpoint, max_tokens=1_000)
    assert (answer.status, answer.json()["error"]["code"]) == (413, "rate_limit_exceeded")


@pytest.mark.parametrize("dialect", ["vllm", "ollama"])
def test_an_endpoint_of_ones_own_needs_no_key(endpoint: OpenAIEndpoint, dialect: str) -> None:
    endpoint.dialect(dialect)
    assert send(endpoint, body_of(response_format=...), key=None).status == 200


def test_azure_takes_its_own_header_for_a_key(endpoint: OpenAIEndpoint) -> None:
    connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)
    path = f"{endpoint.base_url.partition(str(endpoint.port))[2]}/chat/completions"
    statuses = []
    for dialect in ("azure", "openai"):
        endpoint.dialect(dialect)
        connection.request("POST", path, json.dumps(body_of()), {"api-key": "0123456789abcdef"})
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()
    assert statuses == [200, 401]


def test_a_dialect_can_be_given_at_the_start_and_is_back_after_a_reset() -> None:
    with OpenAIEndpoint(dialect="mistral", api_key="sk-one") as own:
        assert send(own, body_of(), key="sk-other").json() == {"detail": "Unauthorized"}
        own.dialect("xai")
        assert send(own, body_of(), key="sk-other").json()["error"].startswith("Incorrect API key")
        own.reset()
        assert send(own, body_of(), key="sk-other").json() == {"detail": "Unauthorized"}


@pytest.mark.parametrize("path", ["dialect", "options"])
def test_nonsense_is_refused_in_a_sentence(endpoint: OpenAIEndpoint, path: str) -> None:
    bodies: list[Any] = [{"dialect": "klingon"}, {"hidden_tokens": "x"}, {"colour": 1}, [], "x"]
    for body in bodies:
        endpoint.dialect("mistral")
        answer = send(endpoint, body, path=f"/_mock/{path}")
        is_empty = path == "options" and not body
        assert answer.status == (200 if is_empty else 400)
        assert is_empty or "This is not a" in answer.json()["error"]["message"]


def test_only_texts_that_hold_a_word_are_refused(endpoint: OpenAIEndpoint) -> None:
    endpoint.dialect("openrouter")
    endpoint.fault(
        "500", always=[{"kind": "moderation_403", "words": ["kill", "bomb"]}], match="love"
    )
    texts = ["They kill it", "a bomb", "fine", "I love it", "They kill it"]
    statuses = [send(endpoint, body_of(text, response_format=...)).status for text in texts]
    assert statuses == [403, 403, 200, 200, 403]
    assert endpoint.requests()["faults"] == {"moderation_403": 3, "500": 1}


@pytest.mark.parametrize(
    ("kind", "begin", "end"),
    [
        ("fence", "```json\n{", "}\n```"),
        ("fence_upper", "```JSON\n{", "}\n```"),
        ("fence_crlf", "```json\r\n{", "}\r\n```"),
        ("fence_no_newline", "```json\n{", "}```"),
        ("think_block", "<think>\nOkay, the user wants {labels}.\n</think>\n\n{", "}"),
        ("bom", "\ufeff{", "}"),
    ],
)
def test_an_answer_is_wrapped_as_models_wrap_it(
    endpoint: OpenAIEndpoint, kind: str, begin: str, end: str
) -> None:
    endpoint.fault(kind)
    content = send(endpoint, body_of()).json()["choices"][0]["message"]["content"]
    assert content.startswith(begin)
    assert content.endswith(end)


def test_an_answer_may_be_where_nobody_looks(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("reasoning_content", "content_parts", "blanks", "finish_error")
    hidden, parts, blanks, broken = (send(endpoint, body_of()) for _ in range(4))
    message = hidden.json()["choices"][0]["message"]
    assert (message["content"], json.loads(message["reasoning_content"]).keys()) == (
        None,
        {"labels"},
    )
    assert parts.json()["choices"][0]["message"]["content"][1]["type"] == "text"
    assert blanks.text.startswith("\n ")
    assert [one["sentiment"] for one in blanks.labels()] == LABELS
    choice = broken.json()["choices"][0]
    assert (choice["finish_reason"], choice["error"]["code"]) == ("error", 502)


def test_a_bomb_is_a_megabyte_and_unpacks_to_a_gigabyte() -> None:
    packed = bomb()
    assert len(packed) < 1_200_000
    unpacker, size, text = zlib.decompressobj(zlib.MAX_WBITS | 16), 0, b""
    while packed:
        part = unpacker.decompress(packed, 1 << 22)
        packed = unpacker.unconsumed_tail
        size, text = size + len(part), part
    assert size > 1 << 30
    assert text.endswith(b'"}, "finish_reason": "stop", "index": 0}]}')
    assert unpacker.eof  # its checksum is right


@pytest.mark.parametrize("kind", ["gzip_bomb", "endless"])
def test_what_is_huge_begins_like_an_answer(endpoint: OpenAIEndpoint, kind: str) -> None:
    endpoint.fault(kind)
    connection = HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)
    path = f"{endpoint.base_url.partition(str(endpoint.port))[2]}/chat/completions"
    connection.request("POST", path, json.dumps(body_of()), {"Authorization": "Bearer sk-x"})
    answer = connection.getresponse()
    assert answer.status == 200
    assert len(answer.read(1 << 20)) >= 1_000_000
    connection.close()
    assert send(endpoint, body_of()).status == 200
