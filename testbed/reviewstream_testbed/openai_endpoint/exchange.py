"""One request for a completion, from its bytes to its answer."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiohttp import web

from reviewstream_testbed.openai_endpoint import (
    completions,
    faults,
    model,
    rate_answers,
    sending,
    stream,
    validation,
)
from reviewstream_testbed.openai_endpoint.errors import ApiError
from reviewstream_testbed.openai_endpoint.options import Options
from reviewstream_testbed.openai_endpoint.payload import json_of
from reviewstream_testbed.openai_endpoint.room import Room

TOO_MANY: Final = 429


class Exchange:
    """One request and its answer.

    Args:
        request: As it came.
        room: Who asks.
        options: How the endpoint behaves.
    """

    def __init__(self, request: web.Request, room: Room, options: Options) -> None:
        self._request = request
        self._room = room
        self._options = options
        self._tokens = 0

    async def answer(self) -> web.StreamResponse:
        """Answer, refuse or fail.

        Raises:
            ApiError: 401, as nobody knows who asks; every other is answered here.
        """
        validation.check_key(self._request.headers.get("Authorization"), self._options.api_key)
        try:
            return await self._answered()
        except ApiError as err:
            headers = self._headers() | err.headers
            return web.json_response(err.body(), status=err.status, headers=headers)

    async def _answered(self) -> web.StreamResponse:
        body = validation.check_request(await json_of(self._request))
        self._tokens = model.prompt_tokens(body["messages"])
        validation.check_context(self._tokens)
        reserved = self._tokens + completions.most_tokens(body)
        self._admit(body["model"], reserved)
        reviews = model.reviews_of(body["messages"])
        self._room.asked.update(_digest(one.text) for one in reviews)
        fault = self._next_fault(body)
        await asyncio.sleep(self._options.latency)
        broken = await self._misbehave(fault, is_stream=bool(body.get("stream")))
        if broken is not None:
            return broken
        completion = self._completion(body, reviews, fault.kind)
        self._room.prompt_tokens += self._tokens
        self._room.completion_tokens += completion.completion_tokens
        used = self._tokens + completion.completion_tokens
        self._room.allowance.settle(reserved, used, _now())
        if body.get("stream"):
            return await self._streamed(completion, body.get("stream_options") or {}, fault.kind)
        return await self._whole(completion, fault.kind)

    def _completion(
        self, body: Mapping[str, Any], reviews: Sequence[model.Review], fault: str
    ) -> completions.Completion:
        answer = model.answer_of(body, reviews, self._room.judge)
        said = completions.said(body, answer, fault)
        choices = body.get("n") or 1
        return completions.Completion(body["model"], said, choices, self._tokens, fault)

    def _admit(self, name: str, tokens: int) -> None:
        refusal = self._room.allowance.admit(tokens, _now())
        if refusal is not None:
            self._room.limited[refusal.reason] += 1
            raise rate_answers.refused(refusal, name)

    def _next_fault(self, body: Mapping[str, Any]) -> faults.Fault:
        fault = self._room.script.next("\n".join(map(model.text_of, body["messages"])))
        if fault is None:
            return faults.NONE
        self._room.met[fault.kind] += 1
        return fault

    async def _misbehave(
        self, fault: faults.Fault, *, is_stream: bool
    ) -> web.StreamResponse | None:
        """Do what a fault does before there is an answer; None: there is to be one."""
        kind = "500" if fault.kind == "stream_error" and not is_stream else fault.kind
        error = faults.error_of(fault._replace(kind=kind), clock=time.time())
        if error is not None:
            if error.status == TOO_MANY:
                self._room.limited[kind] += 1
            raise error
        page = faults.KINDS[kind].page
        if page is not None:
            return web.Response(status=page.status, text=page.text(), content_type="text/html")
        match kind:
            case "slow":
                await asyncio.sleep(fault.seconds)
            case "hang":
                await asyncio.Event().wait()
            case "reset":
                return sending.reset(self._request)
            case _:
                pass  # the answer itself will be wrong
        return None

    async def _whole(self, completion: completions.Completion, fault: str) -> web.StreamResponse:
        payload = json.dumps(completion.whole(), ensure_ascii=False).encode()
        if fault in sending.BREAKS:
            return await sending.broken_off(self._request, payload, self._headers(), how=fault)
        if fault == "truncated_json":
            payload = payload[: len(payload) // 2]
        return web.Response(body=payload, content_type=sending.JSON, headers=self._headers())

    async def _streamed(
        self, completion: completions.Completion, options: Mapping[str, Any], fault: str
    ) -> web.StreamResponse:
        events = [*map(stream.event, stream.chunks(completion, options)), stream.DONE]
        events = stream.spoilt(events, fault)
        return await sending.streamed(self._request, events, self._headers(), how=fault)

    def _headers(self) -> dict[str, str]:
        """Return what every answer of the API tells, as it is now."""
        standings = self._room.allowance.standings(self._tokens, _now())
        return {
            "openai-organization": rate_answers.ORGANIZATION,
            "openai-processing-ms": f"{self._options.latency * 1000:.0f}",
            "openai-version": "2020-10-01",
            **rate_answers.headers(standings),
        }


def _now() -> float:
    return asyncio.get_running_loop().time()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
