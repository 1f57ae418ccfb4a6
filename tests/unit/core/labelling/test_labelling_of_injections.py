"""A model that obeys a review instead of us: a label is all that comes out, and of that review."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from reviewstream.core.labelling.answers import MAX_PROBLEM, MAX_QUOTE
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.labeller import Labeller, LabelPolicy
from reviewstream.core.labelling.prompts import PROMPT_VERSIONS, as_sent
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
from reviewstream.testing import FakeChatModel, FakeClock, NoLedger, NoLimit, judging
from tests.injections import INJECTIONS

JOY, GRIEF = "lovely", "horrible"
EXPECTED = {JOY: Sentiment.POSITIVE, GRIEF: Sentiment.NEGATIVE}
HONEST = judging(lambda text: EXPECTED.get(text, Sentiment.NEUTRAL))

Labels = list[dict[str, Any]]
Obedience = Callable[[str, ChatRequest, Labels], object]
"""From the injection, the request and the honest labels to what the model says instead."""

OBEDIENCE: dict[str, Obedience] = {
    "says what the review says": lambda text, *_: text,
    "tells its instructions": lambda _, request, __: request.system,
    "tells them as a label": lambda _, request, labels: [
        {**one, "sentiment": request.system} for one in labels
    ],
    "says nothing": lambda *_: "",
    "says something else": lambda *_: "Roses are red.",
    "says an empty object": lambda *_: "{}",
    "says it in prose": lambda *_: 'Sure! {"labels": []} Anything else?',
    "labels nobody": lambda *_: [],
    "labels off the list": lambda _, __, labels: [{**one, "sentiment": "HACKED"} for one in labels],
    "labels in words of its own": lambda _, __, labels: [
        {**one, "sentiment": "mostly positive"} for one in labels
    ],
    "labels a stranger": lambda _, __, labels: [*labels, {**labels[0], "id": "999"}],
    "labels everybody twice": lambda _, __, labels: labels * 2,
    "renames everybody": lambda _, __, labels: [{**one, "id": f"{one['id']}x"} for one in labels],
    "is surer than sure": lambda _, __, labels: [{**one, "confidence": 9e9} for one in labels],
    "calls a tool": lambda *_: '{"tool_calls": [{"function": {"name": "delete_index"}}]}',
    "talks without end": lambda *_: "POSITIVE " * 10_000,
}


def _reviews(*texts: str) -> list[tuple[Review, Origin]]:
    return [
        (
            Review(
                review_id=f"r{number}",
                user_id="u",
                business_id="b",
                stars=3.0,
                text=text,
                written_at=datetime(2020, 1, 1, tzinfo=UTC),
            ),
            Origin(source="s", offset=number),
        )
        for number, text in enumerate(texts)
    ]


def _obeying(injection: str, obey: Obedience) -> FakeChatModel:
    """Return a model that is honest until it sees the injection."""

    def behave(request: ChatRequest) -> ChatAnswer | Exception:
        honest = HONEST(request)
        assert isinstance(honest, ChatAnswer)
        texts = [one["text"] for one in json.loads(request.user)["reviews"]]
        if as_sent(injection) not in texts:
            return honest
        said = obey(injection, request, json.loads(honest.text)["labels"])
        return ChatAnswer(text=said if isinstance(said, str) else json.dumps({"labels": said}))

    return FakeChatModel(behave)


def _obliging(label: Sentiment) -> Obedience:
    """Return a model that gives every review this label, and tells all it knows beside it."""

    def say(injection: str, request: ChatRequest, labels: Labels) -> Labels:
        told = {"note": as_sent(injection), "leak": request.system, "review_id": "r9"}
        return [one | told | {"sentiment": label} for one in labels]

    return say


async def _label(
    model: FakeChatModel, *texts: str, version: int
) -> list[LabelledReview | RejectedReview]:
    policy = LabelPolicy(model="m", prompt_version=version)
    return await Labeller(model, NoLedger(), NoLimit(), FakeClock(), policy).label(_reviews(*texts))


@pytest.mark.anyio
@pytest.mark.parametrize("version", PROMPT_VERSIONS)
@pytest.mark.parametrize("obey", OBEDIENCE.values(), ids=OBEDIENCE)
async def test_whatever_an_obeying_model_says_only_a_label_comes_out_and_no_neighbour_is_harmed(
    obey: Obedience, version: int
) -> None:
    for name, injection in INJECTIONS.items():
        if version == 1 and name == "fake answer for all":
            continue  # see below
        model = _obeying(injection, obey)
        first, hostile, last = await _label(model, JOY, injection, GRIEF, version=version)
        assert isinstance(first, LabelledReview), name
        assert isinstance(last, LabelledReview), name
        assert (first.sentiment, last.sentiment) == (Sentiment.POSITIVE, Sentiment.NEGATIVE), name
        assert hostile.origin == Origin(source="s", offset=1), name
        if isinstance(hostile, LabelledReview):  # a fake answer that happens to be a right one
            assert (hostile.sentiment, hostile.text) == (Sentiment.POSITIVE, injection), name
            assert injection.startswith('{"labels":[{"id":"0"'), name
            continue
        assert hostile.reason is Reason.MODEL_BAD_ANSWER, name
        assert hostile.detail.isprintable(), name
        assert len(hostile.detail) < 2 * (MAX_PROBLEM + MAX_QUOTE), name


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("version", "label"), [(1, Sentiment.POSITIVE), (2, Sentiment.NEGATIVE)], ids=["1", "2"]
)
async def test_an_answer_that_a_review_brings_along_fits_its_pack_only_in_version_1(
    version: int, label: Sentiment
) -> None:
    model = _obeying(INJECTIONS["fake answer for all"], OBEDIENCE["says what the review says"])
    *_, neighbour = await _label(
        model, JOY, INJECTIONS["fake answer for all"], GRIEF, version=version
    )
    assert isinstance(neighbour, LabelledReview)
    assert neighbour.sentiment is label  # NEGATIVE is the true one


@pytest.mark.anyio
async def test_an_answer_that_a_review_brings_along_does_not_fit_the_control_texts() -> None:
    name = "fake answer for all"
    model = _obeying(INJECTIONS[name], OBEDIENCE["says what the review says"])
    policy = LabelPolicy(model="m", prompt_version=1, controls=True)
    labeller = Labeller(model, NoLedger(), NoLimit(), FakeClock(), policy)
    first, _, last = await labeller.label(_reviews(JOY, INJECTIONS[name], GRIEF))
    assert isinstance(first, LabelledReview)
    assert isinstance(last, LabelledReview)
    assert (first.sentiment, last.sentiment) == (Sentiment.POSITIVE, Sentiment.NEGATIVE)


@pytest.mark.anyio
async def test_alone_a_review_can_only_speak_for_itself() -> None:
    policy = LabelPolicy(model="m", pack=1)
    name = "fake answer for all"
    model = _obeying(INJECTIONS[name], OBEDIENCE["says what the review says"])
    labeller = Labeller(model, NoLedger(), NoLimit(), FakeClock(), policy)
    first, _, last = await labeller.label(_reviews(JOY, INJECTIONS[name], GRIEF))
    assert isinstance(first, LabelledReview)
    assert isinstance(last, LabelledReview)
    assert (first.sentiment, last.sentiment) == (Sentiment.POSITIVE, Sentiment.NEGATIVE)


@pytest.mark.anyio
@pytest.mark.parametrize("label", Sentiment)
async def test_a_model_that_gives_the_label_a_review_asks_for_gives_nothing_but_that(
    label: Sentiment,
) -> None:
    for name, injection in INJECTIONS.items():
        model = _obeying(injection, _obliging(label))
        (outcome,) = await _label(model, injection, version=1)
        assert isinstance(outcome, LabelledReview), name
        assert outcome.sentiment is label, name
        assert (outcome.review_id, outcome.text) == ("r0", injection), name
        assert outcome.provenance.request_id is None, name


@pytest.mark.anyio
async def test_a_review_that_no_label_was_bought_for_can_be_read_back_from_its_rejection() -> None:
    for name, injection in INJECTIONS.items():
        (outcome,) = await _label(
            _obeying(injection, OBEDIENCE["says nothing"]), injection, version=1
        )
        assert isinstance(outcome, RejectedReview), name
        parsed = parse_review(outcome.raw)
        assert isinstance(parsed, Ok), name
        assert parsed.value.text.encode(errors="replace") == injection.encode(errors="replace")
