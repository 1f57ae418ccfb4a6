"""Labelling against a real HTTP endpoint that misbehaves in every scripted way."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import pytest
from pydantic import SecretStr

from reviewstream.adapters.openai.chat_completions import OpenAIChat
from reviewstream.app import label_policy
from reviewstream.core.labelling.labeller import Labeller
from reviewstream.core.labelling.prompts import PROMPT_VERSIONS
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.parsing import parse_review
from reviewstream.core.records.reviews import (
    LabelledReview,
    Origin,
    Reason,
    RejectedReview,
    Review,
    Sentiment,
)
from reviewstream.errors import FatalError
from reviewstream.settings import OpenAISettings
from reviewstream.testing import FakeClock, NoLedger, NoLimit
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from tests.asked import of_users
from tests.injections import INJECTIONS

pytestmark = pytest.mark.model

FAULTS: list[str | dict[str, Any]] = [
    *("rate_429", "500", "503", "reset", "hang", "truncated_json", "html", "empty_choices"),
    *("refusal", "length", "off_list_label", "wrong_id", "missing_id", "extra_id", "400"),
    {"kind": "slow", "seconds": 0.05},
]


def _reviews(*texts: str) -> list[tuple[Review, Origin]]:
    moment = datetime(2020, 1, 1, tzinfo=UTC)
    return [
        (
            Review(
                review_id=f"r{n}",
                user_id="u",
                business_id="b",
                stars=3.0,
                text=text,
                written_at=moment,
            ),
            Origin(source="s", offset=n),
        )
        for n, text in enumerate(texts)
    ]


@pytest.fixture
def endpoint(openai_endpoint: OpenAIEndpoint) -> Iterator[OpenAIEndpoint]:
    openai_endpoint.reset()
    yield openai_endpoint
    openai_endpoint.reset()


@pytest.fixture(params=[1, 7], ids=["single", "packs"])
def pack(request: pytest.FixtureRequest) -> int:
    size: int = request.param
    return size


@pytest.fixture
def settings(endpoint: OpenAIEndpoint, pack: int) -> OpenAISettings:
    return OpenAISettings(
        base_url=endpoint.base_url,
        api_key=SecretStr(endpoint.api_key),
        timeout=5.0,
        concurrency=8,
        pack=pack,
        max_attempts=4,
    )


@pytest.fixture
async def labeller(settings: OpenAISettings) -> AsyncIterator[Labeller]:
    model = OpenAIChat.connect(settings)
    yield Labeller(model, NoLedger(), NoLimit(), FakeClock(), label_policy(settings))
    await model.aclose()


@pytest.mark.anyio
async def test_with_a_third_of_all_requests_failing_no_review_is_lost(
    labeller: Labeller, endpoint: OpenAIEndpoint, settings: OpenAISettings
) -> None:
    endpoint.fault(rate=0.33, faults=FAULTS, seed=1)
    reviews = _reviews(*(f"Review {number}: lovely" for number in range(150)))
    outcomes = await labeller.label(reviews)

    assert [one.origin for one in outcomes] == [origin for _, origin in reviews]
    rejected = [one for one in outcomes if isinstance(one, RejectedReview)]
    assert len(rejected) < 50
    assert all(parse_review(one.raw) == Ok(reviews[one.origin.offset][0]) for one in rejected)
    if settings.pack == 1:  # in packs a review is spoilt by bad luck on every level, or not at all
        assert {one.reason for one in rejected} >= {Reason.MODEL_BAD_REQUEST}
    seen = endpoint.requests()
    assert len(of_users(seen["reviews"])) == len(reviews)
    assert seen["peak_in_flight"] <= settings.concurrency
    for one in outcomes:
        text = reviews[one.origin.offset][0].text
        attempts = one.provenance.attempts if isinstance(one, LabelledReview) else one.attempts
        assert seen["reviews"][sha256(text.encode()).hexdigest()] == attempts


@pytest.mark.anyio
@pytest.mark.parametrize("fault", ["quota_429", "401"])
async def test_a_spent_quota_or_a_refused_key_stops_after_what_is_in_flight(
    labeller: Labeller, endpoint: OpenAIEndpoint, settings: OpenAISettings, fault: str
) -> None:
    endpoint.fault({"kind": fault, "times": 1_000})
    with pytest.raises(FatalError):
        await labeller.label(_reviews(*(f"Review {number}" for number in range(100))))
    assert endpoint.requests()["requests"] <= 2 * settings.concurrency


@pytest.mark.anyio
async def test_an_endpoint_that_is_killed_and_comes_back_costs_no_review(
    settings: OpenAISettings,
) -> None:
    with OpenAIEndpoint() as endpoint:

        class Reviving(FakeClock):
            async def sleep(self, seconds: float) -> None:
                await super().sleep(seconds)
                if len(self.sleeps) == 1:
                    endpoint.restart()

        endpoint.kill()
        mine = settings.model_copy(update={"base_url": endpoint.base_url, "concurrency": 1})
        model = OpenAIChat.connect(mine)
        labeller = Labeller(model, NoLedger(), NoLimit(), Reviving(), label_policy(mine))
        (outcome,) = await labeller.label(_reviews("lovely"))
        await model.aclose()
    assert isinstance(outcome, LabelledReview)
    assert outcome.provenance.attempts == 2


@pytest.mark.anyio
@pytest.mark.parametrize("version", PROMPT_VERSIONS)
async def test_every_injection_is_labelled_like_any_other_text_and_so_are_its_neighbours(
    settings: OpenAISettings, version: int
) -> None:
    mine = settings.model_copy(update={"prompt_version": version})
    model = OpenAIChat.connect(mine)
    labeller = Labeller(model, NoLedger(), NoLimit(), FakeClock(), label_policy(mine))
    # Each between two neighbours, whose texts are their own: the same text is asked about once.
    texts = [
        text
        for number, injection in enumerate(INJECTIONS.values())
        for text in (f"{number}: lovely", injection, f"{number}: horrible")
    ]
    outcomes = await labeller.label(_reviews(*texts))
    await model.aclose()
    assert [one.origin.offset for one in outcomes] == list(range(len(texts)))
    for text, outcome in zip(texts, outcomes, strict=True):
        assert isinstance(outcome, LabelledReview), text
        assert (outcome.text, outcome.provenance.prompt_version) == (text, version)
    labels = [one.sentiment for one in outcomes if isinstance(one, LabelledReview)]
    assert set(labels[0::3]) == {"POSITIVE"}
    assert set(labels[2::3]) == {"NEGATIVE"}
    assert set(labels[1::3]) <= set(Sentiment)
