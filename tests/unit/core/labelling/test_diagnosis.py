"""Whose fault a refusal is: decided by a text of ours, and before anything is rejected."""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from reviewstream.core.labelling.chat import ChatAnswer, ChatOptions, ChatRequest
from reviewstream.core.labelling.circuit_breaker import Circuit
from reviewstream.core.labelling.controls import BAD
from reviewstream.core.labelling.diagnosis import REFUSALS, UNREADABLE, Diagnosis
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.health import Health
from reviewstream.core.labelling.labeller import Labeller
from reviewstream.core.labelling.limits.turns import Turns
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.probe import PROBE_TEXT, Probe
from reviewstream.core.labelling.rate_limited_model import RateLimitedModel
from reviewstream.core.labelling.shutdown import Shutdown
from reviewstream.core.labelling.wait_log import WaitLog
from reviewstream.core.records.reviews import LabelledReview, Reason, RejectedReview, Sentiment
from reviewstream.errors import (
    BadAnswerError,
    BudgetExceededError,
    CapacityError,
    FatalError,
    RateLimitError,
    RefusedError,
    TransientError,
)
from reviewstream.testing import FakeChatModel, FakeClock, NoLedger, NoLimit, judging
from tests.contract.case_endpoint import rows

Said = ChatAnswer | Exception

POLICY = LabelPolicy(model="m", endpoint="https://model.example/v1", controls=False)
SOUND = judging(lambda _: Sentiment.POSITIVE)
NO = RefusedError("HTTP 400: no")
SPOILT = ChatAnswer(text="[]", prompt_tokens=1, completion_tokens=1)
OPTIONS = POLICY.options


class Scene:
    """A diagnosis whose probes get the answers that are given, and sound ones after them."""

    def __init__(self, *answers: Said, auto: frozenset[str] = frozenset()) -> None:
        rest, shutdown, self.clock = iter(answers), Shutdown(), FakeClock()
        self.negotiation = Negotiation(OPTIONS, auto)
        self.model = FakeChatModel(lambda request: next(rest, None) or SOUND(request))
        turns = Turns(NoLimit(), shutdown)
        metered = partial(RateLimitedModel, self.model, turns, POLICY, self.negotiation)
        probe = Probe(metered, POLICY, self.negotiation, Health())
        circuit = Circuit(
            probe,
            self.clock,
            policy=POLICY,
            negotiation=self.negotiation,
            shutdown=shutdown,
            log=WaitLog(self.clock),
        )
        self.diagnosis = Diagnosis(circuit, probe, self.negotiation, POLICY)

    async def ask(self, options: ChatOptions = OPTIONS) -> bool:
        return await self.diagnosis.is_text_at_fault("HTTP 400: no", options)

    @property
    def probes(self) -> int:
        return len(self.model.requests)


@pytest.mark.anyio
async def test_a_probe_that_is_answered_blames_the_text() -> None:
    scene = Scene()
    assert await scene.ask()
    assert scene.probes == 1
    assert PROBE_TEXT in scene.model.requests[0].user


@pytest.mark.anyio
async def test_two_probes_decide_for_all_who_ask_at_once() -> None:
    scene = Scene()
    assert all(await asyncio.gather(*[scene.ask() for _ in range(50)]))
    assert scene.probes == 2, "one was sent before the refusals of the others came"


@pytest.mark.anyio
async def test_each_later_refusal_needs_a_newer_answer() -> None:
    scene = Scene()
    for number in range(1, 4):
        assert await scene.ask()
        assert scene.probes == number


@pytest.mark.anyio
async def test_what_was_sent_before_the_refusal_proves_nothing() -> None:
    scene = Scene()
    sent = scene.diagnosis.event()

    async def answered_meanwhile() -> None:
        scene.diagnosis.prove(sent)

    found, _ = await asyncio.gather(scene.ask(), answered_meanwhile())
    assert found
    assert scene.probes == 1


@pytest.mark.anyio
async def test_what_was_sent_after_the_refusal_saves_the_probe() -> None:
    scene = Scene(*[TransientError("HTTP 503")] * 2)

    async def answered_meanwhile() -> None:
        await asyncio.sleep(0)  # the refusal has come
        scene.diagnosis.prove(scene.diagnosis.event())

    found, _ = await asyncio.gather(scene.ask(), answered_meanwhile())
    assert found
    assert scene.probes == 1, "the one that was under way"


