"""The adapter: every vendor error becomes ours, and any endpoint's answer is read."""

import asyncio
import importlib
import json
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from msgspec import structs
from pydantic import SecretStr, ValidationError

from reviewstream.adapters.openai.chat_completions import MAX_MESSAGE, OpenAIChat
from reviewstream.core.labelling.answers import read_answer
from reviewstream.core.labelling.chat import ChatAnswer, ChatOptions, ChatRequest, RateLimits
from reviewstream.core.labelling.endpoint.blame import QUOTA_WORDS
from reviewstream.core.labelling.endpoint.completion import MAX_NAME
from reviewstream.core.labelling.prompts import build_prompt
from reviewstream.core.records.outcomes import Rejected
from reviewstream.errors import (
    BadAnswerError,
    BudgetExceededError,
    ConfigError,
    FatalError,
    PermanentError,
    RateLimitError,
    ReviewStreamError,
    TransientError,
    UnknownOutcomeError,
)
from reviewstream.settings import OpenAISettings

# The client's own HTTP library: version 3 changed it.
http = importlib.import_module("httpx2" if openai.__version__ >= "3" else "httpx")

KEY = "sk-do-not-tell"
SETTINGS = OpenAISettings(base_url="http://models.test/v1", api_key=SecretStr(KEY))
REQUEST = build_prompt(["cold soup"]).request
COMPLETION = {
    "id": "x",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini-2024-07-18",
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "hello", "refusal": None},
            "logprobs": None,
            "finish_reason": "stop",
        }
    ],
    "usage": {"prompt_tokens": 11, "completion_tokens": 3, "total_tokens": 14},
}
NOON = "Sun, 22 Nov 2026 12:00:00 GMT"
FIVE_SECONDS_LATER = "Sun, 22 Nov 2026 12:00:05 GMT"


def _client(handler: Callable[[Any], Any]) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(
        api_key=KEY,
        base_url=SETTINGS.base_url,
        max_retries=0,
        http_client=http.AsyncClient(transport=http.MockTransport(handler)),
    )


async def _ask(handler: Callable[[Any], Any], request: ChatRequest = REQUEST) -> ChatAnswer:
    chat = OpenAIChat(_client(handler), SETTINGS)
    try:
        return await chat.answer(request)
    finally:
        await chat.aclose()


def _error(status: int, *, headers: dict[str, str] | None = None, **fields: Any) -> Any:
    body = {"type": "t", "message": "what is wrong", "param": None, "code": None} | fields
    return lambda _: http.Response(status, json={"error": body}, headers=headers or {})


def _choice(**message: Any) -> dict[str, Any]:
    return {"choices": [{"message": message}]}


@pytest.mark.anyio
@pytest.mark.parametrize("status", [200, 400, 500])
@pytest.mark.parametrize("charset", ["idna", "zlib", "undefined", "punycode", "none"])
async def test_an_answer_in_a_strange_charset_is_one_of_our_errors_or_read(
    status: int, charset: str
) -> None:
    headers = {"content-type": f"application/json; charset={charset}"}
    body = json.dumps(COMPLETION | {"error": {"message": "wörds" * 50}}, ensure_ascii=False)

    def handler(_: Any) -> Any:
        return http.Response(status, content=body.encode(), headers=headers)

    if status == 200:
        assert (await _ask(handler)).text == "hello"
        return
    with pytest.raises(ReviewStreamError):
        await _ask(handler)


@pytest.mark.anyio
async def test_a_request_is_sent_as_it_was_built() -> None:
    sent: list[Any] = []

    def handler(request: Any) -> Any:
        sent.append(request)
        return http.Response(200, json=COMPLETION)

    await _ask(handler)
    (request,) = sent
    assert request.url.path == "/v1/chat/completions"
    assert request.headers["authorization"] == f"Bearer {KEY}"
    assert json.loads(request.content) == {
        "model": "gpt-6-luna",
        "messages": [
            {"role": "system", "content": REQUEST.system},
            {"role": "user", "content": REQUEST.user},
        ],
        "response_format": {
            "type": "json_schema",
            "json_schema": {
                "name": REQUEST.schema_name,
                "strict": True,
                "schema": REQUEST.answer_schema,
            },
        },
        "max_completion_tokens": REQUEST.max_output_tokens,
    }


