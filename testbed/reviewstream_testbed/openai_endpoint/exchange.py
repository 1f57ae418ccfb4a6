"""One request for a completion, from its bytes to its answer."""

import asyncio
import hashlib
import json
import socket
import struct
from collections.abc import Mapping
from typing import Any, Final

from aiohttp import web

from reviewstream_testbed.openai_endpoint import (
    completions,
    faults,
    model,
    rate_answers,
    validation,
)
from reviewstream_testbed.openai_endpoint.errors import ApiError
from reviewstream_testbed.openai_endpoint.options import Options
from reviewstream_testbed.openai_endpoint.payload import json_of
from reviewstream_testbed.openai_endpoint.room import Room

HTML: Final = "<!doctype html><html><body><h1>Welcome to the hotel's network</h1></body></html>"
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
        broken = await self._misbehave(fault)
        if broken is not None:
            return broken
        said = completions.said(body, model.answer_of(body, reviews, self._room.judge), fault.kind)
        self._room.prompt_tokens += self._tokens
        self._room.completion_tokens += said.tokens
        self._room.allowance.settle(reserved, self._tokens + said.tokens, _now())
        choices = 0 if fault.kind == "empty_choices" else body.get("n") or 1
        completion = completions.completion(body["model"], said, self._tokens, choices)
        return self._whole(completion, fault)

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

    async def _misbehave(self, fault: faults.Fault) -> web.StreamResponse | None:
        """Do what a fault does before there is an answer; None: there is to be one."""
        error = faults.error_of(fault)
        if error is not None:
            if error.status == TOO_MANY:
                self._room.limited[fault.kind] += 1
            raise error
        match fault.kind:
            case "slow":
                await asyncio.sleep(fault.seconds)
            case "hang":
                await asyncio.Event().wait()
            case "reset":
                _reset_connection(self._request)
                return web.Response()
            case "html":
                return web.Response(text=HTML, content_type="text/html")
            case _:
                pass  # the answer itself will be wrong
        return None

    def _whole(self, completion: Mapping[str, Any], fault: faults.Fault) -> web.Response:
        text = json.dumps(completion, ensure_ascii=False)
        if fault.kind == "truncated_json":
            text = text[: len(text) // 2]
        return web.Response(text=text, content_type="application/json", headers=self._headers())

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


def _reset_connection(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    # Linger of zero seconds: closing sends a reset in place of a polite end.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
