"""The mock endpoint enforces requests and tokens per minute, and tells the truth about them."""

import time
from collections import Counter
from collections.abc import Iterator

import jsonschema
import pytest

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.openai_http import Answer, body_of, send
from tests.contract.openai_published import ERROR

pytestmark = pytest.mark.model

ENOUGH = 1_000_000  # tokens per minute: as many as all the tests here can use


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def _left(answer: Answer, what: str) -> int:
    return int(answer.headers[f"x-ratelimit-remaining-{what}"])


def test_requests_over_the_limit_are_refused_and_told_how_long_to_wait(
    endpoint: OpenAIEndpoint,
) -> None:
    endpoint.limit(requests_per_minute=3)
    *good, refused = (send(endpoint, body_of("x")) for _ in range(4))
    assert [one.status for one in good] == [200, 200, 200]
    assert [_left(one, "requests") for one in good] == [2, 1, 0]
    jsonschema.validate(refused.json(), ERROR)
    error = refused.json()["error"]
    assert (refused.status, error["type"], error["code"]) == (
        *(429, "requests"),
        "rate_limit_exceeded",
    )
    assert error["message"].startswith(
        "Rate limit reached for gpt-4o-mini in organization reviewstream on requests per min (RPM):"
        " Limit 3, Used 3, Requested 1. Please try again in "
    )
    assert 19_000 < int(refused.headers["retry-after-ms"]) <= 20_000
    assert refused.headers["retry-after"] == "20"
    assert refused.headers["x-ratelimit-limit-requests"] == "3"
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"
    assert refused.headers["x-ratelimit-reset-requests"] == "1m0s"


def test_whoever_waits_as_long_as_told_is_answered(endpoint: OpenAIEndpoint) -> None:
    endpoint.limit(requests_per_minute=120, window_seconds=0.5)
    assert send(endpoint, body_of("x")).status == 200
    refused = send(endpoint, body_of("x"))
    told = int(refused.headers["retry-after-ms"]) / 1000
    assert 0 < told <= 0.5
    _pass(told)
    assert send(endpoint, body_of("x")).status == 200


