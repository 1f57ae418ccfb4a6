"""`ChatModel` over any endpoint with OpenAI's chat completions API."""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

import openai
from msgspec import structs

from reviewstream.adapters.openai.http_client import (
    address_of,
    api_key,
    http_client,
    is_unsent,
    timeout_of,
)
from reviewstream.adapters.openai.response_size import UnreadBodyError
from reviewstream.adapters.tls import tls_failure
from reviewstream.asking import asking
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.endpoint.blame import Blame, blame
from reviewstream.core.labelling.endpoint.completion import NotACompletion, read_completion
from reviewstream.core.labelling.endpoint.dialects import dialect_of
from reviewstream.core.labelling.endpoint.refusals import Refused, read_error, without_echo
from reviewstream.core.records.json_values import kept
from reviewstream.errors import (
    BadAnswerError,
    BudgetExceededError,
    CapacityError,
    FatalError,
    RateLimitError,
    RefusedError,
    ReviewStreamError,
    TransientError,
    UnknownOutcomeError,
)
from reviewstream.settings import OpenAISettings

MAX_MESSAGE: Final = 300  # characters of the endpoint's message that are kept
SECRET: Final = 4  # minimum length of a secret that is removed from messages
CONNECT: Final = 10.0  # seconds for a connection; without one nothing was sent, or billed

_NOT_FOUND: Final = 404
_HOUR: Final = 3_600  # seconds


