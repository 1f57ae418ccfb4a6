"""The HTTP server: OpenAI's API below `/v1`, control routes for tests below `/_mock`."""

import asyncio
import itertools
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final, TypeVar

from aiohttp import web

from reviewstream_testbed.mock_openai import models, validation
from reviewstream_testbed.mock_openai.answering import JUDGES, Judge
from reviewstream_testbed.mock_openai.dialect_table import dialect_of
from reviewstream_testbed.mock_openai.error_bodies import ApiError, bad_request
from reviewstream_testbed.mock_openai.handler import CompletionHandler
from reviewstream_testbed.mock_openai.mock_options import Options, with_changes
from reviewstream_testbed.mock_openai.payload import json_of
from reviewstream_testbed.mock_openai.rate_limits import limits_of
from reviewstream_testbed.mock_openai.recorder import Recorder
from reviewstream_testbed.mock_openai.script import Script
from reviewstream_testbed.mock_openai.tenant import Tenant

COMPLETIONS: Final = "/v1/chat/completions"
TENANTS: Final = (
    "/tenants/{tenant}"  # the same routes per tenant, to isolate clients from each other's faults
)
MAX_BODY: Final = 16 << 20  # bytes
CREATED: Final = 1_721_172_741  # creation time of the models in `/v1/models`
Read = TypeVar("Read")


