"""Errors: the endpoint's words, names and waits, in every shape that is known."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reviewstream.core.labelling.endpoint.blame import blame
from reviewstream.core.labelling.endpoint.completion import read_completion
from reviewstream.core.labelling.endpoint.dialects import DIALECTS
from reviewstream.core.labelling.endpoint.refusals import (
    FIELDS,
    MAX_WORDS,
    Refused,
    read_error,
    without_echo,
)
from tests.unit.core.labelling.endpoint.recorded import ERRORS, Error

GENERIC = DIALECTS["generic"]

keys = st.sampled_from(
    [
        "error", "errors", "message", "msg", "detail", "details", "code", "type", "status", "param",
        "loc", "metadata", "raw", "innererror", "reason", "retryDelay", "violations", "quotaId",
        "choices", "content", "finish_reason", "usage", "prompt_tokens", "total_tokens", "cost",
        "text", "flagged_input", "is_byok", "cost_details", "refusal", "model",
    ]
)  # fmt: skip
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=5),
    max_leaves=20,
)
bodies = st.one_of(
    st.binary(max_size=60),
    st.text(max_size=40).map(str.encode),
    json_values.map(lambda value: json.dumps(value).encode()),
)
header_names = st.sampled_from(
    [
        "retry-after", "Retry-After", "retry-after-ms", "date", "x-request-id",
        "x-ratelimit-limit-requests", "x-ratelimit-limit-tokens", "x-ratelimit-limit",
    ]
)  # fmt: skip
dates = st.sampled_from(
    ["Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 +99999999", "06 Nov 94", "-1"]
)
header_sets = st.dictionaries(header_names, dates | st.text(max_size=12), max_size=5)


def _read(
    body: Any, status: int = 400, headers: Mapping[str, str] | None = None, dialect: str = "generic"
) -> Refused:
    raw = body if isinstance(body, str) else json.dumps(body)
    return read_error(status, raw.encode(), headers or {}, DIALECTS[dialect])


def _inside_200(body: Any) -> Refused:
    found = read_completion(json.dumps(body).encode(), {}, GENERIC)
    assert isinstance(found, Refused)
    return found


@pytest.mark.parametrize("error", ERRORS.values(), ids=ERRORS)
def test_a_recorded_error_keeps_its_words_and_the_field_that_it_names(error: Error) -> None:
    refused = _read(error.body, error.status, error.headers)
    assert (refused.status, refused.field) == (error.status, error.field)
    assert error.says in refused.words
    assert bool(error.says) == bool(refused.words)


@pytest.mark.parametrize("field", FIELDS)
def test_a_parameter_that_settings_decide_is_the_field(field: str) -> None:
    assert _read({"error": {"message": "x", "param": f"{field}.type"}}).field == field


@pytest.mark.parametrize(
    ("words", "field"),
    [
        ("This model's maximum context length is 4096", ""),
        ("'max_completion_tokens' is too large, max_tokens too", "max_completion_tokens"),
        ("my_temperature is bad", ""),
        ("Temperature is bad", "temperature"),
        ("json_schema in response_format", "response_format"),
    ],
)
def test_a_field_is_found_in_the_words(words: str, field: str) -> None:
    assert _read({"error": {"message": words, "param": "messages"}}).field == field
    assert _read(words).field == field


def test_long_words_are_cut_and_halves_of_surrogate_pairs_replaced() -> None:
    words = _read('{"error": {"message": "\\ud800' + "x" * 1000 + '"}}').words
    assert words == "?" + "x" * (MAX_WORDS - 1)


def test_the_beginning_of_a_long_body_is_cut() -> None:
    assert _read("x" * 10_000).words == "x" * MAX_WORDS


def test_names_are_in_lower_case_and_neither_numbers_nor_sentences() -> None:
    error = {"code": "400", "type": " Bad_Request ", "status": "has blanks", "reason": "y" * 101}
    assert _read({"error": error | {"error_type": "a\nb"}}).names == {"bad_request"}


def test_the_words_of_the_error_are_preferred_to_those_around_it() -> None:
    assert _read({"message": "outer", "error": {"message": "inner"}}).words == "inner"
    error = {"message": "inner", "details": [{"message": "detail"}]}
    assert _read({"message": "outer", "error": error}).words == "inner"


def test_a_body_of_many_objects_is_read_up_to_a_limit() -> None:
    assert _read({"errors": [{"code": f"c{number}"} for number in range(1000)]}).names < {
        f"c{number}" for number in range(50)
    }


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "-7"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1e999"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "7", "retry-after-ms": "1500"}, 1.5),
        ({"retry-after-ms": "-1"}, 0.0),
        (
            {
                "Retry-After": "Sun, 06 Nov 1994 08:50:37 GMT",
                "Date": "Sun, 06 Nov 1994 08:49:37 GMT",
            },
            60.0,
        ),
        (
            {
                "retry-after": "Sun, 06 Nov 1994 08:49:37 GMT",
                "date": "Sun, 06 Nov 1994 08:50:37 GMT",
            },
            0.0,
        ),
        ({"retry-after": "Sun, 06 Nov 1994 08:50:37 GMT"}, None),
        (
            {"retry-after": "06 Nov 999999999999 08:50:37", "date": "06 Nov 1994 08:49:37 GMT"},
            None,
        ),
        (
            {"retry-after": "06 Nov 1994 08:50:37 -0000", "date": "06 Nov 1994 08:49:37 GMT"},
            None,
        ),
    ],
)
def test_a_header_says_how_long_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert _read("", 429, headers).retry_after == seconds


@pytest.mark.parametrize(
    ("told", "seconds"),
    [("37s", 37.0), ("0.5s", 0.5), (12, 12.0), ("later", None), (-1, None), (True, None)],
)
def test_a_body_says_how_long_to_wait(told: Any, seconds: float | None) -> None:
    body = [{"error": {"message": "x", "details": [{"retryDelay": told}]}}]
    assert _read(body, 429).retry_after == seconds
    assert _read(body, 429, {"retry-after": "3"}).retry_after == 3


def test_an_error_tells_what_is_allowed_in_a_minute() -> None:
    headers = {"X-RateLimit-Limit-Requests": "60", "x-ratelimit-limit-tokens": "6000"}
    refused = _read("", 429, headers)
    assert (refused.requests_per_minute, refused.tokens_per_minute) == (60, 6000)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        ({"message": "x", "code": 402}, 402),
        ({"message": "x", "code": "429"}, 429),
        ({"message": "x", "status": 503}, 503),
        ({"message": "x", "code": 200}, 502),
        ({"message": "x", "code": 1113}, 502),
        ({"message": "x"}, 502),
        ("x", 502),
        ({"message": "x", "type": "invalid_request_error"}, 400),
        ({"message": "x", "type": "invalid_request_error", "code": "rate_limit_exceeded"}, 429),
        ({"message": "x", "code": "insufficient_quota"}, 400),
    ],
)
def test_an_error_inside_200_has_a_status_of_its_own(error: Any, status: int) -> None:
    tried: tuple[dict[str, Any], ...] = ({}, {"choices": None}, {"choices": []})
    for choices in tried:
        refused = _inside_200({"error": error} | choices)
        assert (refused.status, refused.words) == (status, "x")


def test_an_error_at_the_top_of_200_is_read() -> None:
    assert _inside_200({"code": 429, "message": "slow down"}).status == 429


def test_an_error_without_words_shows_the_body() -> None:
    assert _inside_200({"error": {"code": 500}}).words == '{"error": {"code": 500}}'


@given(st.integers(-1, 1000), bodies, header_sets, st.sampled_from(sorted(DIALECTS)))
@example(400, b"[" * 100_000, {}, "generic")
@example(400, b"<" * 100_000, {}, "generic")
@example(400, b'{"error":' * 5_000 + b"1" + b"}" * 5_000, {}, "generic")
def test_reading_an_error_never_raises(
    status: int, body: bytes, headers: dict[str, str], dialect: str
) -> None:
    refused = read_error(status, body, headers, DIALECTS[dialect])
    assert refused.status == status
    assert len(refused.words.encode()) <= 4 * MAX_WORDS
    assert refused.retry_after is None or refused.retry_after >= 0
    blame(refused)


@pytest.mark.parametrize(
    "body",
    [
        {"error": "Argument not supported on this model: reasoningEffort"},
        {"error": {"message": "no", "param": "reasoningEffort"}},
        {"error": {"message": "no", "param": "reasoning.effort"}},
    ],
)
def test_a_field_is_known_in_whatever_case_it_is_named(body: dict[str, object]) -> None:
    found = read_error(400, json.dumps(body).encode(), {}, DIALECTS["generic"])
    assert found.field == "reasoning_effort"


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
@example("", "", "")
def test_what_is_left_of_a_message_has_no_passage_of_the_question(
    before: str, question: str, after: str
) -> None:
    kept = without_echo(before + question + after, question)
    for piece in kept.split("[...]"):
        passages = [piece[at : at + 8] for at in range(len(piece) - 7)]
        assert not [passage for passage in passages if passage in question]


def test_a_message_that_repeats_nothing_stays_as_it_is() -> None:
    assert without_echo("This model's maximum is 5.", "cold soup") == "This model's maximum is 5."
    assert without_echo("a cold soup, b", "cold soup") == "a [...], b"
    assert without_echo("cold sou", "cold soup") == "[...]"
    assert without_echo("cold so", "cold soup") == "cold so"
