"""Replays answers from a cassette, or records a real endpoint onto it."""

import json
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from reviewstream_testbed.mock_openai.cassettes import (
    Cassette,
    RecordedAnswer,
    RecordedQuestion,
    question_of,
)
from reviewstream_testbed.mock_openai.error_bodies import ApiError, bad_request
from reviewstream_testbed.mock_openai.mock_options import Recording
from reviewstream_testbed.mock_openai.payload import json_of
from reviewstream_testbed.mock_openai.tenant import Tenant

TIMEOUT: Final = 900.0  # seconds; the flex tier may take this long
LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")
# Headers that are forwarded to the real endpoint and never written.
_SENT_ON: Final = ("authorization", "api-key", "openai-organization", "openai-project")
_TOLD: Final = ("openai-organization", "openai-project", "x-request-id", "set-cookie")


class Recorder:
    """A source of recorded answers, which also records new ones if an endpoint is given.

    Args:
        recording: Cassette, and endpoint to record.

    Raises:
        ValueError: The cassette does not exist or is damaged.
        OSError: The cassette's folder cannot be created.
    """

    def __init__(self, recording: Recording) -> None:
        self._url = recording.url.rstrip("/")
        self._folder = recording.folder
        if self._url:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._cassette = Cassette(self._folder)
        self._session: aiohttp.ClientSession | None = None

    async def answer(self, request: web.Request, tenant: Tenant) -> web.Response:
        """Answer a completion request.

        Raises:
            ApiError: The request cannot be recorded, such as a stream; no answer is recorded; or
                the endpoint is unavailable.
        """
        body = await json_of(request)
        try:
            question = question_of(body)
        except ValueError as err:
            raise bad_request(f"This request cannot be recorded: {err}") from err
        if body.get("stream"):
            raise bad_request("Streams are neither recorded nor replayed.", param="stream")
        answer = await self._ask(request, body, question) if self._url else self._found(question)
        if answer is None:
            tenant.misses += 1
            raise self._missing(question)
        headers = {name: one for name, one in answer.headers.items() if name != "content-type"}
        if isinstance(answer.body, str):
            return web.Response(text=answer.body, status=answer.status, headers=headers)
        return web.json_response(answer.body, status=answer.status, headers=headers)

    def rewind(self) -> None:
        """Start again with the first answer of each question."""
        self._cassette.rewind()

    async def close(self, app: web.Application) -> None:
        """Close the connections to the real endpoint."""
        del app
        if self._session is not None:
            await self._session.close()

    def _found(self, question: RecordedQuestion) -> RecordedAnswer | None:
        return self._cassette.find(question)

    def _missing(self, question: RecordedQuestion) -> ApiError:
        return ApiError(
            404,
            f"The cassette {self._folder} holds no answer to this request: model"
            f" {question.model!r}, {len(question.reviews)} texts, key {question.key[:16]}. It holds"
            f" {len(self._cassette)} exchanges. Record it anew with --record URL.",
            code="cassette_miss",
        )

    async def _ask(
        self, request: web.Request, body: Mapping[str, Any], question: RecordedQuestion
    ) -> RecordedAnswer:
        headers = {name: one for name in _SENT_ON if (one := request.headers.get(name))}
        try:
            async with self._client().post(
                f"{self._url}/chat/completions", json=body, headers=headers, allow_redirects=False
            ) as got:
                text = await got.text()
                answer = RecordedAnswer(got.status, dict(got.headers), _parsed(text))
                told = [one for name in _TOLD for one in got.headers.getall(name, [])]
        except (aiohttp.ClientError, TimeoutError, ValueError) as err:
            raise ApiError(
                502, f"{self._url} does not answer: {err!r}", type="server_error"
            ) from err
        # A cookie's value also alone, because a body may contain it without its name.
        parts = [part for one in told for part in (one, one.partition("=")[2].partition(";")[0])]
        keys = [part for one in headers.values() for part in (one, one.rpartition(" ")[2])]
        self._cassette.add(question, answer, [*keys, *parts])
        return answer._replace(headers={"content-type": "application/json"})

    def _client(self) -> aiohttp.ClientSession:
        if self._session is None:
            is_ours = urlsplit(self._url).hostname in LOOPBACK
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT), trust_env=not is_ours
            )
        return self._session


def _parsed(text: str) -> Any:  # noqa: ANN401 - any JSON, or the text itself
    try:
        return json.loads(text)
    except ValueError:
        return text
