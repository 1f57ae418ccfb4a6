"""The probe: a text of our own, asked about to tell a text's fault from everybody's."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from reviewstream.core.labelling.answers import read_answer
from reviewstream.core.labelling.ceilings import is_used_up
from reviewstream.core.labelling.chat import ChatAnswer, ChatOptions
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.health import Health
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.prompts import Prompt
from reviewstream.core.labelling.rate_limited_model import OutdatedPromptError, RateLimitedModel
from reviewstream.core.labelling.usage import Charge
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.reviews import Sentiment
from reviewstream.errors import (
    BadAnswerError,
    CapacityError,
    ConfigError,
    FatalError,
    PermanentError,
    RateLimitError,
    RefusedError,
    TransientError,
)

_OF_FIELDS: Final = frozenset({400, 415, 422})  # what a field that is not known is refused with
PROBE_TEXT: Final = "Good."  # of no user, so that no user's text is blamed for the endpoint


class Verdict(StrEnum):
    """What became of the probe."""

    ANSWERED = "ANSWERED"
    UNREADABLE = "UNREADABLE"
    CUT = "CUT"
    REFUSED = "REFUSED"
    BUSY = "BUSY"
    FAILED = "FAILED"


class ProbeResult(Struct, frozen=True, kw_only=True):
    """What became of the probe, and why.

    Attributes:
        words: What the endpoint said, or what is wrong with its answer.
        field: Field of the request that it refuses; empty: it names none.
        may_adapt: It may take a request that is made in another way.
        options: Of the request whose answer was cut; None: of any other.
        retry_after: Seconds that it asks us to wait, or None if it does not say.
    """

    verdict: Verdict
    words: str = ""
    field: str = ""
    may_adapt: bool = False
    options: ChatOptions | None = None
    retry_after: float | None = None


class Probe:
    """Asks about `PROBE_TEXT`, once each time.

    What probes cost is kept until a pack takes it into its bill: every token that the endpoint
    bills is in some record.
    """

    def __init__(
        self, model: RateLimitedModel, policy: LabelPolicy, negotiation: Negotiation, health: Health
    ) -> None:
        self._model = model
        self._policy = policy
        self._negotiation = negotiation
        self._health = health
        self._charges: list[Charge] = []

    async def ask(self) -> ProbeResult:
        """Make one request.

        Raises:
            FatalError: As of `RateLimitedModel.answer`.
            ConfigError: A store of ours is at fault.
        """
        try:
            prompt, answer = await self._answer()
        except (FatalError, ConfigError):
            raise
        except (RateLimitError, CapacityError) as err:
            return ProbeResult(verdict=Verdict.BUSY, words=str(err), retry_after=err.retry_after)
        except TransientError as err:
            self._health.record(failed=True)
            return ProbeResult(verdict=Verdict.FAILED, words=str(err), retry_after=err.retry_after)
        except BadAnswerError as err:
            return ProbeResult(verdict=Verdict.UNREADABLE, words=str(err))
        except PermanentError as err:
            return _refused(err)
        self._health.record(failed=False)
        return self._read(prompt, answer)

    async def label(self, text: str) -> Sentiment | None:
        """Return the label of a text of ours that is asked about alone; None: there is none now.

        Raises:
            FatalError, ConfigError: As of `ask`.
        """
        try:
            prompt, answer = await self._answer(text)
        except (FatalError, ConfigError):
            raise
        except (PermanentError, TransientError):
            return None
        outcome = read_answer(answer, prompt.ids)
        return outcome.value[prompt.ids[0]].sentiment if isinstance(outcome, Ok) else None

    def take_charges(self) -> list[Charge]:
        """Return what the probes have cost since the last call."""
        taken, self._charges = self._charges, []
        return taken

    async def _answer(self, text: str = PROBE_TEXT) -> tuple[Prompt, ChatAnswer]:
        while True:
            prompt = self._policy.prompt([text], self._negotiation.options)
            charges: list[Charge] = []  # of its own: those before may be taken meanwhile
            try:
                return prompt, await self._model.answer(prompt, charges)
            except OutdatedPromptError:
                continue
            finally:
                self._charges.extend(charges)

    def _read(self, prompt: Prompt, answer: ChatAnswer) -> ProbeResult:
        outcome = read_answer(answer, prompt.ids)
        if isinstance(outcome, Ok):
            return ProbeResult(verdict=Verdict.ANSWERED)
        cut = is_used_up(answer, prompt.request)
        return ProbeResult(
            verdict=Verdict.CUT if cut else Verdict.UNREADABLE,
            words=outcome.detail,
            options=prompt.request.options if cut else None,
        )


def _refused(err: PermanentError) -> ProbeResult:
    if not isinstance(err, RefusedError):
        return ProbeResult(verdict=Verdict.REFUSED, words=str(err))
    return ProbeResult(
        verdict=Verdict.REFUSED,
        words=str(err),
        field=err.field,
        may_adapt=bool(err.field) or err.status in _OF_FIELDS,
    )
