"""`ChatModel` over any endpoint that speaks OpenAI's chat completions."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Final, Self, cast
from urllib.parse import urlsplit

import msgspec
import openai
from msgspec import Struct
from openai.types.shared_params import ResponseFormatJSONSchema

from reviewstream.adapters.trust import tls_failure, trusting
from reviewstream.core.chat import ChatAnswer, ChatRequest, RateLimits
from reviewstream.errors import (
    ConfigError,
    LimitError,
    PermanentError,
    StopError,
    ThrottledError,
    TransientError,
    UnansweredError,
)
from reviewstream.settings import OpenAISettings

MAX_MESSAGE: Final = 300  # characters of the endpoint's own words that are kept
MAX_NAME: Final = 200  # characters of its name of a model or a request: they are in every record
ECHO: Final = 8  # characters that are in the question too, and so may be a review's
MAX_TOKENS: Final = 1 << 24  # more than any context holds; a larger count is nonsense
NO_KEY: Final = "not-needed"  # sent to endpoints of one's own, which ask for none

_OPENAI = "https://api.openai.com/"
_SPENT = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})
_TRY_AGAIN = frozenset({408, 409, 425})


class _Message(Struct, frozen=True):
    content: str | None = None
    refusal: str | None = None


class _Choice(Struct, frozen=True):
    message: _Message | None = None
    finish_reason: str | None = None


class _Usage(Struct, frozen=True):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class _Completion(Struct, frozen=True):
    """What we need of a completion. Only OpenAI itself sends every field it promises."""

    choices: list[_Choice] | None = None
    model: str | None = None
    usage: _Usage | None = None


_decoder = msgspec.json.Decoder(_Completion)


class OpenAIChat:
    """`ChatModel` over the official client, which is told never to retry.

    Args:
        client: Its `max_retries` must be 0.
        settings: Model and address.
    """

    def __init__(self, client: openai.AsyncOpenAI, settings: OpenAISettings) -> None:
        self._client = client
        self._settings = settings
        self._where = _address(settings.base_url)
        given = settings.temperature
        self._temperature = openai.omit if given is None else given

    @classmethod
    def connect(cls, settings: OpenAISettings) -> Self:
        """Return a model with a client of its own.

        Raises:
            ConfigError: OpenAI's own endpoint is meant and there is no key for it; or the file of
                certificates cannot be used.
        """
        client = openai.AsyncOpenAI(
            api_key=_key(settings),
            base_url=settings.base_url,
            timeout=settings.timeout,
            max_retries=0,
            http_client=_http_client(settings.ca_location),
        )
        return cls(client, settings)

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        """See `ChatModel.answer`."""
        try:
            # The client's own limit is for each read: a body that trickles would never meet it.
            async with asyncio.timeout(self._settings.timeout):
                response = await self._client.chat.completions.with_raw_response.create(
                    model=self._settings.model,
                    messages=[
                        {"role": "system", "content": request.system},
                        {"role": "user", "content": request.user},
                    ],
                    response_format=_response_format(request),
                    max_completion_tokens=request.max_output_tokens,
                    temperature=self._temperature,
                )
        except openai.APIStatusError as err:
            # Not `from err`: a traceback would show its whole body, which may repeat a review.
            raise self._translated(err, request) from None
        except (openai.APITimeoutError, TimeoutError) as err:
            wait = self._settings.timeout
            raise UnansweredError(f"no answer from {self._where} in {wait:g} s") from err
        except openai.APIConnectionError as err:
            self._check_trust(err)
            kind = TransientError if _is_unsent(err) else UnansweredError
            why = _kept(str(err.__cause__ or err), MAX_MESSAGE)
            raise kind(f"the connection to {self._where} failed: {why}") from err
        except (UnicodeError, AssertionError) as err:  # Python has codecs that are none for text
            raise UnansweredError(f"the answer of {self._where} cannot be decoded") from err
        return _read(response.content, response.headers)

    async def aclose(self) -> None:
        """See `ChatModel.aclose`."""
        await self._client.close()

    def _check_trust(self, err: openai.APIConnectionError) -> None:
        """Raise if the certificate is at fault: no other review will fare better."""
        if distrusted := tls_failure(err, self._where, section="openai", url="base_url"):
            raise StopError(str(distrusted)) from err

    def _translated(self, err: openai.APIStatusError, request: ChatRequest) -> Exception:
        """Return our error for an answer that is not 200."""
        status, said = err.status_code, _said(err, request)
        if status == 402 or (status == 429 and {str(err.code), str(err.type)} & _SPENT):
            return LimitError(f"the quota at {self._where} is spent: add credit, then go on")
        if (refused := self._refused(err, request)) is not None:
            return refused
        if status == 429:
            limits = _limits(err.response.headers) or RateLimits()
            return ThrottledError(
                f"HTTP 429: {said}",
                retry_after=_retry_after(err),
                requests_per_minute=limits.requests_per_minute,
                tokens_per_minute=limits.tokens_per_minute,
            )
        if status in _TRY_AGAIN or status >= 500:
            return TransientError(f"HTTP {status}: {said}", retry_after=_retry_after(err))
        return PermanentError(f"HTTP {status}: {said}")

    def _refused(self, err: openai.APIStatusError, request: ChatRequest) -> StopError | None:
        """Return our error if a setting is at fault: no other review will fare better."""
        status = err.status_code
        if status in {401, 403}:
            return StopError(
                f"{self._where} refuses the API key (HTTP {status}): set OPENAI_API_KEY"
                f" to a key that may use {self._settings.model}"
            )
        if status == 404:
            return StopError(
                f"{self._where} does not serve {self._settings.model} (HTTP 404):"
                " set openai.model and openai.base_url to what it serves"
            )
        if 300 <= status < 400:  # not followed: reviews go where the settings say
            location = err.response.headers.get("location", "")[:MAX_MESSAGE]
            where = without_echo(_address(location), request.user) or "somewhere else"
            return StopError(
                f"{self._where} redirects to {where} (HTTP {status}):"
                " set openai.base_url to the address that answers"
            )
        return None


def _http_client(ca_location: str | None) -> openai.DefaultAsyncHttpxClient:
    """Return what follows no redirect, and trusts the certificates in a file if there is one."""
    verify: ssl.SSLContext | bool = True
    if ca_location is not None:
        verify = trusting(ca_location, setting="openai.ca_location")
    return openai.DefaultAsyncHttpxClient(follow_redirects=False, verify=verify)


def _is_unsent(err: openai.APIConnectionError) -> bool:
    """Say whether there was no connection at all, by whichever HTTP library the client has."""
    return type(err.__cause__).__name__ == "ConnectError"


def _address(base_url: str) -> str:
    """Return what may be shown of an address: no name or password of a user."""
    try:
        parts = urlsplit(base_url)
    except ValueError:  # of a server's: half an IPv6 address
        return ""
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


def _key(settings: OpenAISettings) -> str:
    key = settings.api_key.get_secret_value().strip() if settings.api_key else ""
    if not key and settings.base_url.startswith(_OPENAI):
        raise ConfigError(
            "there is no API key: set OPENAI_API_KEY, REVIEWSTREAM_OPENAI__API_KEY, or api_key"
            " under [openai] in reviewstream.toml"
        )
    if not (key.isascii() and key.isprintable()):
        raise ConfigError("the API key holds characters that no key has: copy it again")
    return key or NO_KEY


def _response_format(request: ChatRequest) -> ResponseFormatJSONSchema:
    return {
        "type": "json_schema",
        "json_schema": {
            "name": request.schema_name,
            "strict": True,
            "schema": cast("dict[str, object]", request.answer_schema),
        },
    }


def _read(body: bytes, headers: Mapping[str, str]) -> ChatAnswer:
    """Take the answer out of a completion.

    Read from the bytes, not through the client's models: those pass a page of HTML, a choice
    without a message or a number as text on unnoticed.
    """
    try:
        completion = _decoder.decode(body)
    except (msgspec.MsgspecError, ValueError, RecursionError) as err:
        raise UnansweredError(f"the endpoint's body is not a completion: {err}") from err
    choice = completion.choices[0] if completion.choices else _Choice()
    if choice.message is None:
        raise UnansweredError("the endpoint's completion has no message in it")
    usage, request_id = completion.usage or _Usage(), headers.get("x-request-id")
    return ChatAnswer(
        text=choice.message.content or "",
        refusal=choice.message.refusal,
        finish_reason=choice.finish_reason or "stop",
        model=_kept(completion.model or "", MAX_NAME),
        request_id=None if request_id is None else _kept(request_id, MAX_NAME),
        prompt_tokens=_count(usage.prompt_tokens),
        completion_tokens=_count(usage.completion_tokens),
        limits=_limits(headers),
    )


def _count(tokens: int | None) -> int:
    return min(max(tokens or 0, 0), MAX_TOKENS)


def _limits(headers: Mapping[str, str]) -> RateLimits | None:
    """Return what the endpoint allows in a minute, or None if it does not say."""
    requests = _number(headers.get("x-ratelimit-limit-requests"))
    tokens = _number(headers.get("x-ratelimit-limit-tokens"))
    if not (requests or tokens):  # nothing at all would be no limit, but a closed door
        return None
    return RateLimits(requests_per_minute=requests or None, tokens_per_minute=tokens or None)


def _said(err: openai.APIStatusError, request: ChatRequest) -> str:
    """Return the endpoint's own words, cut short, and without what it repeats of the question."""
    body = err.body
    words = body.get("message") if isinstance(body, dict) else None
    said = words if isinstance(words, str) else err.message
    question = f"{request.user}\n{json.dumps(request.user)}"  # it may be repeated as it was sent
    return _kept(without_echo(said[: 4 * MAX_MESSAGE], question), MAX_MESSAGE)


