"""The mock endpoint misbehaves as it is told, in that way only, and then no more."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, IncompleteRead
from typing import Any

import jsonschema
import pytest

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.mock_openai.fault_kinds import KINDS
from tests.contract.openai_http import (
    LABELS,
    PATIENCE,
    TEXTS,
    Answer,
    body_of,
    send,
)
from tests.contract.openai_published import ERROR
from tests.contract.waiting import eventually

pytestmark = pytest.mark.model


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
        ("403", 403, "request_forbidden", "unsupported_country_region_territory"),
        ("500", 500, "server_error", None),
        ("503", 503, "server_error", None),
        ("529", 529, "server_error", None),
        ("stream_error", 500, "server_error", None),
        ("past_429", 429, "requests", "rate_limit_exceeded"),
        ("skewed_429", 429, "requests", "rate_limit_exceeded"),
        ("rate_429", 429, "requests", "rate_limit_exceeded"),
        ("quota_429", 429, "insufficient_quota", "insufficient_quota"),
    ],
)
def test_a_scripted_error_has_the_published_shape(
    endpoint: OpenAIEndpoint, kind: str, status: int, family: str, code: str | None
) -> None:
    endpoint.fault(kind)
    answer = send(endpoint, body_of())
    jsonschema.validate(answer.json(), ERROR)
    error = answer.json()["error"]
    assert (answer.status, error["type"], error["code"]) == (status, family, code)
    assert send(endpoint, body_of()).status == 200


@pytest.mark.parametrize(("kind", "status"), [("html", 200), ("502", 502), ("504", 504)])
def test_what_stands_in_between_answers_with_a_page(
    endpoint: OpenAIEndpoint, kind: str, status: int
) -> None:
    endpoint.fault(kind)
    answer = send(endpoint, body_of())
    assert (answer.status, answer.headers.get_content_type()) == (status, "text/html")


def test_an_error_says_whether_to_try_again_as_it_is_told(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault(
        {"kind": "500", "should_retry": False}, {"kind": "quota_429", "should_retry": True}, "500"
    )
    told = [send(endpoint, body_of()).headers["x-should-retry"] for _ in range(3)]
    assert told == ["false", "true", None]


def test_a_clock_that_is_ahead_is_ahead_in_both_its_dates(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault({"kind": "skewed_429", "skew": 7200, "retry_after": 30}, "past_429")
    skewed, past = (send(endpoint, body_of()).headers for _ in range(2))
    date, after = (parsedate_to_datetime(skewed[name]) for name in ("Date", "Retry-After"))
    assert (after - date).total_seconds() == 30
    assert 7100 < (date - datetime.now(UTC)).total_seconds() < 7300
    assert skewed["retry-after-ms"] is None
    date, after = (parsedate_to_datetime(past[name]) for name in ("Date", "Retry-After"))
    assert -3660 < (after - date).total_seconds() < -3540


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
        ("doubled_id", lambda it: it.labels()[-1] == it.labels()[-2]),
        ("content_filter", lambda it: it.json()["choices"][0]["finish_reason"] == "content_filter"),
        ("not_json", lambda it: it.json()["choices"][0]["message"]["content"].endswith("```")),
        ("usage_zero", lambda it: it.json()["usage"]["total_tokens"] == 0),
        ("usage_negative", lambda it: it.json()["usage"]["prompt_tokens"] < 0),
        ("usage_huge", lambda it: it.json()["usage"]["completion_tokens"] > 1 << 64),
        ("usage_absent", lambda it: "usage" not in it.json()),
        ("usage_strings", lambda it: isinstance(it.json()["usage"]["total_tokens"], str)),
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


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_cut_ends_the_connection_in_the_midst_of_the_body(
    endpoint: OpenAIEndpoint, *, is_stream: bool
) -> None:
    endpoint.fault("cut")
    with pytest.raises(IncompleteRead) as caught:
        send(endpoint, body_of(stream=is_stream))
    assert caught.value.partial
    assert send(endpoint, body_of()).status == 200


def test_a_cut_ends_a_connection_that_its_client_would_keep(endpoint: OpenAIEndpoint) -> None:
    endpoint.fault("cut")
    with closing(HTTPConnection("127.0.0.1", endpoint.port, timeout=PATIENCE)) as connection:
        path = f"{endpoint.base_url.partition(str(endpoint.port))[2]}/chat/completions"
        headers = {"Authorization": f"Bearer {endpoint.api_key}"}
        connection.request("POST", path, json.dumps(body_of()), headers)
        with pytest.raises(IncompleteRead):
            connection.getresponse().read()


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_stall_ends_in_the_midst_of_the_body_with_its_client(
    endpoint: OpenAIEndpoint, *, is_stream: bool
) -> None:
    endpoint.fault("stall")
    with pytest.raises(TimeoutError):
        send(endpoint, body_of(stream=is_stream), timeout=1.0)
    eventually(lambda: endpoint.requests()["statuses"], lambda it: it == {"dropped": 1})


NO_ANSWER = {"hang", "stall", "slow"}  # alike: they differ in time
HUGE = {"gzip_bomb", "endless"}  # not to be taken in whole


@pytest.mark.parametrize("is_stream", [False, True])
@pytest.mark.parametrize("kind", sorted(KINDS.keys() - {"ok"} - NO_ANSWER - HUGE))
def test_no_kind_of_fault_does_nothing(
    endpoint: OpenAIEndpoint, kind: str, *, is_stream: bool
) -> None:
    good, again, bad = (_seen(endpoint, one, is_stream=is_stream) for one in ("ok", "ok", kind))
    assert good == again
    assert bad != good
    assert endpoint.requests()["faults"] == {"ok": 2, kind: 1}


def _seen(endpoint: OpenAIEndpoint, kind: str, *, is_stream: bool) -> object:
    """Return what a client sees, but for what differs from one answer to the next."""
    endpoint.fault(kind)
    options = {"stream": True, "stream_options": {"include_usage": True}} if is_stream else {}
    try:
        answer = send(endpoint, body_of(**options))
    except (OSError, HTTPException) as err:
        return repr(type(err))
    limits = [one for one in answer.headers.items() if one[0].lower().startswith("x-ratelimit")]
    return answer.status, limits, re.sub(r'"id": ?"chatcmpl-\d+"|"created": ?\d+', "", answer.text)


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
