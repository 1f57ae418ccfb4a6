"""The probe: a fixed text, to tell a fault of one text from a fault of the endpoint."""

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
from reviewstream.core.labelling.rate_limited_model import ModelFor, OutdatedPromptError
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

_OF_FIELDS: Final = frozenset({400, 415, 422})  # statuses for an unknown field
PROBE_TEXT: Final = "Good."  # not a user's text, which could itself be refused


class Verdict(StrEnum):
    """Outcome of a probe."""

    ANSWERED = "ANSWERED"
    UNREADABLE = "UNREADABLE"
    CUT = "CUT"
    REFUSED = "REFUSED"
    BUSY = "BUSY"
    FAILED = "FAILED"


class ProbeResult(Struct, frozen=True, kw_only=True):
    """Outcome of a probe, with details.

    Attributes:
        words: The endpoint's message, or the error in its answer.
        field: Request field that the endpoint refuses; empty if it names none.
        may_adapt: Whether a request with other options may be accepted.
        options: Options of the request whose answer was truncated; None for other outcomes.
        retry_after: Seconds that the endpoint asks us to wait, or None if it does not say.
    """

    verdict: Verdict
    words: str = ""
    field: str = ""
    may_adapt: bool = False
    options: ChatOptions | None = None
    retry_after: float | None = None


class Probe:
    """A client that requests the label of `PROBE_TEXT`, once per call.

    The costs of probes are kept until a pack takes them into its usage, so that every billed token
    is in some record.
    """

    def __init__(
        self, model_for: ModelFor, policy: LabelPolicy, negotiation: Negotiation, health: Health
    ) -> None:
        self._model_for = model_for
        self._policy = policy
        self._negotiation = negotiation
        self._health = health
        self._charges: list[Charge] = []

    async def ask(self) -> ProbeResult:
        """Send one request.

        Raises:
            FatalError: See `RateLimitedModel.answer`.
            ConfigError: A local store fails permanently.
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
        """Request the label of a control text alone; return None if the request fails.

        Raises:
            FatalError, ConfigError: See `ask`.
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
        """Return the costs of the probes since the last call."""
        taken, self._charges = self._charges, []
        return taken

    async def _answer(self, text: str = PROBE_TEXT) -> tuple[Prompt, ChatAnswer]:
        while True:
            prompt = self._policy.prompt([text], self._negotiation.options)
            charges: list[Charge] = []  # `take_charges` may run meanwhile
            try:
                return prompt, await self._model_for(charges, 1).answer(prompt.request)
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
