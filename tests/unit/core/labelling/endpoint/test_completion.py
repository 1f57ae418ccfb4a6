"""Completions: what endpoints send with HTTP 200."""

import json
from typing import Any

import pytest
from hypothesis import example, given

from reviewstream.core.labelling.chat import ChatAnswer, RateLimits
from reviewstream.core.labelling.endpoint.blame import Blame, blame
from reviewstream.core.labelling.endpoint.completion import (
    MAX_NAME,
    NO_CHOICE,
    NotACompletion,
    read_completion,
)
from reviewstream.core.labelling.endpoint.dialects import DIALECTS
from reviewstream.core.labelling.endpoint.refusals import Refused
from tests.unit.core.labelling.endpoint.test_refusals import bodies, header_sets

GENERIC = DIALECTS["generic"]
USAGE = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}


def completion(
    message: Any = None, choice: dict[str, Any] | None = None, **more: Any
) -> dict[str, Any]:
    said = {"role": "assistant", "content": "yes", "refusal": None} | (message or {})
    first = {"index": 0, "message": said, "finish_reason": "stop"} | (choice or {})
    return {"object": "chat.completion", "model": "m", "choices": [first], "usage": USAGE} | more


def read(body: Any, **headers: str) -> ChatAnswer | Refused | NotACompletion:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    return read_completion(raw, sent, GENERIC)


def answered(body: Any, **headers: str) -> ChatAnswer:
    found = read(body, **headers)
    assert isinstance(found, ChatAnswer)
    return found


def test_a_completion_is_read() -> None:
    body = completion(service_tier="flex")
    assert answered(body, x_request_id="r-1", x_ratelimit_limit_requests="60") == ChatAnswer(
        text="yes",
        model="m",
        request_id="r-1",
        prompt_tokens=100,
        completion_tokens=20,
        service_tier="flex",
        limits=RateLimits(requests_per_minute=60),
    )


@pytest.mark.parametrize("prefix", [b"\n   \n\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf \r\n"])
def test_blanks_and_a_byte_order_mark_before_a_body_do_not_matter(prefix: bytes) -> None:
    assert answered(prefix + json.dumps(completion()).encode()).text == "yes"


def test_a_list_of_one_completion_is_read() -> None:
    assert answered([completion()]).text == "yes"


def test_raw_control_characters_and_broken_utf8_do_not_matter() -> None:
    body = json.dumps(completion({"content": "A"})).encode().replace(b'"A"', b'"a\n\xffb"')
    assert answered(body).text == "a\n\ufffdb"


@pytest.mark.parametrize(
    ("content", "text"),
    [
        (None, ""),
        ("yes", "yes"),
        ([], ""),
        ([{"type": "text", "text": "ye"}, {"type": "text", "text": "s"}], "yes"),
        ([{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}], ""),
        ([{"type": "thinking", "text": "hm"}, {"type": "text", "text": "yes"}], "yes"),
        ([{"text": "yes"}], "yes"),
        ([{"type": "text", "text": None}], ""),
        (["ye", "s"], "yes"),
        ({"type": "text", "text": "yes"}, "yes"),
        ({"labels": []}, '{"labels":[]}'),
        ([{"id": "0"}], '[{"id":"0"}]'),
    ],
)
def test_content_is_read_in_every_form(content: Any, text: str) -> None:
    assert answered(completion({"content": content})).text == text


@pytest.mark.parametrize("content", [1, True, 0.5])
def test_content_of_another_type_is_a_bad_answer(content: Any) -> None:
    found = read(completion({"content": content}))
    assert isinstance(found, NotACompletion)
    assert found.is_json


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_an_answer_in_the_reasoning_is_named_and_not_read(field: str) -> None:
    answer = answered(completion({"content": None, field: '{"labels": []}'}))
    assert (answer.text, answer.finish_reason) == ("", field)


def test_reasoning_beside_a_content_does_not_matter() -> None:
    answer = answered(completion({"content": "yes", "reasoning_content": "hm"}))
    assert (answer.text, answer.finish_reason) == ("yes", "stop")


def test_an_answer_that_is_cut_short_in_the_reasoning_is_cut_short() -> None:
    body = completion({"content": "", "reasoning_content": "hm"}, {"finish_reason": "length"})
    assert answered(body).finish_reason == "length"


