"""What each of OpenAI's own clients makes of the endpoint; provide `openai_client`."""

import json
import time
from typing import Any, Protocol

import pytest

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.openai_http import LABELS, body_of


class OpenAIClient(Protocol):
    """A client in some language."""

    def __call__(self, method: str, *, retries: int = 0, timeout: float = 30, **body: Any) -> Any:
        """Ask, and return `{"answer": ...}` or `{"error": {"class": ..., ...}}`.

        Args:
            method: `create`, `parse`, `stream` or `models`.
            retries: How often the client may ask again by itself.
            timeout: Seconds for one request.
            body: The request.
        """
        ...


class OpenAIClientContract:
    """What is asked is answered, what fails is an error of the right class."""

    def test_a_question_is_answered(self, openai_client: OpenAIClient) -> None:
        answer = openai_client("create", **body_of())["answer"]
        assert answer["object"] == "chat.completion"
        labels = json.loads(answer["choices"][0]["message"]["content"])["labels"]
        assert [one["sentiment"] for one in labels] == LABELS
        assert answer["usage"]["total_tokens"] > answer["usage"]["prompt_tokens"] > 0

    def test_a_structured_answer_is_parsed(self, openai_client: OpenAIClient) -> None:
        answer = openai_client("parse", **body_of())["answer"]
        labels = answer["choices"][0]["message"]["parsed"]["labels"]
        assert [one["id"] for one in labels] == [f"r{number}" for number in range(len(LABELS))]

    def test_a_stream_adds_up_to_the_answer(self, openai_client: OpenAIClient) -> None:
        whole = openai_client("create", **body_of())["answer"]
        options = {"include_usage": True}
        *chunks, last = openai_client("stream", **body_of(stream_options=options))["answer"]
        deltas = [chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks]
        assert "".join(deltas) == whole["choices"][0]["message"]["content"]
        assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
        assert last["usage"]["total_tokens"] == whole["usage"]["total_tokens"]

    def test_the_models_are_listed(self, openai_client: OpenAIClient) -> None:
        assert "gpt-4o-mini" in {one["id"] for one in openai_client("models")["answer"]}

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            ("400", ("BadRequestError", 400, "scripted")),
            ("401", ("AuthenticationError", 401, "invalid_api_key")),
            ("403", ("PermissionDeniedError", 403, "unsupported_country_region_territory")),
            ("rate_429", ("RateLimitError", 429, "rate_limit_exceeded")),
            ("quota_429", ("RateLimitError", 429, "insufficient_quota")),
            ("500", ("InternalServerError", 500, None)),
            ("502", ("InternalServerError", 502, None)),
            ("529", ("InternalServerError", 529, None)),
            ("reset", ("APIConnectionError", None, None)),
        ],
    )
    def test_a_failure_is_an_error_of_its_class(
        self,
        openai_client: OpenAIClient,
        openai_endpoint: OpenAIEndpoint,
        kind: str,
        expected: tuple[str, int | None, str | None],
    ) -> None:
        openai_endpoint.fault(kind)
        error = openai_client("create", **body_of())["error"]
        assert (error["class"], error["status"], error["code"]) == expected

    def test_what_is_refused_says_which_field_is_to_blame(
        self, openai_client: OpenAIClient
    ) -> None:
        error = openai_client("create", **body_of(temperature=3))["error"]
        assert error == {
            "class": "BadRequestError",
            "status": 400,
            "code": "decimal_above_max_value",
            "type": "invalid_request_error",
            "param": "temperature",
        }
        unknown = openai_client("create", **body_of(model="gpt-0"))["error"]
        assert (unknown["class"], unknown["code"]) == ("NotFoundError", "model_not_found")

    def test_a_client_waits_as_long_as_it_is_told(
        self, openai_client: OpenAIClient, openai_endpoint: OpenAIEndpoint
    ) -> None:
        openai_endpoint.fault({"kind": "rate_429", "retry_after": 1.2})
        begun = time.monotonic()
        assert "answer" in openai_client("create", retries=1, **body_of())
        assert time.monotonic() - begun >= 1.2
        assert openai_endpoint.requests()["statuses"] == {"429": 1, "200": 1}

    def test_a_client_that_waits_gets_through_a_limit(
        self, openai_client: OpenAIClient, openai_endpoint: OpenAIEndpoint
    ) -> None:
        openai_endpoint.limit(requests_per_minute=60, window_seconds=1)
        for _ in range(3):
            assert "answer" in openai_client("create", retries=3, **body_of("x"))
        seen = openai_endpoint.requests()
        assert seen["statuses"]["200"] == 3
        assert seen["rate_limited"].keys() <= {"requests"}

    @pytest.mark.parametrize(("kind", "told", "asked"), [("500", False, 1), ("400", True, 3)])
    def test_a_client_tries_again_if_it_is_told_to(
        self,
        openai_client: OpenAIClient,
        openai_endpoint: OpenAIEndpoint,
        kind: str,
        *,
        told: bool,
        asked: int,
    ) -> None:
        again = {"kind": kind, "should_retry": told, "retry_after": 0.01, "times": 3}
        openai_endpoint.fault(again)
        assert openai_client("create", retries=2, **body_of())["error"]["status"] == int(kind)
        assert openai_endpoint.requests()["requests"] == asked

    def test_an_error_in_midstream_is_an_error(
        self, openai_client: OpenAIClient, openai_endpoint: OpenAIEndpoint
    ) -> None:
        openai_endpoint.fault("stream_error")
        error = openai_client("stream", **body_of())["error"]
        assert (error["class"], error["type"]) == ("APIError", "server_error")

    @pytest.mark.parametrize("method", ["create", "stream"])
    @pytest.mark.parametrize("kind", ["cut", "truncated_json"])
    def test_what_breaks_off_is_an_error(
        self, openai_client: OpenAIClient, openai_endpoint: OpenAIEndpoint, kind: str, method: str
    ) -> None:
        openai_endpoint.fault(kind)
        assert "error" in openai_client(method, **body_of())

    def test_a_client_does_not_wait_for_ever(
        self, openai_client: OpenAIClient, openai_endpoint: OpenAIEndpoint
    ) -> None:
        openai_endpoint.fault("hang")
        error = openai_client("create", timeout=0.5, **body_of())["error"]
        assert error["class"] in {"APITimeoutError", "APIConnectionTimeoutError"}

    # Without `usage_strings`: the client of Python makes numbers of them again.
    @pytest.mark.parametrize(
        "kind", ["usage_zero", "usage_negative", "usage_huge", "usage_absent", "empty_choices"]
    )
    def test_a_wrong_answer_is_handed_over_as_it_is(
        self, openai_client: OpenAIClient, openai_endpoint: OpenAIEndpoint, kind: str
    ) -> None:
        right = openai_client("create", **body_of())["answer"]
        openai_endpoint.fault(kind)
        wrong = openai_client("create", **body_of())["answer"]
        assert (wrong.get("usage"), wrong["choices"]) != (right["usage"], right["choices"])