@pytest.mark.anyio
@pytest.mark.parametrize(
    "busy",
    [TransientError("HTTP 503"), RateLimitError("HTTP 429"), CapacityError("HTTP 498")],
    ids=["503", "429", "498"],
)
async def test_a_probe_that_fails_decides_nothing_and_is_asked_again(
    busy: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene(*[busy] * 7)
    assert await scene.ask()
    assert scene.probes == 8
    assert len(scene.clock.sleeps) == 7
    assert str(busy) in caplog.text


@pytest.mark.anyio
async def test_a_probe_that_is_refused_again_ends_the_run_with_the_words_of_both() -> None:
    scene = Scene(*[RefusedError("HTTP 400: region")] * REFUSALS)
    with pytest.raises(FatalError, match=r"refuses every request to m.*region.*HTTP 400: no"):
        await scene.ask()
    assert scene.probes == REFUSALS


@pytest.mark.anyio
async def test_one_refusal_of_the_probe_is_an_accident() -> None:
    scene = Scene(NO)
    assert await scene.ask()
    assert scene.probes == 2


@pytest.mark.anyio
async def test_a_field_that_is_named_needs_no_second_refusal() -> None:
    scene = Scene(RefusedError("HTTP 400: no temperature", field="temperature"))
    with pytest.raises(FatalError, match=r"see openai\.temperature"):
        await scene.ask()
    assert scene.probes == 1


@pytest.mark.anyio
async def test_answers_that_nobody_can_read_end_the_run_after_a_few() -> None:
    scene = Scene(*[SPOILT] * (UNREADABLE - 1), BadAnswerError("HTTP 400: no JSON"))
    with pytest.raises(FatalError, match=r"answers nothing that can be read.*no JSON"):
        await scene.ask()
    assert scene.probes == UNREADABLE


@pytest.mark.anyio
async def test_some_answers_that_cannot_be_read_are_an_accident() -> None:
    scene = Scene(*[SPOILT] * (UNREADABLE - 1))
    assert await scene.ask()


@pytest.mark.anyio
async def test_an_option_that_is_changed_blames_no_text(caplog: pytest.LogCaptureFixture) -> None:
    refused = RefusedError("HTTP 400: no schema", field="response_format")
    scene = Scene(refused, auto=frozenset({"response_format"}))
    assert not await scene.ask()
    assert scene.negotiation.options.response_format == "json_object"
    assert "openai.response_format=json_object" in caplog.text
    assert await scene.ask(scene.negotiation.options), "with the new options it is the text's"


@pytest.mark.anyio
async def test_what_was_learned_is_forgotten_when_the_run_ends() -> None:
    refusals = [RefusedError("HTTP 400: no", field="response_format")] * 3
    scene = Scene(*refusals, auto=frozenset({"response_format"}))
    with pytest.raises(FatalError, match=r"openai\.response_format"):
        await scene.ask()
    assert scene.negotiation.options == OPTIONS


@pytest.mark.anyio
async def test_a_quota_that_the_probe_meets_ends_the_run() -> None:
    with pytest.raises(BudgetExceededError, match="spent"):
        await Scene(BudgetExceededError("spent")).ask()


async def _label(
    behaviour: Callable[[ChatRequest], Said], texts: list[str]
) -> tuple[list[LabelledReview | RejectedReview], FakeChatModel]:
    model = FakeChatModel(behaviour)
    labeller = Labeller(model, NoLedger(), NoLimit(), FakeClock(), POLICY)
    return await labeller.label(rows(texts)), model


@pytest.mark.anyio
async def test_nothing_is_rejected_while_the_probe_is_refused() -> None:
    with pytest.raises(FatalError, match="HTTP 400: no"):
        await _label(lambda _: NO, [f"text {number}" for number in range(400)])


@pytest.mark.anyio
async def test_many_refused_texts_share_their_probes() -> None:
    outcomes, model = await _label(
        lambda request: NO if "poison" in request.user else SOUND(request),
        [f"poison {number}" for number in range(320)],
    )
    assert {one.reason for one in outcomes if isinstance(one, RejectedReview)} == {
        Reason.MODEL_BAD_REQUEST
    }
    assert len(outcomes) == 320
    probes = sum(PROBE_TEXT in one.user for one in model.requests)
    assert probes < len(model.requests) / 4


@pytest.mark.anyio
async def test_a_probe_without_an_answer_says_nothing_of_control_texts() -> None:
    scene = Scene(TransientError("HTTP 503"))
    assert await scene.diagnosis.knows([BAD[0]]), "not known: the safe side"
    assert scene.negotiation.labels_controls is None
    assert not await scene.diagnosis.knows([BAD[0]]), "SOUND calls everything POSITIVE"
    assert scene.negotiation.labels_controls is False


@pytest.mark.anyio
async def test_a_control_text_that_is_labelled_wrongly_once_is_an_accident() -> None:
    wrong = SOUND(POLICY.prompt([BAD[0]]).request)
    right = judging(lambda _: Sentiment.NEGATIVE)(POLICY.prompt([BAD[0]]).request)
    assert await Scene(wrong, right).diagnosis.knows([BAD[0]])
    assert not await Scene(wrong, wrong).diagnosis.knows([BAD[0]])