@pytest.mark.parametrize(
    ("told", "finish"),
    [
        (None, "stop"),
        ("", "stop"),
        (7, "stop"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("MAX_TOKENS", "length"),
        ("max_tokens", "length"),
        ("content_filter", "content_filter"),
        ("SAFETY", "content_filter"),
        ("PROHIBITED_CONTENT", "content_filter"),
        ("RECITATION", "content_filter"),
        ("tool_calls", "tool_calls"),
        ("x" * 1000, "x" * MAX_NAME),
    ],
)
def test_finish_reasons_are_said_in_one_way(told: Any, finish: str) -> None:
    assert answered(completion(choice={"finish_reason": told})).finish_reason == finish


@pytest.mark.parametrize("told", ["error", "ERROR", "network_error", "abort"])
def test_an_endpoint_that_broke_off_has_failed(told: str) -> None:
    found = read(completion(choice={"finish_reason": told}, usage=None))
    assert found == Refused(status=502, words=f"finish_reason is {told}")


def test_an_endpoint_that_broke_off_says_why() -> None:
    error = {"code": 429, "message": "slow"}
    body = completion(choice={"finish_reason": "error"}, usage=None, error=error)
    assert read(body) == Refused(status=429, words="slow")


def test_an_endpoint_without_resources_has_failed() -> None:
    found = read(completion(choice={"finish_reason": "insufficient_system_resource"}))
    assert isinstance(found, Refused)
    assert found.status == 503
    assert blame(found) is Blame.ENDPOINT


def test_an_error_inside_a_choice_is_read() -> None:
    error = {"code": 429, "message": "Upstream error"}
    choice = {"finish_reason": "error", "error": error}
    assert read(completion(choice=choice, usage=None)) == Refused(
        status=429, words="Upstream error"
    )


def test_an_error_inside_a_choice_without_a_code_is_the_endpoint() -> None:
    found = read(completion(choice={"error": {"message": "broke"}}, usage=None))
    assert found == Refused(status=502, words="broke")


def test_an_endpoint_that_failed_may_bill_all_the_same() -> None:
    found = read(completion(choice={"finish_reason": "error"}))
    assert isinstance(found, Refused)
    assert found.billed is not None
    assert (found.billed.prompt_tokens, found.billed.completion_tokens) == (100, 20)
    assert found.billed.text == ""


def test_an_error_beside_an_answer_does_not_matter() -> None:
    assert answered(completion(error={"message": "slow", "code": 1})).text == "yes"


def test_an_error_beside_an_empty_choice_is_the_answer() -> None:
    body = completion({"content": None}, error={"code": 402, "message": "Insufficient credits"})
    found = read(body)
    assert isinstance(found, Refused)
    assert blame(found) is Blame.QUOTA


@pytest.mark.parametrize("choices", [{"choices": []}, {"choices": None}])
def test_a_completion_without_a_choice_is_a_refusal_of_the_prompt(choices: dict[str, Any]) -> None:
    answer = answered(completion() | {"usage": {"prompt_tokens": 10, "total_tokens": 10}} | choices)
    assert (answer.refusal, answer.text) == (NO_CHOICE, "")
    assert (answer.has_usage, answer.prompt_tokens, answer.completion_tokens) == (True, 10, 0)


def test_a_completion_that_leaves_choices_out_is_one_too() -> None:
    assert answered({"object": "chat.completion", "model": "g"}).refusal == NO_CHOICE


def test_a_filtered_answer_may_have_no_message() -> None:
    body = completion(choice={"message": None, "finish_reason": "content_filter"})
    assert answered(body).finish_reason == "content_filter"


@pytest.mark.parametrize(
    ("message", "refusal"),
    [
        ({"refusal": "I can't."}, "I can't."),
        ({"refusal": " "}, None),
        ({"refusal": 7}, None),
        ({"content": [{"type": "refusal", "refusal": "No."}]}, "No."),
        ({"content": [{"type": "refusal"}]}, None),
    ],
)
def test_a_refusal_of_the_model_is_read(message: dict[str, Any], refusal: str | None) -> None:
    assert answered(completion(message)).refusal == refusal


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"<html>login</html>", b'{"choices": [{"mess', b"data: {}", b"\xff\xfe"]
)
def test_a_body_that_is_not_json_is_no_completion(body: bytes) -> None:
    found = read(body)
    assert isinstance(found, NotACompletion)
    assert not found.is_json
    found.why.encode()


def test_what_is_no_completion_shows_how_it_begins() -> None:
    assert read(b"<p>\nlogin") == NotACompletion(why="the body is not JSON: '<p> login'")
    assert read(b"") == NotACompletion(why="the body is empty")


@pytest.mark.parametrize(
    "body", [[], 7, "text", None, {}, {"choices": {}}, {"choices": [{}]}, {"choices": ["x"]}]
)
def test_json_that_is_no_completion_is_told_apart(body: Any) -> None:
    found = read(body)
    assert isinstance(found, NotACompletion)
    assert found.is_json


@pytest.mark.parametrize("name", ["x_request_id", "request_id", "apim_request_id"])
def test_the_id_of_a_request_has_several_names(name: str) -> None:
    assert answered(completion(), **{name: "r"}).request_id == "r"


def test_names_of_the_endpoint_are_cut() -> None:
    answer = answered(completion(model="m" * 1000, service_tier="t" * 1000), x_request_id="r" * 999)
    assert answer.model == "m" * MAX_NAME
    assert answer.service_tier == "t" * MAX_NAME
    assert answer.request_id == "r" * MAX_NAME


def test_names_of_another_type_are_none() -> None:
    answer = answered(completion(model=7, service_tier=7))
    assert (answer.model, answer.service_tier) == ("", "")


@given(bodies, header_sets)
@example(b"[" * 100_000, {})
@example(b'{"choices": [{"message": {"content": "\\ud800"}, "finish_reason": "\\ud800"}]}', {})
def test_reading_a_completion_never_raises(body: bytes, headers: dict[str, str]) -> None:
    found = read_completion(body, headers, GENERIC)
    if isinstance(found, ChatAnswer):
        assert 0 <= found.cached_tokens <= found.prompt_tokens
        assert 0 <= found.reasoning_tokens <= found.completion_tokens
        found.model.encode()
