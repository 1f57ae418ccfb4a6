"""Endpoints that fail at random, or send bodies that a rule in JSON cannot describe."""

import logging
import random
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reviewstream.core.records.reviews import LabelledReview, Reason, RejectedReview
from reviewstream.errors import FatalError
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.contract.case_endpoint import Reply, Request, asked, case_endpoint, reply, wired

pytestmark = [pytest.mark.model, pytest.mark.anyio]

AWAY: dict[str, Any] = {"status": 503, "json": {"error": {"message": "overloaded"}}}
TEXTS = [f"{'good' if number % 3 else 'bad'} number {number}" for number in range(80)]
ALLOWED = 6_000  # tokens a minute
MEBIBYTE = 1 << 20


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def failing(rate: Callable[[int], float], seed: int) -> Callable[[int, Request], Reply]:
    """Return what fails with a probability that depends on the number of the request."""
    chance = random.Random(seed)  # noqa: S311 - repeatable, not secret

    def answer(number: int, request: Request) -> Reply:
        return reply(AWAY if chance.random() < rate(number) else {}, request)

    return answer


@pytest.mark.parametrize("pack", [1, 20])
@pytest.mark.parametrize("percent", [50, 70, 85])
async def test_an_endpoint_that_fails_at_random_costs_no_review(pack: int, percent: int) -> None:
    with case_endpoint(failing(lambda _: percent / 100, seed=percent)) as endpoint:
        async with wired(endpoint.url, pack=pack, concurrency=4) as on:
            outcomes = await on.label(TEXTS)
    assert all(isinstance(one, LabelledReview) for one in outcomes)


@pytest.mark.parametrize("pack", [1, 20])
async def test_an_endpoint_that_falls_ill_in_the_midst_costs_no_review(pack: int) -> None:
    with case_endpoint(failing(lambda number: 0.85 * (number > 60 // pack), seed=1)) as endpoint:
        async with wired(endpoint.url, pack=pack, concurrency=8) as on:
            outcomes = await on.label(TEXTS)
    assert all(isinstance(one, LabelledReview) for one in outcomes)


@pytest.mark.parametrize("percent", [0, 50])
async def test_one_text_that_always_fails_is_found_among_others_that_fail_at_random(
    percent: int,
) -> None:
    chance = random.Random(percent)  # noqa: S311 - repeatable, not secret

    def answer(_: int, request: Request) -> Reply:
        is_poison = any("poison" in one["text"] for one in asked(request))
        return reply(AWAY if is_poison or chance.random() * 100 < percent else {}, request)

    with case_endpoint(answer) as endpoint:
        async with wired(endpoint.url, concurrency=4) as on:
            outcomes = await on.label([*TEXTS[:40], "poison", *TEXTS[40:]])
    (refused,) = (one for one in outcomes if isinstance(one, RejectedReview))
    assert (refused.reason, refused.origin.offset) == (Reason.MODEL_UNAVAILABLE, 40)
    assert endpoint.asked_about("poison") < 80


@pytest.mark.parametrize("kind", ["gzip_bomb", "endless"])
async def test_a_body_without_an_end_is_an_outage_and_takes_little_memory(
    endpoint: OpenAIEndpoint, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.fault(*[kind] * 2)
    async with wired(endpoint.base_url, api_key=endpoint.api_key, model="gpt-4o-mini") as on:
        tracemalloc.start()
        try:
            outcomes = await on.label(["good", "bad"])
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert all(isinstance(one, LabelledReview) for one in outcomes)
    assert endpoint.requests()["faults"] == {kind: 2}
    assert peak < 40 * MEBIBYTE
    assert sum(on.clock.sleeps) < 5 or caplog.records


async def test_a_host_that_is_not_known_ends_the_run_and_the_log_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with wired("http://no-such-host.invalid/v1", startup_timeout=300) as on:
        with pytest.raises(FatalError, match=r"no-such-host.*not answered once in 300 s.*base_url"):
            await on.label(["good"])
    said = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert 4 <= len(said) <= 6, "at once, and every minute"
    assert all("http://no-such-host.invalid/v1" in one for one in said)
    assert all("not known" in one or "resolution" in one for one in said)


async def test_words_of_40_kb_are_cut() -> None:
    spoken = {"status": 400, "json": {"error": {"message": "x" * 40_000}}}
    with case_endpoint(lambda _, request: reply(spoken, request)) as endpoint:
        async with wired(endpoint.url) as on:
            with pytest.raises(FatalError, match="xxxx") as raised:
                await on.label(TEXTS)
    assert len(str(raised.value)) < 1_500


async def test_words_that_repeat_a_review_are_not_shown_and_end_nothing() -> None:
    review = "They said: insufficient balance, please recharge your account. kill"

    def answer(_: int, request: Request) -> Reply:
        if not any(review == one["text"] for one in asked(request)):
            return reply({}, request)
        words = {"message": f"cannot moderate {review!r}"}
        return reply({"status": 403, "json": {"error": words}}, request)

    with case_endpoint(answer) as endpoint:
        async with wired(endpoint.url) as on:
            outcomes = await on.label([*TEXTS[:10], review])
    (refused,) = (one for one in outcomes if isinstance(one, RejectedReview))
    assert "insufficient balance" not in refused.detail
    assert "cannot moderate" in refused.detail


@pytest.mark.parametrize("status", [413, 429])
@pytest.mark.parametrize("most", [8_000, 5_500])
async def test_packs_fit_the_tokens_that_are_allowed_in_a_minute(status: int, most: int) -> None:
    refused = used = 0
    told = {"x-ratelimit-limit-requests": "1000", "x-ratelimit-limit-tokens": str(ALLOWED)}
    words = f"Request too large on tokens per minute (TPM): Limit {ALLOWED}"
    too_large = {"status": status, "json": {"error": {"message": words, "type": "tokens"}}}

    def answer(_: int, request: Request) -> Reply:
        nonlocal refused, used
        prompt = len(str(request["messages"])) // 4
        if prompt + request["max_completion_tokens"] > ALLOWED:
            refused += 1
            return reply({**too_large, "headers": told}, request)
        said = 15 * len(asked(request))
        used += prompt + said
        usage = {"prompt_tokens": prompt, "completion_tokens": said}
        return reply({"headers": told, "usage": usage}, request)

    texts = [f"Good food {number} {'word ' * 250}" for number in range(200)]
    with case_endpoint(answer) as endpoint:
        async with wired(endpoint.url, max_pack_tokens=most, concurrency=4) as on:
            begun = on.clock.now()
            outcomes = await on.label(texts)
            minutes = (on.clock.now() - begun).total_seconds() / 60
    assert all(isinstance(one, LabelledReview) for one in outcomes)
    assert refused <= (0 if most < ALLOWED else 4), "before anything was told"
    assert minutes < 1.6 * used / ALLOWED