class OpenAIChat:
    """`ChatModel` over the official client, without the client's retries.

    Args:
        client: Its `max_retries` must be 0.
        settings: Model and address.
    """

    def __init__(self, client: openai.AsyncOpenAI, settings: OpenAISettings) -> None:
        self._client = client
        self._settings = settings
        self._where = address_of(settings.base_url)
        self._dialect = dialect_of(settings.base_url, settings.dialect)
        self._timeout = timeout_of(settings)
        has_key = settings.api_key or settings.api_key_command
        self._key_hint = (
            "set OPENAI_API_KEY to a key" if has_key else "no key is set: set OPENAI_API_KEY to one"
        )
        self._headers = {
            name: value.get_secret_value() for name, value in settings.extra_headers.items()
        }

    @classmethod
    def connect(cls, settings: OpenAISettings) -> Self:
        """Return a model with a new client.

        Raises:
            ConfigError: The key for OpenAI's own endpoint is missing; or the certificate file, or
                the proxy that the environment names, cannot be used.
        """
        address = urlsplit(settings.base_url)
        client = openai.AsyncOpenAI(
            api_key=api_key(settings),
            base_url=address._replace(query="").geturl(),
            default_query=dict(parse_qsl(address.query)),
            timeout=openai.Timeout(
                timeout_of(settings), connect=min(CONNECT, settings.timeout / 2)
            ),
            max_retries=0,
            http_client=http_client(settings.ca_location),
        )
        return cls(client, settings)

    async def _post(self, request: ChatRequest) -> openai.HttpxBinaryResponseContent:
        # The client's timeout applies to each read, so a slow body would never exceed it.
        async with asyncio.timeout(self._timeout):
            return await self._client.post(
                "/chat/completions",
                # Not `chat.completions.create`, which inspects every field, for 5 ms.
                cast_to=openai.HttpxBinaryResponseContent,
                body=self._fields(request),
                options={"headers": self._headers},
            )

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        """See `ChatModel.answer`."""
        try:
            with asking(f"the model's endpoint at {self._where}", is_series=False):
                response = await self._post(request)
        except openai.APIStatusError as err:
            # Not `from err`: a traceback would show the whole body, which may repeat a review.
            raise self._status_error(err, request) from None
        except (openai.APITimeoutError, TimeoutError) as err:
            if is_unsent(err):
                raise TransientError(f"there is no connection to {self._where}") from err
            raise UnknownOutcomeError(
                f"no answer from {self._where} in {self._timeout:g} s"
            ) from err
        except openai.APIConnectionError as err:
            self._check_trust(err)
            kind = TransientError if is_unsent(err) else UnknownOutcomeError
            why = self._said(str(err.__cause__ or err), request)
            raise kind(f"the connection to {self._where} failed: {why}") from err
        except (UnreadBodyError, UnicodeError, AssertionError) as err:
            # The last two: a charset may name a Python codec that does not decode to text.
            why = self._said(str(err), request)
            raise UnknownOutcomeError(
                f"the answer of {self._where} cannot be decoded: {why}"
            ) from err
        return self._read(response.content, response.response.headers, request)

    async def aclose(self) -> None:
        """See `ChatModel.aclose`."""
        await self._client.close()

    def _read(self, body: bytes, headers: Mapping[str, str], request: ChatRequest) -> ChatAnswer:
        """Return the answer in the body of HTTP 200, or raise the error that the body contains."""
        match read_completion(body, headers, self._dialect):
            case Refused() as refused:
                error = self._error(refused, request)
                error.billed = refused.billed
                raise error
            case NotACompletion(why=why, is_json=is_json):
                sentence = (
                    f"the body of {self._where} is not a completion: {self._said(why, request)}"
                )
                if is_json:
                    raise BadAnswerError(sentence, may_be_billed=True)
                raise UnknownOutcomeError(sentence)
            case answer:
                return answer

    def _said(self, words: str, request: ChatRequest) -> str:
        """Return a message shortened, without secrets and without repeated parts of the prompt."""
        for secret in (self._client.api_key, *self._headers.values()):
            if len(secret) >= SECRET:
                words = words.replace(secret, "***")
        question = f"{request.user}\n{json.dumps(request.user)}"  # an endpoint may repeat either
        return kept(without_echo(words, question), MAX_MESSAGE)

    def _fields(self, request: ChatRequest) -> dict[str, Any]:
        """Return the fields of a request; those without a value are omitted."""
        options = request.options
        optional = {
            "response_format": _response_format(request),
            "temperature": options.temperature,
            "reasoning_effort": options.reasoning_effort,
            "service_tier": options.service_tier,
        }
        return {
            "model": self._settings.model,
            "messages": [
                {"role": "system", "content": request.system},
                {"role": "user", "content": request.user},
            ],
            options.max_tokens_field: request.max_output_tokens,
            **{name: value for name, value in optional.items() if value is not None},
            **options.extra_body,
        }

    def _check_trust(self, err: openai.APIConnectionError) -> None:
        """Raise if the certificate is the cause: no other review will succeed."""
        if distrusted := tls_failure(err, self._where, section="openai", url="base_url"):
            raise FatalError(str(distrusted)) from err

    def _status_error(self, err: openai.APIStatusError, request: ChatRequest) -> ReviewStreamError:
        """Return our error for a status other than 200."""
        status, headers = err.status_code, err.response.headers
        if 300 <= status < 400:  # not followed: reviews go where the settings say
            location = headers.get("location", "")[:MAX_MESSAGE]
            where = self._said(address_of(location), request) or "somewhere else"
            return FatalError(
                f"{self._where} redirects to {where} (HTTP {status}):"
                " set openai.base_url to the address that answers"
            )
        return self._error(
            read_error(status, err.response.content, headers, self._dialect), request
        )

    def _error(self, refused: Refused, request: ChatRequest) -> ReviewStreamError:
        """Return our error for an endpoint's refusal."""
        said = self._said(refused.words, request)
        words = f"HTTP {refused.status}: {said}"
        # Text that the endpoint repeats from a review must not be taken for its own message.
        match blame(structs.replace(refused, words=said)):
            case Blame.RATE:
                return RateLimitError(
                    words,
                    retry_after=refused.retry_after,
                    requests_per_minute=refused.requests_per_minute,
                    tokens_per_minute=refused.tokens_per_minute,
                )
            case Blame.CAPACITY:
                return CapacityError(words, retry_after=refused.retry_after)
            case Blame.ENDPOINT:
                return TransientError(words, retry_after=refused.retry_after)
            case Blame.ANSWER:
                return BadAnswerError(words)
            case Blame.QUOTA | Blame.ACCOUNT | Blame.REQUEST as found:
                return self._stop(found, refused, words)
            case found:
                return RefusedError(words, blame=found, status=refused.status, field=refused.field)

    def _stop(self, found: Blame, refused: Refused, words: str) -> ReviewStreamError:
        """Return our error for a refusal that applies to all reviews."""
        model, where = self._settings.model, self._where
        if found is Blame.QUOTA:
            wait = refused.retry_after or 0.0
            back = f" It comes back in {wait / _HOUR:.1f} h." if wait >= _HOUR else ""
            return BudgetExceededError(
                f"the quota at {where} is spent ({words}).{back} Add credit or wait, then start"
                " again: nothing is lost"
            )
        if found is Blame.ACCOUNT:
            return FatalError(
                f"{where} refuses the API key ({words}): {self._key_hint} that may use {model}"
            )
        if refused.field not in {"", "model"}:  # another value may be accepted: the probe tests it
            return RefusedError(words, blame=found, status=refused.status, field=refused.field)
        if refused.status == _NOT_FOUND or refused.field:
            return FatalError(
                f"{where} does not serve {model} ({words}): set openai.model and openai.base_url to"
                " what it serves"
            )
        return FatalError(
            f"{where} is no address that takes requests ({words}): see openai.base_url, and"
            " HTTPS_PROXY if a proxy answered"
        )


def _response_format(request: ChatRequest) -> dict[str, Any] | None:
    match request.options.response_format:
        case "text":
            return None
        case "json_object":
            return {"type": "json_object"}
        case _:
            schema = {
                "name": request.schema_name,
                "strict": True,
                "schema": request.answer_schema,
            }
            return {"type": "json_schema", "json_schema": schema}
