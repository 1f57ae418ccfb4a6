"""Trials: requests about a fixed text, and their outcomes as values."""

from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from reviewstream.core.labelling.answers import read_answer
from reviewstream.core.labelling.ceilings import clamp_usage
from reviewstream.core.labelling.chat import ChatAnswer, ChatOptions
from reviewstream.core.labelling.endpoint.blame import Blame
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import ChatModel
from reviewstream.core.labelling.probe import PROBE_TEXT
from reviewstream.core.labelling.prompts import Prompt
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.retry.ports import Clock
from reviewstream.errors import (
    BadAnswerError,
    BudgetExceededError,
    CapacityError,
    ConfigError,
    FatalError,
    RateLimitError,
    RefusedError,
    ReviewStreamError,
    TransientError,
    UnknownOutcomeError,
)

PROSE: Final = "Answer in one plain English sentence. Do not use JSON."  # contradicts the schema


class TrialQuestion(Struct, frozen=True, kw_only=True):
    """One request about a fixed text.

    Attributes:
        options: Options of the request.
        is_against_schema: Whether it asks for prose, so that the answer shows whether the schema is
            enforced.
    """

    options: ChatOptions
    is_against_schema: bool = False


class Outcome(StrEnum):
    """Outcome of a question.

    Attributes:
        ANSWERED: The answer contains a label.
        UNREADABLE: The answer cannot be parsed.
        CUT: The answer was truncated at its ceiling.
        REFUSED: This request was refused; another one may be accepted.
        DENIED: Every request is refused: key, model, address or permission.
        SPENT: A quota or a budget at the endpoint is spent.
        BUSY: Too many requests, or no capacity.
        FAILED: The endpoint failed, or there is no connection.
        UNANSWERED: No complete answer arrived in time.
    """

    ANSWERED = "ANSWERED"
    UNREADABLE = "UNREADABLE"
    CUT = "CUT"
    REFUSED = "REFUSED"
    DENIED = "DENIED"
    SPENT = "SPENT"
    BUSY = "BUSY"
    FAILED = "FAILED"
    UNANSWERED = "UNANSWERED"


TELLING: Final = frozenset({Outcome.ANSWERED, Outcome.UNREADABLE, Outcome.CUT, Outcome.REFUSED})
TAKEN: Final = TELLING - {Outcome.REFUSED}  # the request was accepted as sent
_OUTCOMES: Final = (  # the first match decides
    (BudgetExceededError, Outcome.SPENT),
    (FatalError, Outcome.DENIED),
    ((RateLimitError, CapacityError), Outcome.BUSY),
    (UnknownOutcomeError, Outcome.UNANSWERED),
    (TransientError, Outcome.FAILED),
    (BadAnswerError, Outcome.UNREADABLE),
)


class Trial(Struct, frozen=True, kw_only=True):
    """One question and its outcome.

    Attributes:
        words: The endpoint's message, or the error in its answer.
        field: Request field that the endpoint refuses; empty if it names none.
        seconds: From the request to its answer.
        retry_after: Seconds that the endpoint asks us to wait, or None if it does not say.
    """

    question: TrialQuestion
    outcome: Outcome
    words: str = ""
    field: str = ""
    seconds: float = 0.0
    answer: ChatAnswer | None = None
    retry_after: float | None = None

    @property
    def options(self) -> ChatOptions:
        """Options of the question."""
        return self.question.options


class Dropped(Struct, frozen=True, kw_only=True):
    """Settings of the user that the endpoint refuses.

    Attributes:
        settings: Names, such as `openai.temperature`; several if the endpoint names no field.
        words: The endpoint's message.
    """

    settings: tuple[str, ...]
    words: str


class Capabilities(Struct, frozen=True, kw_only=True):
    """Result of a check.

    Attributes:
        base: The successful trial with the strictest response format, or None if no trial
            succeeded.
        trials: All trials in order.
        dropped: Settings that had to be left out.
    """

    base: Trial | None
    trials: tuple[Trial, ...]
    dropped: tuple[Dropped, ...] = ()

    @property
    def spent(self) -> Trial | None:
        """The trial that met a spent quota, or None."""
        return next((one for one in self.trials if one.outcome is Outcome.SPENT), None)

    @property
    def is_usable(self) -> bool:
        """Whether reviews can be labelled with the settings as they are."""
        return self.base is not None and not self.dropped and self.spent is None


async def try_out(
    question: TrialQuestion, model: ChatModel, policy: LabelPolicy, clock: Clock
) -> Trial:
    """Send one request.

    Raises:
        ConfigError: A setting is invalid; nothing was sent.
    """
    prompt = policy.prompt([PROBE_TEXT], question.options)
    request = prompt.request
    if question.is_against_schema:
        request = structs.replace(request, system=PROSE)
    began = clock.now()
    try:
        answer = clamp_usage(await model.answer(request), request)
    except ConfigError:
        raise
    except ReviewStreamError as err:
        trial = _failed(question, err)
    else:
        trial = _answered(question, answer, prompt)
    return structs.replace(trial, seconds=(clock.now() - began).total_seconds())


def hidden_tokens(answer: ChatAnswer) -> int:
    """Return the hidden tokens of an answer.

    They are the reported ones, or the excess of the answer's tokens over the bytes of its text.
    """
    shown = len(answer.text.encode(errors="replace"))
    return max(answer.reasoning_tokens, answer.completion_tokens - shown, 0)


def _answered(question: TrialQuestion, answer: ChatAnswer, prompt: Prompt) -> Trial:
    """Return the trial of a request that was answered."""
    outcome = read_answer(answer, prompt.ids)
    if isinstance(outcome, Ok):
        return Trial(question=question, outcome=Outcome.ANSWERED, answer=answer)
    is_cut = answer.finish_reason == "length"
    found = Outcome.CUT if is_cut else Outcome.UNREADABLE
    return Trial(question=question, outcome=found, words=outcome.detail, answer=answer)


def _failed(question: TrialQuestion, err: ReviewStreamError) -> Trial:
    """Return the trial of a request that failed."""
    return Trial(
        question=question,
        outcome=_outcome(err),
        words=str(err),
        field=err.field if isinstance(err, RefusedError) else "",
        retry_after=err.retry_after if isinstance(err, TransientError) else None,
    )


def _outcome(err: ReviewStreamError) -> Outcome:
    for kinds, outcome in _OUTCOMES:
        if isinstance(err, kinds):
            return outcome
    # A fixed text that a filter or a permission refuses is refused with any options.
    is_barred = isinstance(err, RefusedError) and (
        err.blame == Blame.MODERATED or err.status == 403
    )
    return Outcome.DENIED if is_barred else Outcome.REFUSED