def _options(**options: Any) -> ChatRequest:
    return structs.replace(REQUEST, options=ChatOptions(**options))


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("options", "sent", "absent"),
    [
        ({}, {}, {"temperature", "reasoning_effort", "service_tier", "max_tokens", "top_k"}),
        ({"temperature": 0.0}, {"temperature": 0}, set()),
        ({"reasoning_effort": "minimal"}, {"reasoning_effort": "minimal"}, set()),
        ({"service_tier": "flex"}, {"service_tier": "flex"}, set()),
        (
            {"max_tokens_field": "max_tokens"},
            {"max_tokens": REQUEST.max_output_tokens},
            {"max_completion_tokens"},
        ),
        ({"response_format": "json_object"}, {"response_format": {"type": "json_object"}}, set()),
        ({"response_format": "text"}, {}, {"response_format"}),
        ({"extra_body": {"top_k": 3}}, {"top_k": 3}, set()),
    ],
)
async def test_the_options_of_a_request_are_its_fields(
    options: dict[str, Any], sent: dict[str, Any], absent: set[str]
) -> None:
    bodies: list[Any] = []

    def handler(request: Any) -> Any:
        bodies.append(json.loads(request.content))
        return http.Response(200, json=COMPLETION)

    await _ask(handler, _options(**options))
    assert {name: bodies[0].get(name) for name in sent} == sent
    assert not absent & bodies[0].keys()


@pytest.mark.anyio
async def test_extra_headers_are_sent_and_shown_nowhere() -> None:
    seen: list[Any] = []

    def handler(request: Any) -> Any:
        seen.append(request.headers)
        return _error(500)(request)

    given = SETTINGS.model_dump(exclude_unset=True) | {"extra_headers": {"x-team": "canary-7"}}
    settings = OpenAISettings.model_validate(given)
    with pytest.raises(TransientError) as caught:
        await OpenAIChat(_client(handler), settings).answer(REQUEST)
    assert seen[0]["x-team"] == "canary-7"
    assert "canary-7" not in f"{caught.value} {settings!r}"


@pytest.mark.anyio
async def test_an_answer_is_told_with_all_that_is_known_of_it() -> None:
    headers = {"x-request-id": "req_7"}
    answer = await _ask(lambda _: http.Response(200, json=COMPLETION, headers=headers))
    assert answer == ChatAnswer(
        text="hello",
        finish_reason="stop",
        model="gpt-4o-mini-2024-07-18",
        request_id="req_7",
        prompt_tokens=11,
        completion_tokens=3,
    )


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        pytest.param(_choice(content="hi"), ChatAnswer(text="hi", has_usage=False), id="bare"),
        pytest.param(
            _choice(refusal="no"), ChatAnswer(text="", refusal="no", has_usage=False), id="refusal"
        ),
        pytest.param(
            {"choices": [{"message": {"content": "h"}, "finish_reason": "length"}]},
            ChatAnswer(text="h", finish_reason="length", has_usage=False),
            id="length",
        ),
        pytest.param(
            _choice(content="hi") | {"usage": None, "model": None},
            ChatAnswer(text="hi", has_usage=False),
            id="null",
        ),
        pytest.param(
            {"choices": []},
            ChatAnswer(text="", refusal="the endpoint returned no choice", has_usage=False),
            id="no-choice",
        ),
        pytest.param(
            _choice(content="hi") | {"usage": {"prompt_tokens": -5, "completion_tokens": 10**12}},
            ChatAnswer(text="hi", has_usage=False),
            id="nonsense-usage",
        ),
    ],
)
async def test_what_foreign_endpoints_leave_out_is_not_missed(
    body: dict[str, Any], expected: ChatAnswer
) -> None:
    assert await _ask(lambda _: http.Response(200, json=body)) == expected


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"<!doctype html><p>Log in to the hotel's network", id="html"),
        pytest.param(json.dumps(COMPLETION).encode()[:80], id="truncated"),
        pytest.param(b'{"x":' + b"[" * 100_000, id="deep"),
    ],
)
async def test_a_body_that_is_no_completion_may_be_one_the_next_time(body: bytes) -> None:
    headers = {"content-type": "application/json"}
    with pytest.raises(TransientError, match="completion"):
        await _ask(lambda _: http.Response(200, content=body, headers=headers))