class MockEndpoint:
    """The state and handlers of one server."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._ids = itertools.count(1)
        self._tenants: dict[str, Tenant] = {}
        self._recorder = Recorder(options.recording) if options.recording else None

    def application(self) -> web.Application:
        """Return the aiohttp application."""
        app = web.Application(client_max_size=MAX_BODY, middlewares=[self._errors])
        app.on_response_prepare.append(self._name)
        if self._recorder is not None:
            app.on_cleanup.append(self._recorder.close)
        for tenant in ("", TENANTS):
            app.add_routes(
                [
                    web.post(f"{tenant}{COMPLETIONS}", self._complete),
                    web.get(f"{tenant}/v1/models", self._models),
                    web.get(f"{tenant}/v1/models/{{name}}", self._model),
                    web.get(f"{tenant}/_mock/health", self._health),
                    web.post(f"{tenant}/_mock/reset", self._reset),
                    web.get(f"{tenant}/_mock/requests", self._requests),
                    web.post(f"{tenant}/_mock/fault", self._fault),
                    web.post(f"{tenant}/_mock/limits", self._limits),
                    web.post(f"{tenant}/_mock/judge", self._judge),
                    web.post(f"{tenant}/_mock/dialect", self._dialect),
                    web.post(f"{tenant}/_mock/options", self._change),
                    web.get(f"{tenant}/_mock/bill", self._bill),
                ]
            )
        return app

    def _tenant(self, request: web.Request) -> Tenant:
        name = request.match_info.get("tenant", "")
        if name not in self._tenants:
            self._tenants[name] = Tenant(self._options, _now())
        return self._tenants[name]

    # --- /v1 ---

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        tenant = self._tenant(request)
        tenant.in_flight += 1
        tenant.peak = max(tenant.peak, tenant.in_flight)
        try:
            if self._recorder is not None:
                return await self._recorder.answer(request, tenant)
            return await CompletionHandler(request, tenant).answer()
        finally:
            tenant.in_flight -= 1

    async def _models(self, request: web.Request) -> web.Response:
        tenant = self._known(request)
        data = [_described(name) for name in _names(tenant)]
        return web.json_response({"object": "list", "data": data})

    async def _model(self, request: web.Request) -> web.Response:
        tenant = self._known(request)
        name = request.match_info["name"]
        if tenant.dialect.knows_models and name not in _names(tenant):
            raise ApiError(
                404, f"The model '{name}' does not exist", param="model", code="model_not_found"
            )
        return web.json_response(_described(name))

    def _known(self, request: web.Request) -> Tenant:
        """Return the tenant of a request; refuse an unknown key."""
        tenant = self._tenant(request)
        given = request.headers.get("Authorization")
        validation.check_key(given, tenant.options.api_key, tenant.dialect)
        return tenant

    # --- /_mock ---

    async def _health(self, request: web.Request) -> web.Response:
        del request
        return web.json_response({"status": "ok"})

    async def _reset(self, request: web.Request) -> web.Response:
        self._tenant(request).clear(_now())
        if self._recorder is not None:
            self._recorder.rewind()
        return web.json_response({})

    async def _requests(self, request: web.Request) -> web.Response:
        return web.json_response(self._tenant(request).counts())

    async def _fault(self, request: web.Request) -> web.Response:
        script = _understood(Script, await json_of(request), "a script of faults")
        self._tenant(request).script = script
        return web.json_response({})

    async def _limits(self, request: web.Request) -> web.Response:
        limits = _understood(limits_of, await json_of(request), "a set of limits")
        self._tenant(request).limit(limits, _now())
        return web.json_response(limits._asdict())

    async def _judge(self, request: web.Request) -> web.Response:
        judge = _understood(_judge_of, await json_of(request), "a judge")
        self._tenant(request).judge = judge
        return web.json_response({})

    async def _dialect(self, request: web.Request) -> web.Response:
        dialect = _understood(dialect_of, await json_of(request), "a dialect")
        self._tenant(request).dialect = dialect
        return web.json_response({"dialect": dialect.name})

    async def _change(self, request: web.Request) -> web.Response:
        tenant = self._tenant(request)
        fields = await json_of(request)
        changed = _understood(
            lambda it: with_changes(tenant.options, it), fields, "a set of options"
        )
        tenant.change(changed, _now())
        return web.json_response({})

    async def _bill(self, request: web.Request) -> web.Response:
        return web.json_response(self._tenant(request).bill.shown())

    # --- errors ---

    @web.middleware
    async def _errors(self, request: web.Request, handler: Any) -> web.StreamResponse:  # noqa: ANN401 - aiohttp's own Handler is not exported
        status = "dropped"  # counted if the client disconnects
        try:
            answer: web.StreamResponse = await handler(request)
            status = str(answer.status)
        except ApiError as err:
            answer = self._said(request, err)
            status = str(answer.status)
        except web.HTTPException as err:
            status = str(err.status)
            answer = web.json_response(_unknown(request, err).body(), status=err.status)
        finally:
            if request.path.endswith(COMPLETIONS):
                self._tenant(request).statuses[status] += 1
        return answer

    def _said(self, request: web.Request, err: ApiError) -> web.Response:
        """Return an error in the dialect's format; the control routes use OpenAI's."""
        if "/_mock/" in request.path or err.code == "cassette_miss":
            return web.json_response(err.body(), status=err.status, headers=err.headers)
        dialect = self._tenant(request).dialect
        said = dialect.worded(err)
        return web.json_response(dialect.shape(said), status=said.status, headers=said.headers)

    async def _name(self, request: web.Request, answer: web.StreamResponse) -> None:
        """Add an `x-request-id` header to each response; OpenAI's support asks for it."""
        del request
        answer.headers["x-request-id"] = f"req_{next(self._ids):032x}"


def _understood(read: Callable[[Any], Read], body: object, what: str) -> Read:
    try:
        return read(body)
    except (ValueError, TypeError, AttributeError) as err:
        raise bad_request(f"This is not {what}: {err}") from err


def _judge_of(body: Mapping[str, Any]) -> Judge:
    name = str(body.get("judge"))
    if name not in JUDGES:
        raise ValueError(f"there is no judge {name!r}; there are {', '.join(JUDGES)}")
    return JUDGES[name]


def _now() -> float:
    return asyncio.get_running_loop().time()


def _unknown(request: web.Request, err: web.HTTPException) -> ApiError:
    """Return the error for an unknown route or method."""
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


def _names(tenant: Tenant) -> list[str]:
    return sorted({*models.NAMES, *tenant.options.models})


def _described(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "system"}
