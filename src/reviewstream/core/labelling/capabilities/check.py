"""Check of an endpoint's capabilities, by a few small requests.

First the options of the first request are tried, and changed as a run would change them, until the
endpoint returns a label that can be parsed. A setting of the user that is refused, and that a run
would not change, is left out, so that it does not hide other findings. From then on each request
differs in one option from the one that succeeded.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import structs

from reviewstream.core.labelling.capabilities.trials import (
    TELLING,
    Capabilities,
    Dropped,
    Outcome,
    Trial,
    TrialQuestion,
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
from reviewstream.core.labelling.ports import ChatModel
from reviewstream.core.labelling.probe import PROBE_TEXT
from reviewstream.core.retry.ports import Clock

MAX_QUESTIONS: Final = 12  # requests in all; usually about eight
MAX_FIRST: Final = 8  # requests until the first success
RETRIES: Final = 2  # of requests that failed transiently
WAIT: Final = 2.0  # seconds before a retry without Retry-After
MAX_WAIT: Final = 20.0  # seconds; a longer Retry-After ends the retries
UNREADABLE: Final = 2  # unparsable answers before a weaker format is tried
EFFORTS: Final = ("none", "minimal", "low", "medium", "high")  # from the least
DEAR: Final = ("medium", "high")  # a truncated answer suffices to show that they are accepted
NOTHING: Final[dict[str, Any]] = {  # options that may be omitted, and their value then
    "temperature": None,
    "service_tier": None,
    "reasoning_effort": None,
    "extra_body": {},
}


class CapabilityCheck:
    """A check of an endpoint's capabilities. An instance can be used once.

    Args:
        model: The endpoint.
        policy: Policy from the settings.
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
        """Send the requests one after the other.

        Raises:
            ConfigError: A setting is invalid; nothing was sent.
        """
        base = await self._first_answer()
        if base is not None:
            base = await self._strictest(base)
            await self._vary(base)
        return Capabilities(base=base, trials=tuple(self._trials), dropped=tuple(self._dropped))

    async def _first_answer(self) -> Trial | None:
        """Return the first trial with a label, or None if there is no such trial."""
        negotiation: Negotiation | None = Negotiation(self._policy.options, self._policy.auto)
        unreadable = 0
        while negotiation is not None and len(self._trials) < MAX_FIRST:
            trial = await self._ask(TrialQuestion(options=negotiation.options))
            if trial.outcome is Outcome.ANSWERED:
                return trial
            unreadable += trial.outcome is Outcome.UNREADABLE
            is_first = trial.outcome is Outcome.UNREADABLE and unreadable < UNREADABLE
            if not is_first and not await self._may_retry(trial):
                negotiation = self._changed(negotiation, trial)
        return None

    def _changed(self, negotiation: Negotiation, trial: Trial) -> Negotiation | None:
        """Return the negotiation with other options, or None if there are no more to try."""
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
        if not trial.field:  # all that are set; restore weakened options
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
        """Return the names of the options left out so far."""
        return {
            setting.removeprefix("openai.") for one in self._dropped for setting in one.settings
        }

    async def _strictest(self, base: Trial) -> Trial:
        """Return the trial with the strictest response format that the endpoint accepts.

        The format may have been weakened needlessly, if another option was at fault and the
        endpoint did not name it.
        """
        weaker = FORMATS.index(base.options.response_format)
        if "response_format" not in self._policy.auto:
            return base
        for form in FORMATS[:weaker]:
            if not self._is_known(form):
                trial = await self._ask(
                    TrialQuestion(options=structs.replace(base.options, response_format=form))
                )
                if trial.outcome is Outcome.ANSWERED:
                    return trial
        return base

    def _is_known(self, form: str) -> bool:
        """Say whether a format was refused by name or gave an unparsable answer."""
        return any(
            one.options.response_format == form
            and (
                one.outcome is Outcome.UNREADABLE
                or setting_of(one.field) == "openai.response_format"
            )
            for one in self._trials
        )

    async def _vary(self, base: Trial) -> None:
        """Send requests with one option changed each, until the endpoint stops answering."""
        for question in self._variants(base):
            trial = await self._ask(question)
            while await self._may_retry(trial):
                trial = await self._ask(question)
            if trial.outcome not in TELLING or len(self._trials) >= MAX_QUESTIONS:
                return

    def _variants(self, base: Trial) -> Iterator[TrialQuestion]:
        """Yield further questions, the most important first."""
        options = base.options
        if options.response_format == "json_schema":
            yield TrialQuestion(options=options, is_against_schema=True)
        elif not any(one.options.response_format == "json_schema" for one in self._trials):
            yield TrialQuestion(options=structs.replace(options, response_format="json_schema"))
        if options.temperature is None and "temperature" not in self._left_out():
            yield TrialQuestion(options=structs.replace(options, temperature=0.0))
        is_hidden = base.answer is not None and hidden_tokens(base.answer) > 0
        reasons = manners_of(self._policy.model).reasons or is_hidden
        for effort in EFFORTS if reasons else ("low",):  # one shows whether the field is accepted
            if of_effort(self._trials, effort) is None:
                room = 0 if effort in DEAR else options.hidden_tokens_per_label
                yield TrialQuestion(
                    options=structs.replace(
                        options, reasoning_effort=effort, hidden_tokens_per_label=room
                    )
                )

    async def _may_retry(self, trial: Trial) -> bool:
        """Wait before a retry; return False if there is to be none."""
        wait = WAIT if trial.retry_after is None else trial.retry_after
        is_passing = trial.outcome in {Outcome.BUSY, Outcome.FAILED}
        is_full = len(self._trials) >= MAX_QUESTIONS
        if not is_passing or is_full or not self._retries or wait > MAX_WAIT:
            return False
        self._retries -= 1
        await self._clock.sleep(wait)
        return True

    async def _ask(self, question: TrialQuestion) -> Trial:
        trial = await try_out(question, self._model, self._policy, self._clock)
        self._trials.append(trial)
        return trial


def most_tokens(policy: LabelPolicy) -> tuple[ChatRequest, int]:
    """Return the longest request of a check, and the maximum tokens of its answer."""
    room = policy.options.hidden_tokens_per_label
    if "hidden_tokens_per_label" in policy.auto:
        room = HIDDEN_ROOMS[-1]
    options = structs.replace(policy.options, hidden_tokens_per_label=room)
    request = policy.prompt([PROBE_TEXT], options).request
    return request, request.max_output_tokens


def bill_of(found: Capabilities, policy: LabelPolicy) -> tuple[int, int]:
    """Return the tokens of all answers, and their cost in micro-dollars as far as it is known."""
    answers = [one.answer for one in found.trials if one.answer is not None]
    tokens = sum(one.prompt_tokens + one.completion_tokens for one in answers)
    return tokens, sum(map(policy.cost_of, answers))


def of_effort(trials: Sequence[Trial], effort: str) -> Trial | None:
    """Return the last trial that shows whether an effort is accepted, or None."""
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
    """Say whether a refusal without a field is about the API key."""
    words = trial.words.lower()
    return not trial.field and any(said in words for said in ("api key", "api_key", "apikey"))


def _is_blamed(trial: Trial, *, is_answered: bool) -> bool:
    """Say whether a refusal is due to the effort.

    A refusal without a field is, if an earlier request succeeded: they differ in the effort only.
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
