"""Handling of one completion request, from its bytes to its response."""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from reviewstream_testbed.mock_openai import (
    answering,
    completions,
    fault_kinds,
    prompt_reviews,
    rate_answers,
    script,
    sending,
    validation,
)
from reviewstream_testbed.mock_openai.bill import DROPPED, WHOLE, Entry
from reviewstream_testbed.mock_openai.error_bodies import ApiError
from reviewstream_testbed.mock_openai.model_rules import family_in
from reviewstream_testbed.mock_openai.payload import json_of
from reviewstream_testbed.mock_openai.tenant import Tenant

if TYPE_CHECKING:
    from collections.abc import Iterator

TOO_MANY: Final = 429
BESIDE: Final = 1_000  # hidden tokens of the fault `usage_beside`
_STANDARD: Final = Fraction(1)
# Deliveries in which the client receives only a part of the response.
_PARTS: Final = ("cut", "stall", "truncated_json", "stream_error")


class CompletionHandler:
    """A handler for one completion request.

    Args:
        request: The HTTP request.
        tenant: Tenant of the client.
    """

    def __init__(self, request: web.Request, tenant: Tenant) -> None:
        self._request = request
        self._tenant = tenant
        self._options = tenant.options
        self._dialect = tenant.dialect
        self._bill = tenant.bill  # a reset meanwhile replaces the tenant's bill
        self._tokens = 0
        self._model = ""
        self._fault = script.NONE

    async def answer(self) -> web.StreamResponse:
        """Send an answer, an error or a fault."""
        try:
            self._check_key()
        except ApiError as err:  # an unknown client gets no limit headers
            return self._refused(err, {})
        try:
            return await self._answered()
        except ApiError as err:
            return self._refused(err, self._headers())

    def _check_key(self) -> None:
        given = self._request.headers.get("Authorization")
        azure = self._request.headers.get("api-key")
        if azure is not None and self._dialect.name == "azure":
            given = f"Bearer {azure}"
        validation.check_key(given, self._options.api_key, self._dialect)

    async def _answered(self) -> web.StreamResponse:
        tenant = self._tenant
        body = await self._read()
        reserved = self._tokens + completions.most_tokens(body)
        self._admit(reserved)
        asked = prompt_reviews.reviews_of(body["messages"])
        tenant.asked.update(_digest(one.text) for one in asked)
        self._fault = self._next_fault(body)
        kind = self._fault.kind
        broken = await self._broken(is_stream=bool(body.get("stream")))
        if broken is not None:
            return broken
        completion = self._completion(body, asked)
        tenant.prompt_tokens += self._tokens
        tenant.completion_tokens += completion.tokens.completion
        used = self._tokens + completion.tokens.completion
        tenant.allowance.settle(reserved, used, _now())
        with self._billed(completion, body):
            await self._wait()
            if body.get("stream"):
                return await self._streamed(completion, body.get("stream_options") or {}, kind)
            return await self._whole(completion, kind)

    async def _read(self) -> dict[str, Any]:
        """Return the parsed request.

        Raises:
            ApiError: The request is refused.
        """
        sent = await json_of(self._request)
        self._model = str(sent.get("model", "")) if isinstance(sent, dict) else ""
        body = validation.check_request(sent, self._dialect, self._options.models)
        self._tokens = prompt_reviews.prompt_tokens(body["messages"])
        validation.check_context(self._tokens)
        return body

    def _completion(
        self, body: Mapping[str, Any], asked: Sequence[prompt_reviews.PromptReview]
    ) -> completions.Completion:
        fault = self._fault.kind
        answer = answering.answer_of(body, asked, self._tenant.judge)
        hidden = max(self._hidden(body, len(asked)), BESIDE if fault == "usage_beside" else 0)
        return completions.Completion(
            body,
            completions.said(body, answer, fault, hidden),
            prompt=self._tokens,
            cached_share=self._options.cached_share,
            dialect=self._dialect,
            fault=fault,
        )

    def _hidden(self, body: Mapping[str, Any], count: int) -> int:
        """Return the number of hidden tokens for this number of reviews."""
        family = family_in(body, self._dialect)
        effort = body.get("reasoning_effort")
        is_heeded = self._options.effort == "honoured"
        percent = family.percent(effort) if is_heeded else 100 * family.reasons
        return self._options.hidden_tokens * count * percent // 100

    def _admit(self, tokens: int) -> None:
        refusal = self._tenant.allowance.admit(tokens, _now())
        if refusal is not None:
            self._tenant.limited[refusal.reason] += 1
            raise rate_answers.refused(refusal, self._model)

    def _next_fault(self, body: Mapping[str, Any]) -> script.ScriptedFault:
        fault = self._tenant.script.next("\n".join(map(prompt_reviews.text_of, body["messages"])))
        if fault is None:
            return script.NONE
        self._tenant.met[fault.kind] += 1
        kind = self._dialect.instead.get(fault.kind, fault.kind)
        return fault._replace(kind=kind)

    # --- responses that cost nothing ---

    async def _broken(self, *, is_stream: bool) -> web.StreamResponse | None:
        """Send a fault in place of an answer; return None if the fault still needs an answer."""
        fault = self._fault
        kind = "500" if fault.kind == "stream_error" and not is_stream else fault.kind
        found = fault_kinds.KINDS[kind]
        error = script.error_of(fault._replace(kind=kind), clock=time.time())
        is_none = error is None and found.page is None and found.body is None
        if is_none and kind not in {"reset", *sending.HUGE}:
            return None
        await asyncio.sleep(self._options.latency)
        if error is not None:
            if error.status == TOO_MANY:
                self._tenant.limited[fault.kind] += 1
            raise error
        status = found.page.status if found.page else found.status
        self._bill.refuse(self._model, None if kind == "reset" else status, fault.kind)
        if found.page is not None:
            return web.Response(status=status, text=found.page.text(), content_type="text/html")
        if found.body is not None:
            return web.json_response(found.body, status=status, headers=self._headers())
        if kind == "reset":
            return sending.reset(self._request)
        return await sending.huge(self._request, self._headers(), how=kind)

    def _refused(self, error: ApiError, headers: Mapping[str, str]) -> web.Response:
        said = self._dialect.worded(error, self._model)
        fault = "" if self._fault is script.NONE else self._fault.kind
        self._bill.refuse(self._model, said.status, fault)
        told = {**headers, **said.headers}
        return web.json_response(self._dialect.shape(said), status=said.status, headers=told)

    # --- billed responses ---

    @contextmanager
    def _billed(
        self, completion: completions.Completion, body: Mapping[str, Any]
    ) -> "Iterator[None]":
        """Bill an answer, send it and record its delivery."""
        fault = self._fault.kind
        entry = self._add(completion)
        delivery = "hang" if fault == "hang" else DROPPED
        try:
            yield
            delivery = fault if fault in _PARTS else WHOLE
        finally:
            if fault in {"cut", "stall"} and delivery == DROPPED:
                delivery = fault
            is_told = not body.get("stream") or bool(
                (body.get("stream_options") or {}).get("include_usage")
            )
            told = delivery == WHOLE and is_told and fault not in completions.UNTRUE
            self._bill.close(entry, delivery, told=told)

    def _add(self, completion: completions.Completion) -> Entry:
        fault = "" if self._fault is script.NONE else self._fault.kind
        cost = self._cost(completion)
        completion.cost = cost
        return self._bill.add(self._model, completion.tier, completion.tokens, cost or 0, fault)

    def _cost(self, completion: completions.Completion) -> int | None:
        """Return the cost of an answer in micro-dollars, or None without prices."""
        prices, tokens = self._options.prices, completion.tokens
        flex = self._dialect.flex if completion.tier == "flex" else None
        factor = _STANDARD if flex is None else flex
        if prices is None:
            return None
        return prices.cost(tokens.prompt, tokens.cached, tokens.completion, factor)

    async def _wait(self) -> None:
        await asyncio.sleep(self._options.latency)
        if self._fault.kind == "slow":
            await asyncio.sleep(self._fault.seconds)
        if self._fault.kind == "hang":
            await asyncio.Event().wait()

    async def _whole(self, completion: completions.Completion, fault: str) -> web.StreamResponse:
        payload = json.dumps(completion.whole(), ensure_ascii=False).encode()
        if fault in sending.BREAKS:
            return await sending.broken_off(self._request, payload, self._headers(), how=fault)
        if fault == "truncated_json":
            payload = payload[: len(payload) // 2]
        if fault == "blanks":
            payload = sending.BLANKS + payload
        return web.Response(body=payload, content_type=sending.JSON, headers=self._headers())

    async def _streamed(
        self, completion: completions.Completion, options: Mapping[str, Any], fault: str
    ) -> web.StreamResponse:
        events = sending.events(completion, options, fault)
        return await sending.streamed(self._request, events, self._headers(), how=fault)

    def _headers(self) -> dict[str, str]:
        """Return the headers of every API response, with the current limits."""
        allowance = self._tenant.allowance
        standings = allowance.standings(self._tokens, _now())
        limits = rate_answers.headers(standings, self._dialect.limits, allowance.admitted)
        odd = rate_answers.ODD if self._fault.kind == "odd_limits" else {}
        told = {
            "openai-organization": rate_answers.ORGANIZATION,
            "openai-processing-ms": f"{self._options.latency * 1000:.0f}",
            "openai-version": "2020-10-01",
        }
        return {**(told if self._dialect.has_model_rules else {}), **limits, **odd}


def _now() -> float:
    return asyncio.get_running_loop().time()


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()
