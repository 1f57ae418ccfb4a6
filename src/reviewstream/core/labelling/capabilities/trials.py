"""Questions to an endpoint about our own text, and their outcomes as values."""

from enum import StrEnum
from typing import Final

from msgspec import Struct, structs

from reviewstream.core.labelling.answers import read_answer
from reviewstream.core.labelling.ceilings import clamp_usage
from reviewstream.core.labelling.chat import ChatAnswer, ChatOptions
from reviewstream.core.labelling.endpoint.blame import Blame
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import ChatModel, Clock
from reviewstream.core.labelling.probe import PROBE_TEXT
from reviewstream.core.labelling.prompts import Prompt
from reviewstream.core.records.outcomes import Ok
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

PROSE: Final = "Answer in one plain English sentence. Do not use JSON."  # against the schema


class Question(Struct, frozen=True, kw_only=True):
    """One request about our own text.

    Attributes:
        options: How it is made.
        is_against_schema: It asks for prose, so that the answer shows whether a schema is enforced.
    """

    options: ChatOptions
    is_against_schema: bool = False


class Outcome(StrEnum):
    """Result of a question.

    Attributes:
        ANSWERED: A label can be read.
        UNREADABLE: There is an answer, and no label can be read.
        CUT: The answer was cut at its ceiling.
        REFUSED: This request was refused; another one may be taken.
        DENIED: Every request is refused: key, model, address or permission.
        SPENT: A quota or a budget at the endpoint is spent.
        BUSY: Too many requests, or no capacity.
        FAILED: The endpoint failed, or there is no connection.
        UNANSWERED: No answer in time, or none that is whole.
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
TAKEN: Final = TELLING - {Outcome.REFUSED}  # the request was accepted as it was made
_OUTCOMES: Final = (  # the first that fits decides
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
        words: The endpoint's own, or what is wrong with its answer.
        field: Field of the request that the endpoint refuses; empty: it names none.
        seconds: From the request to its answer.
        retry_after: Seconds that the endpoint asks us to wait, or None if it does not say.
    """

    question: Question
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
        words: The endpoint's own.
    """

    settings: tuple[str, ...]
    words: str


class Capabilities(Struct, frozen=True, kw_only=True):
    """Result of a check.

    Attributes:
        base: A question that was answered so that a label can be read, with the strictest form of
            answer that is taken; None: there is none.
        trials: All questions, in their order.
        dropped: Settings that had to be left out.
    """

    base: Trial | None
    trials: tuple[Trial, ...]
    dropped: tuple[Dropped, ...] = ()

    @property
    def spent(self) -> Trial | None:
        """The question that met a spent quota, or None."""
        return next((one for one in self.trials if one.outcome is Outcome.SPENT), None)

    @property
    def is_usable(self) -> bool:
        """Whether reviews can be labelled with the settings as they are."""
        return self.base is not None and not self.dropped and self.spent is None


async def try_out(question: Question, model: ChatModel, policy: LabelPolicy, clock: Clock) -> Trial:
    """Make one request.

    Raises:
        ConfigError: A setting is at fault; nothing was asked.
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
    """Return the tokens of an answer that it does not show.

    They are reported, or the answer has more tokens than its text has bytes.
    """
    shown = len(answer.text.encode(errors="replace"))
    return max(answer.reasoning_tokens, answer.completion_tokens - shown, 0)


def _answered(question: Question, answer: ChatAnswer, prompt: Prompt) -> Trial:
    """Return the trial of a request that was answered."""
    outcome = read_answer(answer, prompt.ids)
    if isinstance(outcome, Ok):
        return Trial(question=question, outcome=Outcome.ANSWERED, answer=answer)
    is_cut = answer.finish_reason == "length"
    found = Outcome.CUT if is_cut else Outcome.UNREADABLE
    return Trial(question=question, outcome=found, words=outcome.detail, answer=answer)


def _failed(question: Question, err: ReviewStreamError) -> Trial:
    """Return the trial of a request that was not answered."""
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
    # A text of ours that a filter or a permission refuses is refused under all options.
    is_barred = isinstance(err, RefusedError) and (
        err.blame == Blame.MODERATED or err.status == 403
    )
    return Outcome.DENIED if is_barred else Outcome.REFUSED