@pytest.mark.anyio
async def test_what_is_not_utf_8_in_an_answer_is_replaced() -> None:
    body = b'{"choices":[{"message":{"content":"a\xff"}}]}'
    assert (await _ask(lambda _: http.Response(200, content=body))).text == "a\ufffd"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{}", id="nothing"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b'{"choices":[{}]}', id="no-message"),
        pytest.param(b'{"choices":[{"message":{"content":5}}]}', id="mistyped"),
    ],
)
async def test_json_that_is_no_completion_is_a_bad_answer_that_may_be_billed(body: bytes) -> None:
    with pytest.raises(BadAnswerError, match="completion") as caught:
        await _ask(lambda _: http.Response(200, content=body))
    assert caught.value.may_be_billed


@pytest.mark.anyio
@pytest.mark.parametrize("status", [408, 409, 425, 429, 500, 502, 503, 504, 529])
async def test_an_error_that_passes_is_transient(status: int) -> None:
    with pytest.raises(TransientError, match=f"HTTP {status}: what is wrong") as caught:
        await _ask(_error(status))
    assert isinstance(caught.value, RateLimitError) == (status == 429)


LIMITS = [
    ({}, None),
    ({"x-ratelimit-limit-requests": "500"}, RateLimits(requests_per_minute=500.0)),
    ({"x-ratelimit-limit-tokens": "200000"}, RateLimits(tokens_per_minute=200_000.0)),
    (
        {"x-ratelimit-limit-requests": "5e2", "x-ratelimit-limit-tokens": "many"},
        RateLimits(requests_per_minute=500.0),
    ),
    ({"x-ratelimit-limit-requests": "0", "x-ratelimit-limit-tokens": "-1"}, None),
    ({"x-ratelimit-limit-requests": "nan", "x-ratelimit-limit-tokens": "inf"}, None),
]


@pytest.mark.anyio
@pytest.mark.parametrize(("headers", "limits"), LIMITS)
async def test_what_the_endpoint_allows_in_a_minute_is_read_of_every_answer(
    headers: dict[str, str], limits: RateLimits | None
) -> None:
    answer = await _ask(lambda _: http.Response(200, json=COMPLETION, headers=headers))
    assert answer.limits == limits
    with pytest.raises(RateLimitError) as caught:
        await _ask(_error(429, headers=headers))
    told = limits or RateLimits()
    assert caught.value.requests_per_minute == told.requests_per_minute
    assert caught.value.tokens_per_minute == told.tokens_per_minute


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 403, 413, 422])
async def test_a_refused_request_is_permanent_for_this_request_only(status: int) -> None:
    with pytest.raises(PermanentError, match=f"HTTP {status}: what is wrong") as caught:
        await _ask(_error(status))
    assert not isinstance(caught.value, FatalError)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("handler", "fix"),
    [
        pytest.param(_error(401), "set OPENAI_API_KEY", id="401"),
        pytest.param(_error(404, code="model_not_found"), "set openai.model", id="404"),
    ],
)
async def test_what_a_person_must_mend_stops_with_the_fix(handler: Any, fix: str) -> None:
    with pytest.raises(FatalError, match=fix) as caught:
        await _ask(handler)
    assert "models.test" in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    "handler",
    [
        pytest.param(_error(402), id="402"),
        pytest.param(_error(429, code="insufficient_quota"), id="quota-code"),
        pytest.param(_error(429, type="insufficient_quota"), id="quota-type"),
        pytest.param(_error(429, code="billing_hard_limit_reached"), id="billing-limit"),
        pytest.param(_error(429, code="billing_not_active"), id="billing-off"),
    ],
)
async def test_a_spent_quota_is_a_limit_and_no_reason_to_wait(handler: Any) -> None:
    with pytest.raises(
        BudgetExceededError,
        match=r"the quota at http://models\.test/v1 is spent \(HTTP 4.*Add credit",
    ):
        await _ask(handler)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "3"}, 3.0),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "later"}, None),
        ({"retry-after": FIVE_SECONDS_LATER, "date": NOON}, 5.0),
        ({"retry-after": NOON, "date": FIVE_SECONDS_LATER}, 0.0),
        ({"retry-after": FIVE_SECONDS_LATER}, None),
        ({"retry-after": FIVE_SECONDS_LATER, "date": "Sun, 22 Nov 2026 12:00:00 -0000"}, None),
        ({"retry-after": "Sun, 99 Nov 2026 12:00:05 GMT", "date": NOON}, None),
    ],
)
async def test_the_wait_that_is_asked_for_is_read_in_every_form(
    headers: dict[str, str], seconds: float | None
) -> None:
    with pytest.raises(TransientError) as caught:
        await _ask(_error(429, headers=headers))
    assert caught.value.retry_after == seconds


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("failure", "words"), [("ConnectError", "failed: refused"), ("ReadTimeout", "no answer from")]
)
async def test_a_broken_connection_is_transient(failure: str, words: str) -> None:
    def handler(request: Any) -> Any:
        raise getattr(http, failure)("refused", request=request)

    with pytest.raises(TransientError, match=words):
        await _ask(handler)


