"""What a real endpoint answered is recorded once and given again; nothing else is, and no secret.

The endpoint that is recorded is another mock: nobody's money is spent.
"""

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.openai_http import TEXTS, body_of, send

pytestmark = pytest.mark.model

KEY = "sk-CANARYKEY"


@pytest.fixture(scope="module")
def real() -> Iterator[OpenAIEndpoint]:
    with OpenAIEndpoint(api_key=KEY) as running:
        yield running


@pytest.fixture(autouse=True)
def _anew(real: OpenAIEndpoint) -> None:
    real.reset()


def _record(real: OpenAIEndpoint, folder: Path, *bodies: dict[str, Any]) -> list[int]:
    with OpenAIEndpoint(record=real.base_url, cassette=folder) as own:
        return [send(own, body, key=KEY).status for body in bodies]


def _shuffled(seed: int) -> dict[str, Any]:
    """Return the usual request with another order and other ids."""
    body = body_of()
    asked = json.loads(body["messages"][1]["content"])["reviews"]
    random.Random(seed).shuffle(asked)  # noqa: S311 - repeatable, not secret
    asked = [{"id": f"other-{number}", "text": one["text"]} for number, one in enumerate(asked)]
    body["messages"][1]["content"] = json.dumps({"reviews": asked})
    return body


def test_a_recorded_answer_is_given_again_without_the_real_endpoint(
    real: OpenAIEndpoint, tmp_path: Path
) -> None:
    assert _record(real, tmp_path, body_of()) == [200]
    right = {one["sentiment"]: text for one, text in zip(
        send(real, body_of(), key=KEY).labels(), TEXTS, strict=True
    )}  # fmt: skip
    asked = real.requests()["requests"]
    with OpenAIEndpoint(cassette=tmp_path) as own:
        for seed in range(3):
            body = _shuffled(seed)
            texts = {
                one["id"]: one["text"]
                for one in json.loads(body["messages"][1]["content"])["reviews"]
            }
            labels = send(own, body, key=None).labels()
            told = {texts[one["id"]]: one["sentiment"] for one in labels}
            assert told.keys() == {*TEXTS}
            assert all(told[text] == sentiment for sentiment, text in right.items())
        assert own.requests()["misses"] == 0
    assert real.requests()["requests"] == asked


def test_a_miss_is_said_and_counted(real: OpenAIEndpoint, tmp_path: Path) -> None:
    _record(real, tmp_path, body_of("a"))
    with OpenAIEndpoint(cassette=tmp_path) as own:
        missed = send(own, body_of("b"))
        assert (missed.status, missed.json()["error"]["code"]) == (404, "cassette_miss")
        message = missed.json()["error"]["message"]
        assert "holds no answer to this request: model 'gpt-4o-mini', 1 texts" in message
        assert "It holds 1 exchanges" in message
        assert own.requests()["misses"] == 1
        assert own.requests()["statuses"] == {"404": 1}
        assert send(own, body_of("a")).status == 200


def test_errors_are_recorded_too_and_given_in_turn(real: OpenAIEndpoint, tmp_path: Path) -> None:
    real.fault({"kind": "rate_429", "retry_after": 0.5})
    assert _record(real, tmp_path, body_of("a"), body_of("a")) == [429, 200]
    with OpenAIEndpoint(cassette=tmp_path) as own:
        first, second, third = (send(own, body_of("a")) for _ in range(3))
        assert [first.status, second.status, third.status] == [429, 200, 200]
        assert first.headers["retry-after"] == "0.5"
        own.reset()
        assert send(own, body_of("a")).status == 429


def test_nothing_secret_is_written(real: OpenAIEndpoint, tmp_path: Path) -> None:
    with OpenAIEndpoint(record=real.base_url, cassette=tmp_path) as own:
        body = body_of("a", user="CANARYUSER", safety_identifier="CANARYPERSON")
        assert send(own, body, key=KEY).status == 200
        wrong = f"{KEY}-CANARYWRONG"
        assert send(own, body_of("b"), key=wrong).status == 401
        real.limit(requests_per_minute=1)
        assert send(own, body_of("c"), key=KEY).status == 200
        assert send(own, body_of("d"), key=KEY).status == 429
    files = [*tmp_path.rglob("*")]
    assert len(files) == 4
    for file in files:
        text = file.read_text()
        assert "CANARY" not in text
        assert "authorization" not in text.lower()
        assert "cookie" not in text.lower()
        # The mock's organization is told in a header, and in the words of its 429.
        assert "organization reviewstream" not in text
        assert json.loads(text)["question"]["model"] == "gpt-4o-mini"


def test_an_endpoint_that_is_away_is_said_and_not_recorded(tmp_path: Path) -> None:
    with OpenAIEndpoint(record="http://127.0.0.1:9/v1", cassette=tmp_path) as own:
        answer = send(own, body_of())
        assert answer.status == 502
        assert "http://127.0.0.1:9/v1 does not answer" in answer.json()["error"]["message"]
    assert not [*tmp_path.iterdir()]


def test_what_is_no_question_or_a_stream_is_refused(tmp_path: Path) -> None:
    with OpenAIEndpoint(cassette=tmp_path) as own:
        assert "neither recorded" in send(own, body_of(stream=True)).text
        bodies: list[Any] = [
            {},
            [],
            {"model": "m", "messages": 3},
            {"model": "m", "messages": [{}]},
        ]
        for body in bodies:
            answer = send(own, body)
            assert (answer.status, answer.json()["error"]["type"]) == (400, "invalid_request_error")
        assert own.requests()["misses"] == 0
