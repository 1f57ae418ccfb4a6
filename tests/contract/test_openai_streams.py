"""The mock endpoint streams: the events that OpenAI publishes, whole and broken off."""

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest
from openai.types.chat import ChatCompletionChunk

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.openai_http import LABELS, body_of, send
from tests.contract.openai_published import CHUNK, ERROR

pytestmark = pytest.mark.model


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def _events(endpoint: OpenAIEndpoint, **changes: Any) -> list[str]:
    answer = send(endpoint, body_of(stream=True, **changes))
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *events, end = answer.text.split("\n\n")
    assert end == ""
    assert all(one.startswith("data: ") for one in events)
    return [one.removeprefix("data: ") for one in events]


def _chunks(endpoint: OpenAIEndpoint, **changes: Any) -> list[dict[str, Any]]:
    *chunks, done = _events(endpoint, **changes)
    assert done == "[DONE]"
    return [json.loads(one) for one in chunks]


def _content(chunks: list[dict[str, Any]], index: int = 0) -> str:
    choices = [one for chunk in chunks for one in chunk["choices"] if one["index"] == index]
    return "".join(one["delta"].get("content") or "" for one in choices)


def test_every_chunk_is_as_it_is_published(endpoint: OpenAIEndpoint) -> None:
    for chunk in _chunks(endpoint, stream_options={"include_usage": True}, n=2):
        jsonschema.validate(chunk, CHUNK)
        ChatCompletionChunk.model_validate(chunk, strict=True)


def test_the_pieces_are_the_whole(endpoint: OpenAIEndpoint) -> None:
    whole = send(endpoint, body_of()).json()["choices"][0]
    chunks = _chunks(endpoint)
    assert len({chunk["id"] for chunk in chunks}) == 1
    first, *_, last = [chunk["choices"][0] for chunk in chunks]
    assert first["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert (last["delta"], last["finish_reason"]) == ({}, "stop")
    assert _content(chunks) == whole["message"]["content"]
    assert [one["sentiment"] for one in json.loads(_content(chunks))["labels"]] == LABELS
    assert not any("usage" in chunk for chunk in chunks)


def test_usage_comes_last_where_it_is_asked_for(endpoint: OpenAIEndpoint) -> None:
    usage = send(endpoint, body_of()).json()["usage"]
    *chunks, last = _chunks(endpoint, stream_options={"include_usage": True})
    assert all(chunk["usage"] is None for chunk in chunks)
    assert (last["choices"], last["usage"]) == ([], usage)


def test_every_choice_is_streamed(endpoint: OpenAIEndpoint) -> None:
    chunks = _chunks(endpoint, n=3)
    assert _content(chunks, 0) == _content(chunks, 1) == _content(chunks, 2) != ""


def test_chunks_are_padded_unless_they_need_not_be(endpoint: OpenAIEndpoint) -> None:
    assert all("obfuscation" in one for one in _chunks(endpoint))
    bare = _chunks(endpoint, stream_options={"include_obfuscation": False})
    assert not any("obfuscation" in one for one in bare)


def test_a_stream_stops_at_the_token_limit(endpoint: OpenAIEndpoint) -> None:
    *_, last = _chunks(endpoint, max_completion_tokens=5)
    assert last["choices"][0]["finish_reason"] == "length"


def test_a_refusal_is_streamed(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("refusal")
    deltas = [chunk["choices"][0]["delta"] for chunk in _chunks(endpoint)]
    assert deltas[0]["content"] is None
    assert "".join(one.get("refusal") or "" for one in deltas).startswith("I'm sorry")


def test_an_error_before_the_first_event_is_no_stream(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("503")
    answer = send(endpoint, body_of(stream=True))
    jsonschema.validate(answer.json(), ERROR)
    assert (answer.status, answer.headers.get_content_type()) == (503, "application/json")


def test_an_error_in_midstream_is_the_last_event(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("stream_error")
    *chunks, error = map(json.loads, _events(endpoint))
    assert _content(chunks)
    jsonschema.validate(error, ERROR)


def test_an_event_may_break_off(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("truncated_json")
    *chunks, broken = _events(endpoint)
    assert _content([json.loads(one) for one in chunks])
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        json.loads(broken)


def test_a_stream_is_counted_like_any_other_answer(endpoint: OpenAIEndpoint) -> None:
    usage = send(endpoint, body_of()).json()["usage"]
    endpoint.reset()
    endpoint.limit(tokens_per_minute=10_000)
    _events(endpoint)
    seen = endpoint.requests()
    assert seen["statuses"] == {"200": 1}
    assert seen["completion_tokens"] == usage["completion_tokens"]
    left = send(endpoint, body_of()).headers["x-ratelimit-remaining-tokens"]
    assert int(left) <= 10_000 - 2 * usage["prompt_tokens"]