def _kept(words: str, most: int) -> str:
    """Return a text of the endpoint's, cut short, and without halves of a surrogate pair.

    JSON may hold such a half; what no UTF-8 holds would fail whoever writes it, again and again.
    """
    return words[:most].encode(errors="replace").decode()


def without_echo(said: str, question: str) -> str:
    """Return a text without the passages of `ECHO` characters or more that are in another one."""
    kept, at = "", 0
    while at < len(said):
        end = at + ECHO
        if said[at:end] not in question or end > len(said):
            kept, at = kept + said[at], at + 1
            continue
        while end < len(said) and said[at : end + 1] in question:
            end += 1
        kept, at = f"{kept}[...]", end
    return kept


def _retry_after(err: openai.APIStatusError) -> float | None:
    """Return the seconds that an answer asks us to wait, or None if it does not say."""
    headers = err.response.headers
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    value = headers.get("retry-after")
    seconds = _number(value)
    return seconds if seconds is not None else _until(value, headers.get("date"))


def _number(value: str | None) -> float | None:
    try:
        number = float(value or "")
    except ValueError:
        return None
    return max(number, 0.0) if number < float("inf") else None  # NaN is less than nothing


def _until(moment: str | None, now: str | None) -> float | None:
    """Return the seconds between two HTTP dates, both by the endpoint's clock: ours may be off."""
    try:
        wait = parsedate_to_datetime(moment or "") - parsedate_to_datetime(now or "")
    except (TypeError, ValueError):  # TypeError: one date has a zone and the other has none
        return None
    return max(wait.total_seconds(), 0.0)