@pytest.mark.anyio
@pytest.mark.parametrize("failure", ["ReadTimeout", "ReadError", "RemoteProtocolError"])
async def test_what_may_have_been_answered_is_told_from_what_was_never_sent(failure: str) -> None:
    def handler(request: Any) -> Any:
        raise getattr(http, failure)("gone", request=request)

    with pytest.raises(UnknownOutcomeError):
        await _ask(handler)
    with pytest.raises(UnknownOutcomeError):
        await _ask(lambda _: http.Response(200, content=b"<html>"))
    for unsent in (_error(503), _refused_connection):
        with pytest.raises(TransientError) as caught:
            await _ask(unsent)
        assert not isinstance(caught.value, UnknownOutcomeError)


def _refused_connection(request: Any) -> Any:
    raise http.ConnectError("refused", request=request)


@pytest.mark.anyio
async def test_an_attempt_ends_in_time_even_if_bytes_trickle_in() -> None:
    async def handler(request: Any) -> Any:
        await asyncio.Event().wait()
        return http.Response(200, json=COMPLETION, request=request)

    chat = OpenAIChat(_client(handler), OpenAISettings(timeout=0.05, api_key=SecretStr(KEY)))
    with pytest.raises(
        TransientError, match=r"no answer from https://api\.openai\.com/v1 in 0\.05 s"
    ):
        await chat.answer(REQUEST)
    await chat.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 500])
async def test_no_error_tells_the_key_or_the_password(status: int) -> None:
    settings = SETTINGS.model_copy(update={"base_url": "http://user:secret@models.test/v1"})
    with pytest.raises((PermanentError, TransientError)) as caught:
        await OpenAIChat(_client(_error(status)), settings).answer(REQUEST)
    assert KEY not in str(caught.value)
    assert "secret" not in str(caught.value)


SECRET_TEXT = 'Kanarienvogelfutter, "жуткий суп"\nand a \N{PILE OF POO}, 1 star'


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 500, 503])
@pytest.mark.parametrize("spell", [str, json.dumps, repr], ids=["as it is", "JSON", "Python"])
async def test_no_error_repeats_a_review_that_the_endpoint_repeats(
    status: int, spell: Callable[[str], str]
) -> None:
    request = build_prompt([SECRET_TEXT]).request
    said = f"Cannot read {spell(request.user)}: {SECRET_TEXT}"
    for handler in (_error(status, message=said), lambda _: http.Response(status, text=said)):
        with pytest.raises(Exception, match=r".") as caught:
            await _ask(handler, request)
        told = "".join(traceback.format_exception(caught.value))
        for word in ("Kanarien", "жуткий", r"\u0436\u0443", "and a", "1 star"):
            assert word not in told
        assert len(str(caught.value)) < MAX_MESSAGE + 100