def test_tokens_are_reserved_before_and_settled_after(endpoint: OpenAIEndpoint) -> None:
    endpoint.limit(tokens_per_minute=ENOUGH)
    asked = body_of("x", max_completion_tokens=ENOUGH // 2)
    answer = send(endpoint, asked)
    used = answer.json()["usage"]["total_tokens"]
    # It flows in again at 17 tokens per millisecond.
    assert ENOUGH - used <= _left(answer, "tokens") <= ENOUGH
    assert answer.headers["x-ratelimit-limit-requests"] is None  # nothing is told of no limit

    endpoint.fault("500")
    failed = send(endpoint, asked)
    assert failed.status == 500
    assert _left(failed, "tokens") < ENOUGH * 0.6


def test_tokens_over_the_limit_are_refused(endpoint: OpenAIEndpoint) -> None:
    endpoint.limit(tokens_per_minute=1_000)
    used = send(endpoint, body_of("x")).json()["usage"]["total_tokens"]
    refused = send(endpoint, body_of("x", max_completion_tokens=950))
    error = refused.json()["error"]
    assert (refused.status, error["type"]) == (429, "tokens")
    assert f"(TPM): Limit 1000, Used {used}, Requested " in error["message"]
    assert int(refused.headers["retry-after-ms"]) > 0
    assert refused.headers["x-ratelimit-limit-tokens"] == "1000"


def test_a_request_over_the_whole_limit_is_refused_for_good(endpoint: OpenAIEndpoint) -> None:
    endpoint.limit(tokens_per_minute=1_000)
    refused = send(endpoint, body_of("x", max_completion_tokens=1_000))
    error = refused.json()["error"]
    assert (refused.status, error["type"], error["code"]) == (429, "tokens", "rate_limit_exceeded")
    assert error["message"].startswith("Request too large for gpt-4o-mini in organization")
    assert refused.headers["retry-after"] is None


def test_requests_over_the_limit_are_counted_by_their_reason_and_ask_about_nothing(
    endpoint: OpenAIEndpoint,
) -> None:
    endpoint.limit(requests_per_minute=4, tokens_per_minute=1_000)
    endpoint.fault("rate_429", "quota_429")
    for changes in ({}, {}, {}, {"max_completion_tokens": 960}, {"n": 9, "max_tokens": 500}, {}):
        send(endpoint, body_of("x", **changes))
    seen = endpoint.requests()
    reasons = {"rate_429": 1, "quota_429": 1, "tokens": 1, "too_large": 1, "requests": 1}
    assert seen["rate_limited"] == reasons
    assert seen["statuses"] == {"200": 1, "429": 5}
    assert seen["faults"] == {"rate_429": 1, "quota_429": 1}
    assert set(seen["reviews"].values()) == {3}


def test_every_answer_but_to_a_stranger_tells_the_limits(endpoint: OpenAIEndpoint) -> None:
    endpoint.limit(requests_per_minute=100)
    endpoint.fault({"kind": "503"}, match="poison")
    answers = [
        send(endpoint, body_of("x")),
        send(endpoint, body_of("poison")),
        send(endpoint, body_of(n=0)),
    ]
    assert [one.status for one in answers] == [200, 503, 400]
    assert [_left(one, "requests") for one in answers] == [99, 98, 98]
    assert send(endpoint, body_of(), key=None).headers["x-ratelimit-limit-requests"] is None


def test_a_limit_is_held_to_over_a_run(endpoint: OpenAIEndpoint) -> None:
    endpoint.judge("hash")
    endpoint.limit(requests_per_minute=1_200, window_seconds=0.5)
    begun = time.monotonic()
    statuses = Counter[int]()
    while time.monotonic() - begun < 2:
        answer = send(endpoint, body_of("x"))
        statuses[answer.status] += 1
        if answer.status == 429:
            _pass(int(answer.headers["retry-after-ms"]) / 1000)
    lasted = time.monotonic() - begun
    assert statuses[200] <= 10 + 20 * lasted + 1
    assert statuses[429]


def test_rooms_have_limits_and_judges_of_their_own(endpoint: OpenAIEndpoint) -> None:
    endpoint.limit(requests_per_minute=1)
    endpoint.judge("hash")
    other = f"{endpoint.url.partition('/tenants/')[0]}/tenants/another/v1/chat/completions"
    statuses = [send(endpoint, body_of("I love it"), path=other).status for _ in range(3)]
    assert statuses == [200, 200, 200]
    first, second = (send(endpoint, body_of("I love it")) for _ in range(2))
    assert (first.status, second.status) == (200, 429)
    labels = send(endpoint, body_of("I love it"), path=other).labels()
    assert labels[0]["sentiment"] == "POSITIVE"
    assert labels != first.labels()


def test_a_reset_ends_what_was_set_for_a_test(endpoint: OpenAIEndpoint) -> None:
    before = send(endpoint, body_of()).labels()
    endpoint.limit(requests_per_minute=1)
    endpoint.judge("hash")
    endpoint.reset()
    assert [send(endpoint, body_of()).labels() for _ in range(2)] == [before, before]


@pytest.mark.parametrize(
    ("path", "body", "words"),
    [
        ("limits", {"requests_per_minute": 0}, "requests_per_minute is 0"),
        ("limits", {"rpm": 3}, "no limit 'rpm'"),
        ("limits", [], "a set of limits"),
        ("judge", {"judge": "coin"}, "no judge 'coin'; there are lexicon, hash, obedient"),
        ("judge", "hash", "a judge"),
    ],
)
def test_nonsense_is_refused_in_a_sentence(
    endpoint: OpenAIEndpoint, path: str, body: object, words: str
) -> None:
    answer = send(endpoint, body, path=f"/_mock/{path}")
    assert answer.status == 400
    assert words in answer.json()["error"]["message"]


def test_limits_and_judge_can_be_given_at_the_start() -> None:
    with OpenAIEndpoint(judge="hash", requests_per_minute=2, tokens_per_minute=ENOUGH) as own:
        answers = [send(own, body_of("I love it")) for _ in range(3)]
        assert [one.status for one in answers] == [200, 200, 429]
        own.reset()
        assert send(own, body_of("I love it")).labels() == answers[0].labels()
        own.judge("lexicon")
        assert send(own, body_of("I love it")).labels() != answers[0].labels()


def _pass(seconds: float) -> None:
    """Let time go by that an answer asks for."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        time.sleep(left)
