"""A plan, and what the run then asks of a real HTTP endpoint: they differ by a tenth at most."""

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import chain

import pytest
from pydantic import SecretStr

from reviewstream.adapters.openai.chat_completions import OpenAIChat
from reviewstream.app import label_policy
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.labelling.planning import AnswerTokens, Plan, Planner, answer_tokens
from reviewstream.core.labelling.ports import LabelLedger
from reviewstream.core.labelling.prompts import PROMPT_VERSION, PROMPT_VERSIONS
from reviewstream.core.records.batches import batches
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.parsing import parse_review
from reviewstream.core.records.reviews import LabelledReview, Origin, RejectedReview, Review
from reviewstream.core.transport.framing import Line
from reviewstream.samples import expand
from reviewstream.settings import OpenAISettings
from reviewstream.testing import FakeClock, MemoryLedger, NoLedger, NoLimit
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users

pytestmark = pytest.mark.model

READ = {"max_rows": 500, "partitions": 2}
TOLERANCE = 0.1
BAD = [b"{bad", b"", b"[]", b'{"review_id": 1}', b"   "]


def _file() -> list[bytes]:
    """Return reviews, some of them copies, with bad lines among them."""
    lines = [line.rstrip(b"\n") for line in expand(700, seed=11)]
    copies = [_renamed(line, number) for number, line in enumerate(lines[::7])]
    return list(chain.from_iterable(zip(lines, [*copies, *BAD] * 7, strict=False)))


def _renamed(line: bytes, number: int) -> bytes:
    return json.dumps(json.loads(line) | {"review_id": f"copy-{number}"}).encode()


FILE = _file()


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


def _settings(
    endpoint: OpenAIEndpoint, *, pack: int, prompt_version: int = PROMPT_VERSION
) -> OpenAISettings:
    return OpenAISettings(
        base_url=endpoint.base_url,
        api_key=SecretStr(endpoint.api_key),
        concurrency=4,
        pack=pack,
        prompt_version=prompt_version,
    )


def _plan(policy: LabelPolicy, ledger: LabelLedger, answers: AnswerTokens, *, memory: bool) -> Plan:
    lines = [Line(number, data) for number, data in enumerate(FILE)]
    return Planner(policy, ledger, answers, remembers=memory).plan(lines, **READ)


@asynccontextmanager
async def _labeller(settings: OpenAISettings, ledger: LabelLedger) -> AsyncIterator[Labeller]:
    model = OpenAIChat.connect(settings)
    yield Labeller(model, ledger, NoLimit(), FakeClock(), label_policy(settings))
    await model.aclose()


async def _run(
    settings: OpenAISettings, ledger: LabelLedger, lines: list[bytes] = FILE
) -> list[LabelledReview | RejectedReview]:
    """Label a file as Spark's tasks do, one after the other."""
    outcomes: list[LabelledReview | RejectedReview] = []
    async with _labeller(settings, ledger) as labeller:
        for task in batches((line for line in lines if line.strip()), 250):
            for rows in batches(task, settings.pack * settings.concurrency):
                outcomes += await labeller.label(_reviews(rows))
    return outcomes


def _reviews(rows: list[bytes]) -> list[tuple[Review, Origin]]:
    parsed = [parse_review(line) for line in rows]
    return [(one.value, Origin(source="s", offset=0)) for one in parsed if isinstance(one, Ok)]


def _check(
    plan: Plan, endpoint: OpenAIEndpoint, outcomes: list[LabelledReview | RejectedReview]
) -> None:
    seen = endpoint.requests()
    paid = sum(
        one.provenance.cost_micro_usd
        for one in outcomes
        if isinstance(one, LabelledReview) and not one.provenance.from_ledger
    )
    assert plan.to_ask == of_users(seen["reviews"]).total()
    assert plan.requests == seen["requests"]
    assert plan.prompt_tokens == pytest.approx(seen["prompt_tokens"], rel=0.001)
    assert plan.completion_tokens == pytest.approx(seen["completion_tokens"], rel=TOLERANCE)
    assert plan.tokens == pytest.approx(
        seen["prompt_tokens"] + seen["completion_tokens"], rel=TOLERANCE
    )
    assert plan.cost_micro_usd == pytest.approx(paid, rel=TOLERANCE)
    assert plan.lines == plan.bad_lines + len(outcomes)
    assert plan.lines == plan.bad_lines + plan.copies + plan.in_ledger + plan.to_ask


@pytest.mark.anyio
@pytest.mark.parametrize("version", PROMPT_VERSIONS)
@pytest.mark.parametrize("pack", [1, 20])
async def test_a_run_takes_what_was_planned(
    endpoint: OpenAIEndpoint, pack: int, version: int
) -> None:
    settings, ledger = _settings(endpoint, pack=pack, prompt_version=version), MemoryLedger()
    policy = label_policy(settings)
    plan = _plan(policy, ledger, answer_tokens(ledger, policy), memory=True)
    assert plan.copies > 50
    assert plan.bad_lines > 5
    assert endpoint.requests()["requests"] == 0
    _check(plan, endpoint, await _run(settings, ledger))


@pytest.mark.anyio
@pytest.mark.parametrize("pack", [1, 20])
async def test_what_the_ledger_knows_is_not_planned_and_says_what_an_answer_takes(
    endpoint: OpenAIEndpoint, pack: int
) -> None:
    settings, ledger = _settings(endpoint, pack=pack), MemoryLedger()
    policy = label_policy(settings)
    await _run(settings, ledger, FILE[:400])
    bought = len(ledger.labels)
    endpoint.reset()
    answers = answer_tokens(ledger, policy)
    assert answers.labels == bought
    plan = _plan(policy, ledger, answers, memory=True)
    assert plan.in_ledger == bought
    _check(plan, endpoint, await _run(settings, ledger))


@pytest.mark.anyio
async def test_without_a_ledger_a_copy_is_asked_about_again_unless_it_is_near(
    endpoint: OpenAIEndpoint,
) -> None:
    settings = _settings(endpoint, pack=20)
    policy = label_policy(settings)
    plan = _plan(policy, NoLedger(), answer_tokens(None, policy), memory=False)
    assert plan.copies > 0
    _check(plan, endpoint, await _run(settings, NoLedger()))
