"""The HTTP server: `/v1` as OpenAI's, `/_mock` for tests."""

import asyncio
import hashlib
import itertools
import json
import socket
import struct
from collections import defaultdict
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from aiohttp import web

from reviewstream_testbed.openai_endpoint import completions, faults, model, validation
from reviewstream_testbed.openai_endpoint.errors import ApiError, bad_request
from reviewstream_testbed.openai_endpoint.room import Room

COMPLETIONS: Final = "/v1/chat/completions"
ROOMS: Final = (
    "/rooms/{room}"  # the same once more, for those who must not meet each other's faults
)
MAX_BODY: Final = 16 << 20  # bytes
CREATED: Final = 1_721_172_741  # when the models were made, as `/v1/models` says
HTML: Final = "<!doctype html><html><body><h1>Welcome to the hotel's network</h1></body></html>"


class Options(NamedTuple):
    """How the endpoint behaves.

    Attributes:
        latency: Seconds before every answer.
        api_key: The only key accepted; None: every key that begins with `sk-`.
        requests_per_minute: What the rate-limit headers say; nothing is held to it.
        tokens_per_minute: Likewise.
    """

    latency: float = 0.0
    api_key: str | None = None
    requests_per_minute: int = 10_000
    tokens_per_minute: int = 2_000_000


