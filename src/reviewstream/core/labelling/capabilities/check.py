"""Finds out what an endpoint can, by a few small questions.

First the options of the first request are tried, and changed as a run would change them, until the
endpoint answers so that labels can be read. A setting of the user that is refused, which a run
would not change, is left out, so that it does not hide the rest. From there on each question
differs in one option from the one that was answered.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import structs

from reviewstream.core.labelling.capabilities.trials import (
    TELLING,
    Capabilities,
    Dropped,
    Outcome,
    Question,
    Trial,
    hidden_tokens,
    try_out,
)
from reviewstream.core.labelling.chat import ChatOptions, ChatRequest
from reviewstream.core.labelling.endpoint.negotiation import (
    FIELDS,
    FORMATS,
    HIDDEN_ROOMS,
    Negotiation,
    setting_of,
)
from reviewstream.core.labelling.endpoint.reasoning import manners_of
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import ChatModel, Clock
from reviewstream.core.labelling.probe import PROBE_TEXT

MAX_QUESTIONS: Final = 12  # requests in all; about eight are the rule
MAX_FIRST: Final = 8  # of them until one is answered
RETRIES: Final = 2  # of requests that failed for a passing reason
WAIT: Final = 2.0  # seconds before such a retry, unless the endpoint names its own
MAX_WAIT: Final = 20.0  # seconds; an endpoint that asks for more is not asked again
UNREADABLE: Final = 2  # answers that cannot be read before a weaker format is tried
EFFORTS: Final = ("none", "minimal", "low", "medium", "high")  # from the least on
DEAR: Final = ("medium", "high")  # of them: an answer that is cut shows that they are taken, too
NOTHING: Final[dict[str, Any]] = {  # options that need not be sent, and their value then
    "temperature": None,
    "service_tier": None,
    "reasoning_effort": None,
    "extra_body": {},
}


class CapabilityCheck:
    """Asks an endpoint what it can. To be used once.

    Args:
        model: The endpoint.
        policy: How reviews are labelled, by the settings.
        clock: Measures latencies, and waits before a retry.
    """

    def __init__(self, model: ChatModel, policy: LabelPolicy, clock: Clock) -> None:
        self._model = model
        self._policy = policy
        self._clock = clock
        self._trials: list[Trial] = []
        self._dropped: list[Dropped] = []
        self._retries = RETRIES

    async def run(self) -> Capabilities:
        """Ask, one question after the other.

        Raises:
            ConfigError: A setting is at fault; nothing was asked.
        """
        base = await self._first_answer()
        if base is not None:
            base = await self._strictest(base)
            await self._vary(base)
        return Capabilities(base=base, trials=tuple(self._trials), dropped=tuple(self._dropped))

    async def _first_answer(self) -> Trial | None:
        """Return the first trial that is answered well, or None if there is none."""
        negotiation: Negotiation | None = Negotiation(self._policy.options, self._policy.auto)
        unreadable = 0
        while negotiation is not None and len(self._trials) < MAX_FIRST:
            trial = await self._ask(Question(options=negotiation.options))
            if trial.outcome is Outcome.ANSWERED:
                return trial
            unreadable += trial.outcome is Outcome.UNREADABLE
            is_first = trial.outcome is Outcome.UNREADABLE and unreadable < UNREADABLE
            if not is_first and not await self._may_retry(trial):
                negotiation = self._changed(negotiation, trial)
        return None

    def _changed(self, negotiation: Negotiation, trial: Trial) -> Negotiation | None:
        """Return the negotiation with other options, or None if nothing is left to try."""
        match trial.outcome:
            case Outcome.CUT:
                changed = negotiation.make_room()
            case Outcome.UNREADABLE:
                changed = negotiation.adapt("response_format", trial.words)
            case Outcome.REFUSED if not is_of_key(trial):
                changed = negotiation.adapt(trial.field, trial.words)
                if changed is None:
                    return self._without_setting(trial)
            case _:
                return None
        return None if changed is None else negotiation

    def _without_setting(self, trial: Trial) -> Negotiation | None:
        """Return a negotiation without the settings that the endpoint refuses."""
        auto, now = self._policy.auto, trial.options
        names: tuple[str, ...] = (setting_of(trial.field).removeprefix("openai."),)
        if not trial.field:  # all that are set, and what was weakened in vain is as at first
            names, now = _set_options(now, auto), self._policy.options
        left_out = {*names, *self._left_out()}
        options = structs.replace(
            now, **{name: nothing for name, nothing in NOTHING.items() if name in left_out}
        )
        negotiation = Negotiation(options, auto | (left_out & set(FIELDS)))
        if options == now and (not names or negotiation.adapt(trial.field, trial.words) is None):
            return None
        settings = tuple(f"openai.{name}" for name in names)
        self._dropped.append(Dropped(settings=settings, words=trial.words))
        return negotiation

    def _left_out(self) -> set[str]:
        """Return the names of the options that were left out before."""
        return {
            setting.removeprefix("openai.") for one in self._dropped for setting in one.settings
        }

    async def _strictest(self, base: Trial) -> Trial:
        """Return the trial with the strictest form: it may have been weakened in vain.

        It was, if another option was at fault, and the endpoint did not name it.
        """
        weaker = FORMATS.index(base.options.response_format)
        if "response_format" not in self._policy.auto:
            return base
        for form in FORMATS[:weaker]:
            if not self._is_known(form):
                trial = await self._ask(
                    Question(options=structs.replace(base.options, response_format=form))
                )
                if trial.outcome is Outcome.ANSWERED:
                    return trial
        return base

    def _is_known(self, form: str) -> bool:
        """Say whether a form was refused by its name, or gave an answer that cannot be read."""
        return any(
            one.options.response_format == form
            and (
                one.outcome is Outcome.UNREADABLE
                or setting_of(one.field) == "openai.response_format"
            )
            for one in self._trials
        )

    async def _vary(self, base: Trial) -> None:
        """Ask with one option changed each time, until the endpoint answers no more."""
        for question in self._variants(base):
            trial = await self._ask(question)
            while await self._may_retry(trial):
                trial = await self._ask(question)
            if trial.outcome not in TELLING or len(self._trials) >= MAX_QUESTIONS:
                return

    def _variants(self, base: Trial) -> Iterator[Question]:
        """Yield further questions, the most important first."""
        options = base.options
        if options.response_format == "json_schema":
            yield Question(options=options, is_against_schema=True)
        elif not any(one.options.response_format == "json_schema" for one in self._trials):
            yield Question(options=structs.replace(options, response_format="json_schema"))
        if options.temperature is None and "temperature" not in self._left_out():
            yield Question(options=structs.replace(options, temperature=0.0))
        is_hidden = base.answer is not None and hidden_tokens(base.answer) > 0
        reasons = manners_of(self._policy.model).reasons or is_hidden
        for effort in EFFORTS if reasons else ("low",):  # one tells whether the field is taken
            if of_effort(self._trials, effort) is None:
                room = 0 if effort in DEAR else options.hidden_tokens_per_label
                yield Question(
                    options=structs.replace(
                        options, reasoning_effort=effort, hidden_tokens_per_label=room
                    )
                )

    async def _may_retry(self, trial: Trial) -> bool:
        """Wait before a retry; False: there is to be none."""
        wait = WAIT if trial.retry_after is None else trial.retry_after
        is_passing = trial.outcome in {Outcome.BUSY, Outcome.FAILED}
        is_full = len(self._trials) >= MAX_QUESTIONS
        if not is_passing or is_full or not self._retries or wait > MAX_WAIT:
            return False
        self._retries -= 1
        await self._clock.sleep(wait)
        return True

    async def _ask(self, question: Question) -> Trial:
        trial = await try_out(question, self._model, self._policy, self._clock)
        self._trials.append(trial)
        return trial


def most_tokens(policy: LabelPolicy) -> tuple[ChatRequest, int]:
    """Return the longest request of a check, and the most tokens that its answer may have."""
    room = policy.options.hidden_tokens_per_label
    if "hidden_tokens_per_label" in policy.auto:
        room = HIDDEN_ROOMS[-1]
    options = structs.replace(policy.options, hidden_tokens_per_label=room)
    request = policy.prompt([PROBE_TEXT], options).request
    return request, request.max_output_tokens


def bill_of(found: Capabilities, policy: LabelPolicy) -> tuple[int, int]:
    """Return the tokens of all answers, and their cost in micro-dollars, as far as it is known."""
    answers = [one.answer for one in found.trials if one.answer is not None]
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in answers)
    return tokens, sum(map(policy.cost_of, answers))


def of_effort(trials: Sequence[Trial], effort: str) -> Trial | None:
    """Return the last trial that tells whether an effort is taken, or None."""
    is_answered, found = False, None
    for trial in trials:
        is_asked = trial.options.reasoning_effort == effort and trial.outcome in TELLING
        is_of_other = trial.outcome is Outcome.REFUSED and not _is_blamed(
            trial, is_answered=is_answered
        )
        if is_asked and not is_of_other and not trial.question.is_against_schema:
            found = trial
        is_answered = is_answered or trial.outcome is Outcome.ANSWERED
    return found


def is_of_key(trial: Trial) -> bool:
    """Say whether a refusal that names no field speaks of the key."""
    words = trial.words.lower()
    return not trial.field and any(said in words for said in ("api key", "api_key", "apikey"))


def _is_blamed(trial: Trial, *, is_answered: bool) -> bool:
    """Say whether a refusal is that of the effort.

    One that names no field is, if there was an answer before: then nothing else is different.
    """
    if not trial.field:
        return is_answered
    return setting_of(trial.field) == "openai.reasoning_effort"


def _set_options(options: ChatOptions, auto: frozenset[str]) -> tuple[str, ...]:
    """Return the names of the options that are sent because the user set them."""
    return tuple(
        name
        for name, nothing in NOTHING.items()
        if name not in auto and getattr(options, name) != nothing
    )