@pytest.mark.anyio
async def test_what_is_wrong_is_told_beside_what_is_repeated() -> None:
    request = build_prompt([SECRET_TEXT]).request
    with pytest.raises(PermanentError, match=r"(?s)^HTTP 400: Cannot read '.*\[...\].*' here$"):
        await _ask(_error(400, message=f"Cannot read '{SECRET_TEXT}' here"), request)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [403, 429])
@pytest.mark.parametrize("said", QUOTA_WORDS)
async def test_what_is_repeated_of_a_review_is_not_read_for_a_spent_quota(
    status: int, said: str
) -> None:
    repeats = _error(status, message=f"Cannot read {said}!")
    with pytest.raises(BudgetExceededError):
        await _ask(repeats, build_prompt(["They were kind"]).request)
    with pytest.raises((PermanentError, TransientError)) as caught:
        await _ask(repeats, build_prompt([f"They said: {said}!"]).request)
    assert not isinstance(caught.value, BudgetExceededError)


@pytest.mark.anyio
async def test_a_long_message_is_cut() -> None:
    with pytest.raises(PermanentError) as caught:
        await _ask(_error(400, message="x" * 100_000))
    assert len(str(caught.value)) < MAX_MESSAGE + 20


@pytest.mark.anyio
async def test_long_names_are_cut() -> None:
    body, headers = COMPLETION | {"model": "m" * 3_000_000}, {"x-request-id": "r" * 50_000}
    answer = await _ask(lambda _: http.Response(200, json=body, headers=headers))
    assert (answer.model, answer.request_id) == ("m" * MAX_NAME, "r" * MAX_NAME)


words = st.one_of(
    st.text(max_size=20),
    st.text(st.characters(categories=["Cs"]), max_size=3),  # halves of a pair: JSON may hold them
    st.builds(str.__mul__, st.text(max_size=3), st.just(5_000)),
)
anything: st.SearchStrategy[object] = words | st.none() | st.integers() | st.just([]) | st.just({})


@pytest.mark.anyio
@given(st.sampled_from([200, 400, 402, 403, 429, 500]), words, words, anything)
@example(400, "cannot read \ud83d", "", None)
@example(429, "slow down", "", [])
@example(429, "slow down", "", {})
async def test_whatever_is_answered_what_records_hold_of_it_is_bounded_and_can_be_encoded(
    status: int, said: str, content: str, name: object
) -> None:
    choice = {"message": {"content": content, "refusal": name}, "finish_reason": name}
    error = {"message": said, "code": name, "type": name}
    # ASCII with escapes, as Python writes JSON: no other form could hold the half of a pair.
    body = json.dumps({"model": name, "choices": [choice], "error": error}).encode()
    kind = {"content-type": "application/json"}
    for detail in await _told(lambda _: http.Response(status, content=body, headers=kind)):
        assert len(detail.encode()) <= 4 * (MAX_MESSAGE + 100)


async def _told(handler: Any) -> list[str]:
    """Return what a record may hold of an answer."""
    try:
        answer = await _ask(handler)
    except (PermanentError, TransientError) as err:
        return [str(err)]
    outcome = read_answer(answer, ["1"])
    detail = outcome.detail if isinstance(outcome, Rejected) else ""
    return [answer.model, answer.request_id or "", detail]


@pytest.mark.anyio
async def test_what_broke_a_connection_is_told_shortly() -> None:
    def handler(request: Any) -> Any:
        raise http.RemoteProtocolError("\ud83d" + "x" * 100_000, request=request)

    with pytest.raises(UnknownOutcomeError) as caught:
        await _ask(handler)
    assert len(str(caught.value).encode()) < MAX_MESSAGE + 100


@pytest.mark.anyio
async def test_an_error_without_a_readable_body_is_still_told_apart() -> None:
    with pytest.raises(TransientError, match="HTTP 502"):
        await _ask(lambda _: http.Response(502, text="<html>Bad gateway</html>"))