class Endpoint:
    """State and handlers of one server."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._ids = itertools.count(1)
        self._rooms: defaultdict[str, Room] = defaultdict(Room)

    def application(self) -> web.Application:
        """Return the application."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._errors])
        for room in ("", ROOMS):
            app.add_routes(
                [
                    web.post(f"{room}{COMPLETIONS}", self._complete),
                    web.get(f"{room}/v1/models", self._models),
                    web.get(f"{room}/v1/models/{{name}}", self._model),
                    web.get(f"{room}/_mock/health", self._health),
                    web.post(f"{room}/_mock/reset", self._reset),
                    web.get(f"{room}/_mock/requests", self._requests),
                    web.post(f"{room}/_mock/fault", self._fault),
                ]
            )
        return app

    def _room(self, request: web.Request) -> Room:
        return self._rooms[request.match_info.get("room", "")]

    # --- /v1 ---

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        room = self._room(request)
        room.in_flight += 1
        room.peak = max(room.peak, room.in_flight)
        try:
            return await self._completed(request, room)
        finally:
            room.in_flight -= 1

    async def _completed(self, request: web.Request, room: Room) -> web.StreamResponse:
        validation.check_key(request.headers.get("Authorization"), self._options.api_key)
        body = validation.check_request(await _json_of(request))
        tokens = model.prompt_tokens(body["messages"])
        validation.check_context(tokens)
        room.asked.update(
            hashlib.sha256(one.text.encode(errors="replace")).hexdigest()
            for one in model.reviews_of(body["messages"])
        )
        fault = room.script.next("\n".join(map(model.text_of, body["messages"])))
        if fault is not None:
            room.met[fault.kind] += 1
        await asyncio.sleep(self._options.latency)
        if fault is not None:
            broken = await self._misbehave(request, fault)
            if broken is not None:
                return broken
        said = completions.said(body, fault.kind if fault else "ok")
        room.prompt_tokens += tokens
        room.completion_tokens += said.tokens
        choices = 0 if fault and fault.kind == "empty_choices" else body.get("n") or 1
        completion = completions.completion(body["model"], said, tokens, choices)
        return self._answer(completion, tokens, fault)

    async def _misbehave(
        self, request: web.Request, fault: faults.Fault
    ) -> web.StreamResponse | None:
        """Do what a fault does before there is an answer; None: there is to be one."""
        error = faults.error_of(fault)
        if error is not None:
            raise error
        match fault.kind:
            case "slow":
                await asyncio.sleep(fault.seconds)
            case "hang":
                await asyncio.Event().wait()
            case "reset":
                _reset_connection(request)
                return web.Response()
            case "html":
                return web.Response(text=HTML, content_type="text/html")
            case _:
                pass  # the answer itself will be wrong
        return None

    def _answer(
        self, completion: Mapping[str, Any], tokens: int, fault: faults.Fault | None
    ) -> web.Response:
        text = json.dumps(completion, ensure_ascii=False)
        if fault is not None and fault.kind == "truncated_json":
            text = text[: len(text) // 2]
        return web.Response(
            text=text, content_type="application/json", headers=self._rate_limits(tokens)
        )

    def _rate_limits(self, tokens: int) -> dict[str, str]:
        """Return the headers of an endpoint that nobody else uses."""
        requests, limit = self._options.requests_per_minute, self._options.tokens_per_minute
        return {
            "openai-organization": "reviewstream",
            "openai-processing-ms": f"{self._options.latency * 1000:.0f}",
            "openai-version": "2020-10-01",
            "x-ratelimit-limit-requests": str(requests),
            "x-ratelimit-limit-tokens": str(limit),
            "x-ratelimit-remaining-requests": str(requests - 1),
            "x-ratelimit-remaining-tokens": str(max(limit - tokens, 0)),
            "x-ratelimit-reset-requests": f"{60_000 // requests}ms",
            "x-ratelimit-reset-tokens": f"{60_000 * tokens // limit}ms",
        }

    async def _models(self, request: web.Request) -> web.Response:
        validation.check_key(request.headers.get("Authorization"), self._options.api_key)
        return web.json_response({"object": "list", "data": [_described(m) for m in _names()]})

    async def _model(self, request: web.Request) -> web.Response:
        validation.check_key(request.headers.get("Authorization"), self._options.api_key)
        name = request.match_info["name"]
        if name not in _names():
            raise ApiError(
                404, f"The model '{name}' does not exist", param="model", code="model_not_found"
            )
        return web.json_response(_described(name))

    # --- /_mock ---

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"status": "ok"})

    async def _reset(self, request: web.Request) -> web.Response:
        self._room(request).clear()
        return web.json_response({})

    async def _requests(self, request: web.Request) -> web.Response:
        return web.json_response(self._room(request).counts())

    async def _fault(self, request: web.Request) -> web.Response:
        body = await _json_of(request)
        try:
            self._room(request).script = faults.Script(body)
        except (ValueError, TypeError, AttributeError) as err:
            raise bad_request(f"This is not a script of faults: {err}") from err
        return web.json_response({})

    # --- errors ---

    @web.middleware
    async def _errors(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's own Handler is not exported
        request_id = f"req_{next(self._ids):032x}"
        status = "dropped"  # what is counted if the client goes away
        try:
            answer: web.StreamResponse = await handler(request)
            status = str(answer.status)
        except ApiError as err:
            status = str(err.status)
            answer = web.json_response(err.body(), status=err.status, headers=err.headers)
        except web.HTTPException as err:
            status = str(err.status)
            answer = web.json_response(_unknown(request, err).body(), status=err.status)
        finally:
            if request.path.endswith(COMPLETIONS):
                self._room(request).statuses[status] += 1
        answer.headers["x-request-id"] = request_id
        return answer


async def _json_of(request: web.Request) -> Any:  # noqa: ANN401 - a request may hold anything
    try:
        body = json.loads(await request.text(), parse_constant=_no_constant)
        json.dumps(body, ensure_ascii=False).encode()  # fails at a lone surrogate
        return body  # noqa: TRY300 - an else would have to repeat the type
    except (ValueError, RecursionError, LookupError) as err:  # LookupError: an unknown charset
        raise bad_request(
            "We could not parse the JSON body of your request. The OpenAI API expects a JSON"
            f" payload, but what was sent was not valid JSON: {err}"
        ) from err


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _unknown(request: web.Request, err: web.HTTPException) -> ApiError:
    """Return the error for what no handler serves."""
    if err.status == HTTPStatus.METHOD_NOT_ALLOWED:
        return ApiError(
            405,
            f"Not allowed to {request.method} on {request.path} (HINT: Perhaps you meant to use a"
            " different HTTP method?)",
            code="method_not_supported",
        )
    if err.status == HTTPStatus.NOT_FOUND:
        return ApiError(404, f"Invalid URL ({request.method} {request.path})")
    return ApiError(err.status, err.reason)


def _reset_connection(request: web.Request) -> None:
    transport = request.transport
    if transport is None:
        return
    connection = transport.get_extra_info("socket")
    # Linger of zero seconds: closing sends a reset in place of a polite end.
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


def _names() -> list[str]:
    return sorted({*validation.MODELS, *validation.MODELS.values()})


def _described(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}
