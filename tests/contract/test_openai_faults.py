"""The mock endpoint misbehaves as it is told, in that way only, and then no more."""

import time
from collections.abc import Callable, Iterator
from http.client import HTTPException
from typing import Any

import jsonschema
import pytest

from reviewstream_testbed.openai_endpoint import OpenAIEndpoint
from tests.contract.openai_http import (
    LABELS,
    PUBLISHED_ERROR,
    TEXTS,
    Answer,
    body_of,
    send,
)
from tests.contract.waiting import eventually


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


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
    answer = send(endpoint, body_of())
    jsonschema.validate(answer.json(), PUBLISHED_ERROR)
    error = answer.json()["error"]
    assert (answer.status, error["type"], error["code"]) == (status, family, code)
    assert send(endpoint, body_of()).status == 200


def test_a_rate_limit_says_how_long_to_wait_as_it_is_told(endpoint: OpenAIEndpoint) -> None:
    date = "Sun, 22 Nov 2026 12:00:00 GMT"
    endpoint.fault(
        {"kind": "rate_429", "retry_after": 1.5},
        {"kind": "rate_429", "retry_after_header": date},
        "rate_429",
    )
    headers = [send(endpoint, body_of()).headers for _ in range(3)]
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
    good = send(endpoint, body_of())
    assert not is_wrong(good)
    endpoint.fault(kind)
    bad = send(endpoint, body_of())
    assert bad.status == 200
    assert is_wrong(bad)
    assert send(endpoint, body_of()).labels() == good.labels()


def test_a_truncated_body_is_no_json(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("truncated_json")
    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        send(endpoint, body_of()).json()


def test_a_reset_breaks_the_connection(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("reset")
    with pytest.raises((OSError, HTTPException)):
        send(endpoint, body_of())
    assert send(endpoint, body_of()).status == 200


def test_a_hanging_request_hangs_and_ends_with_its_client(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("hang")
    with pytest.raises(TimeoutError):
        send(endpoint, body_of(), timeout=1.0)
    eventually(lambda: endpoint.requests()["statuses"], lambda it: it == {"dropped": 1})
    assert endpoint.requests()["in_flight"] == 0


def test_a_slow_answer_takes_its_time(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault({"kind": "slow", "seconds": 0.3})
    started = time.monotonic()
    assert send(endpoint, body_of()).status == 200
    assert time.monotonic() - started >= 0.3


def test_faults_can_be_meant_for_some_requests_only(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault({"kind": "500", "times": 2}, match="poison")
    texts = ["fine", "poison", "poison", "poison"]
    assert [send(endpoint, body_of(text)).status for text in texts] == [200, 500, 500, 200]


def test_a_rate_of_faults_is_met_about_that_often_and_always_the_same(
    endpoint: OpenAIEndpoint,
) -> None:
    runs = []
    for _ in range(2):
        endpoint.fault(rate=0.5, faults=["500", "503"], seed=3)
        runs.append([send(endpoint, body_of("x")).status for _ in range(40)])
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
    assert send(endpoint, script, path="/_mock/fault").status == 400
