"""The client that the adapter itself makes, down to its HTTP library: respx answers below that."""

from collections.abc import Iterator

import openai
import pytest
import respx
from httpx import ConnectError, Response
from pydantic import SecretStr

from reviewstream.adapters.openai.chat_completions import OpenAIChat
from reviewstream.core.labelling.chat import ChatAnswer
from reviewstream.core.labelling.prompts import build_prompt
from reviewstream.errors import BudgetExceededError, FatalError, TransientError
from reviewstream.settings import OpenAISettings

# The client's own HTTP library: version 3 changed it, and pytest-httpx2 lets respx speak it.
USING = "httpcore2" if openai.__version__ >= "3" else "httpcore"
URL = "http://models.test/v1/chat/completions"
ELSEWHERE = "http://elsewhere.test/v1/chat/completions"
REQUEST = build_prompt(["cold soup"]).request
ANSWER = {"model": "m", "choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}


@pytest.fixture
def endpoint() -> Iterator[respx.Route]:
    with respx.mock(using=USING) as router:  # whatever else is asked for is an error
        yield router.post(URL)


async def _ask(base_url: str = "http://models.test/v1") -> ChatAnswer:
    settings = OpenAISettings(base_url=base_url, api_key=SecretStr("sk-do-not-tell"))
    chat = OpenAIChat.connect(settings)
    try:
        return await chat.answer(REQUEST)
    finally:
        await chat.aclose()


@pytest.mark.anyio
async def test_one_request_is_one_call_with_the_key(endpoint: respx.Route) -> None:
    endpoint.respond(json=ANSWER)
    assert (await _ask()).text == "hello"
    (call,) = endpoint.calls
    assert call.request.headers["authorization"] == "Bearer sk-do-not-tell"


@pytest.mark.anyio
@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503])
async def test_what_the_client_would_retry_is_asked_once_all_the_same(
    endpoint: respx.Route, status: int
) -> None:
    refusal = Response(status, headers={"retry-after": "0", "x-should-retry": "true"})
    endpoint.mock(side_effect=[refusal, Response(200, json=ANSWER)])
    with pytest.raises(TransientError):
        await _ask()
    assert endpoint.call_count == 1


@pytest.mark.anyio
async def test_a_connection_that_breaks_is_not_tried_again(endpoint: respx.Route) -> None:
    endpoint.mock(side_effect=ConnectError)
    with pytest.raises(TransientError, match="failed"):
        await _ask()
    assert endpoint.call_count == 1


@pytest.mark.anyio
async def test_a_spent_quota_is_asked_once(endpoint: respx.Route) -> None:
    endpoint.respond(429, json={"error": {"code": "insufficient_quota", "message": "m"}})
    with pytest.raises(BudgetExceededError):
        await _ask()
    assert endpoint.call_count == 1


@pytest.mark.anyio
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_takes_key_and_reviews_nowhere(status: int) -> None:
    with respx.mock(using=USING, assert_all_called=False) as router:
        router.post(URL).respond(status, headers={"location": ELSEWHERE})
        elsewhere = router.route(host="elsewhere.test").respond(json=ANSWER)
        with pytest.raises(
            FatalError, match=rf"redirects to {ELSEWHERE} \(HTTP {status}\)"
        ) as told:
            await _ask()
    assert elsewhere.call_count == 0
    assert "http://models.test/v1 redirects" in str(told.value)
    assert "set openai.base_url" in str(told.value)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("location", "shown"),
    [
        (None, "somewhere else"),
        ("http://[", "somewhere else"),
        ("/v2/chat/completions", "/v2/chat/completions"),
        ("https://me:hidden@elsewhere.test/v1?key=hidden", "https://elsewhere.test/v1"),
        ("https://elsewhere.test/cold soup/page", "https://elsewhere.test/[...]/page"),
    ],
)
async def test_a_redirect_is_told_without_passwords_and_reviews(
    endpoint: respx.Route, location: str | None, shown: str
) -> None:
    endpoint.respond(307, headers={} if location is None else {"location": location})
    with pytest.raises(FatalError) as told:
        await _ask()
    assert f"redirects to {shown} (HTTP 307)" in str(told.value)
    assert "hidden" not in str(told.value)