@pytest.mark.anyio
async def test_an_error_survives_the_way_out_of_a_worker() -> None:
    headers = {"retry-after": "7", "x-ratelimit-limit-requests": "500"}
    with pytest.raises(TransientError) as caught:
        await _ask(_error(429, headers=headers))
    again = pickle.loads(pickle.dumps(caught.value))
    assert (str(again), again.retry_after) == (str(caught.value), 7.0)
    assert (again.requests_per_minute, again.tokens_per_minute) == (500.0, None)


def test_the_client_never_retries_on_its_own() -> None:
    assert OpenAIChat.connect(SETTINGS)._client.max_retries == 0


def test_openais_own_endpoint_needs_a_key() -> None:
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        OpenAIChat.connect(OpenAISettings())


@pytest.mark.parametrize("key", ["sk-ключ", "sk-a\nb", "sk-\x00"])
def test_a_key_that_cannot_be_sent_is_refused_without_showing_it(key: str) -> None:
    with pytest.raises(ConfigError, match="copy it again") as caught:
        OpenAIChat.connect(OpenAISettings(api_key=SecretStr(key)))
    assert key not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("key", [None, SecretStr(" sk-with-a-newline \n")])
async def test_an_endpoint_of_ones_own_needs_no_key_and_a_stray_newline_does_no_harm(
    key: SecretStr | None,
) -> None:
    chat = OpenAIChat.connect(OpenAISettings(base_url="http://127.0.0.1:1/v1", api_key=key))
    with pytest.raises(TransientError, match=r"the connection to http://127\.0\.0\.1:1/v1 failed"):
        await chat.answer(REQUEST)
    await chat.aclose()


@pytest.mark.anyio
@pytest.mark.parametrize("spell", [str, json.dumps], ids=["a page", "JSON"])
async def test_a_body_that_is_no_completion_does_not_repeat_a_review(
    spell: Callable[[str], str],
) -> None:
    request = build_prompt([SECRET_TEXT]).request
    with pytest.raises(ReviewStreamError) as caught:
        await _ask(lambda _: http.Response(200, text=spell(SECRET_TEXT)), request)
    assert "Kanarien" not in str(caught.value)


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["ConnectTimeout", "PoolTimeout"])
async def test_a_request_that_was_never_sent_is_not_taken_for_one_without_an_answer(
    kind: str,
) -> None:
    def never(request: Any) -> Any:
        raise getattr(http, kind)("too late", request=request)

    with pytest.raises(TransientError) as caught:
        await _ask(never, build_prompt(["a"]).request)
    assert not isinstance(caught.value, UnknownOutcomeError)


@pytest.mark.anyio
@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 302])
async def test_no_error_repeats_a_secret_that_the_endpoint_repeats(status: int) -> None:
    settings = SETTINGS.model_copy(update={"extra_headers": {"x-team": SecretStr("canary-7")}})

    def handler(_: Any) -> Any:
        said = f"Incorrect API key {KEY} of canary-7"
        headers = {"location": f"http://x/{KEY}/canary-7"}
        return http.Response(status, json={"error": {"message": said}}, headers=headers)

    with pytest.raises(ReviewStreamError) as caught:
        await OpenAIChat(_client(handler), settings).answer(REQUEST)
    assert KEY not in str(caught.value)
    assert "canary-7" not in str(caught.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        *(("extra_headers", {name: "x"}) for name in ("bad name", "", "Host", "Content-Length")),
        *(
            ("extra_headers", {"x-a": value})
            for value in ("", " canary", "canary\n", "Café", "a\0b")
        ),
        *(("extra_body", {name: 1}) for name in ("model", "messages", "stream", "n", "max_tokens")),
        ("extra_body", {"x": float("nan")}),
        ("extra_body", {"x": "\ud800"}),
    ],
)
def test_what_cannot_be_sent_or_is_ours_is_refused_by_the_settings(
    setting: str, value: dict[str, Any]
) -> None:
    with pytest.raises(ValidationError) as caught:
        OpenAISettings.model_validate({setting: value})
    assert "canary" not in str(caught.value)


def test_an_address_with_the_path_that_the_client_adds_is_refused() -> None:
    with pytest.raises(ValidationError, match="leave /chat/completions out"):
        OpenAISettings(base_url="https://models.test/v1/chat/completions?api-version=1")
