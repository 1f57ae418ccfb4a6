"""One pack of texts, requested until it is answered or another request cannot help."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from reviewstream.core.labelling.answers import Label, read_answer
from reviewstream.core.labelling.ceilings import is_used_up
from reviewstream.core.labelling.chat import ChatAnswer
from reviewstream.core.labelling.circuit_breaker import CircuitOpenError
from reviewstream.core.labelling.controls import (
    Controlled,
    contradicts,
    with_controls,
    without_controls,
)
from reviewstream.core.labelling.diagnosis import Diagnosis
from reviewstream.core.labelling.endpoint.blame import Blame, settled
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.health import Health
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import RateLimiter
from reviewstream.core.labelling.prompts import Prompt
from reviewstream.core.labelling.rate_limited_model import ModelFor, OutdatedPromptError
from reviewstream.core.labelling.shutdown import Shutdown
from reviewstream.core.labelling.usage import Charge
from reviewstream.core.labelling.wait_log import CONTRADICTED, TOO_SMALL, WAITS, WaitLog
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.reviews import Reason
from reviewstream.core.retry import waits
from reviewstream.core.retry.ports import Clock
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

BAD_ANSWERS: Final = 2  # for one review; it is requested twice in all
PACK_FAILURES: Final = 3  # for one pack; it is then split
LONG_WAIT: Final = 5.0  # seconds; a longer wait after a failure is logged

_FORBIDDEN: Final = 403


class LabelRefusal(Struct, frozen=True, kw_only=True):
    """The reason why there is no label."""

    reason: Reason
    detail: str


class Endpoint(Struct, frozen=True, kw_only=True):
    """State shared by all label requests of a process."""

    model_for: ModelFor
    diagnosis: Diagnosis
    negotiation: Negotiation
    health: Health
    limiter: RateLimiter
    clock: Clock
    policy: LabelPolicy
    shutdown: Shutdown
    log: WaitLog


class LabelRequest:
    """A request for the labels of some texts, repeated where that may help.

    Attributes:
        attempts: Requests made.
        charges: Costs of the requests, unusable answers included.
        model: Model named in the last answer; empty without an answer.
        request_id: Request id of the last answer, or None if the endpoint sent none.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._policy = endpoint.policy
        self._failures = 0
        self._throttles = 0
        self._bad_answers = 0
        self.attempts = 0
        self.charges: list[Charge] = []
        self.model = ""
        self.request_id: str | None = None

    async def ask(self, texts: Sequence[str]) -> list[Label] | LabelRefusal:
        """Return a label for each text, or the reason why the pack gets none.

        Raises:
            PackTooLargeError: The pack exceeds the endpoint's tokens per minute.
            FatalError: No text can be labelled until an operator acts.
            ConfigError: A local store fails permanently.
            Cancelled: Shutdown interrupted a wait between two attempts.
        """
        negotiation = self._endpoint.negotiation
        while True:
            has_controls = self._policy.controls and negotiation.labels_controls is not False
            asked = with_controls(texts) if has_controls else Controlled(tuple(texts))
            prompt = self._policy.prompt(asked.items, negotiation.options)
            outcome = await self._attempt(prompt)
            if isinstance(outcome, list):
                return await self._checked(asked, outcome)
            if outcome is not None:
                return outcome

    async def _checked(
        self, asked: Controlled[str], labels: list[Label]
    ) -> list[Label] | LabelRefusal:
        """Return the labels of the reviews, or a refusal if a control text is labelled wrongly."""
        if contradicts(labels, asked.places):
            controls = [asked.items[place] for place in asked.places]
            if await self._endpoint.diagnosis.knows(controls):
                self._endpoint.log.wait("controls", CONTRADICTED)
                return LabelRefusal(reason=Reason.MODEL_BAD_ANSWER, detail=CONTRADICTED)
        return without_controls(labels, asked.places)

    async def _attempt(self, prompt: Prompt) -> list[Label] | LabelRefusal | None:
        """Send one request; None means that it is to be sent again."""
        sent = self._endpoint.diagnosis.event()
        model = self._endpoint.model_for(self.charges, len(prompt.ids))
        try:
            answer = await model.answer(prompt.request)
        except OutdatedPromptError:
            return None
        except (FatalError, ConfigError):
            raise
        except BadAnswerError as err:
            self._count(failed=False)
            refusal = LabelRefusal(reason=Reason.MODEL_BAD_ANSWER, detail=str(err))
            return await self._unusable(prompt, refusal)
        except PermanentError as err:
            self._count(failed=False)
            return await self._refused(prompt, err)
        except TransientError as err:
            self._count(failed=not isinstance(err, RateLimitError | CapacityError))
            return await self._failed(prompt, err)
        self._count(failed=False)
        self.model, self.request_id = answer.model, answer.request_id
        self._check_tier(answer.service_tier)
        self._check_ceiling(prompt, answer)
        return await self._read(prompt, answer, sent)

    def _check_tier(self, tier: str) -> None:
        """Log that another service tier answered and that its price is charged."""
        asked = self._policy.options.service_tier
        if asked and tier and asked not in {tier, "auto"}:
            self._endpoint.log.wait(
                "tier",
                f"{self._policy.endpoint} answers in service tier {tier}, not {asked}"
                " (openai.service_tier): what it bills is booked at the price of that tier.",
            )

    def _check_ceiling(self, prompt: Prompt, answer: ChatAnswer) -> None:
        """Log that the endpoint bills more tokens than the reservation covers."""
        if answer.completion_tokens > prompt.request.max_output_tokens:
            self._endpoint.log.wait(
                "ceiling",
                f"{self._policy.endpoint} reports {answer.completion_tokens:,} tokens for an answer"
                f" of at most {prompt.request.max_output_tokens:,}: they are charged, and a budget"
                " may be exceeded by them; see openai.max_tokens_field",
            )

    def _count(self, *, failed: bool) -> None:
        self.attempts += 1
        if self.attempts == 1:
            self._endpoint.health.record(failed=failed)

    async def _read(
        self, prompt: Prompt, answer: ChatAnswer, sent: int
    ) -> list[Label] | LabelRefusal | None:
        outcome = read_answer(answer, prompt.ids)
        if isinstance(outcome, Ok):
            self._endpoint.diagnosis.prove(sent)
            return [outcome.value[name] for name in prompt.ids]
        refusal = LabelRefusal(reason=outcome.reason, detail=outcome.detail)
        if is_used_up(answer, prompt.request):
            if self._makes_room(prompt):
                return None
            self._endpoint.log.wait("cut", TOO_SMALL)
            if len(prompt.ids) > 1:  # one text may use up the room of all: the probe decides
                return await self._unless_everybodys(prompt, refusal)
        return await self._unusable(prompt, refusal)

    def _makes_room(self, prompt: Prompt) -> bool:
        """Raise the ceiling for hidden reasoning; False if it is at its maximum."""
        negotiation = self._endpoint.negotiation
        if prompt.request.options != negotiation.options:
            return True  # another pack has raised the ceiling meanwhile
        if negotiation.is_roomiest:
            return False
        ceiling = prompt.request.max_output_tokens
        why = f"an answer was cut at {ceiling:,} tokens, most of them not shown"
        self._endpoint.diagnosis.make_room(why)
        return True

    async def _unusable(self, prompt: Prompt, refusal: LabelRefusal) -> LabelRefusal | None:
        """Return the refusal, or None to retry."""
        self._bad_answers += 1
        if len(prompt.ids) > 1:
            return refusal
        if self._bad_answers < BAD_ANSWERS and not self._is_enough(alone=True):
            return None
        return await self._unless_everybodys(prompt, refusal)

    async def _refused(self, prompt: Prompt, err: PermanentError) -> LabelRefusal | None:
        """Return the refusal of this text, or None if the request can be sent again."""
        found = Blame(err.blame) if isinstance(err, RefusedError) else Blame.TEXT
        is_certain = found in {Blame.TEXT, Blame.MODERATED}
        found = settled(found, is_probe_answered=True)  # a refused probe raises below
        if isinstance(err, RefusedError) and err.status == _FORBIDDEN:
            found = Blame.MODERATED  # a content filter without an error name
        reason = Reason.MODEL_REFUSED if found is Blame.MODERATED else Reason.MODEL_BAD_REQUEST
        refusal = LabelRefusal(reason=reason, detail=str(err))
        if len(prompt.ids) > 1 and is_certain:
            return refusal
        return await self._unless_everybodys(prompt, refusal)

    async def _unless_everybodys(
        self, prompt: Prompt, refusal: LabelRefusal
    ) -> LabelRefusal | None:
        options = prompt.request.options
        diagnosis = self._endpoint.diagnosis
        return refusal if await diagnosis.is_text_at_fault(refusal.detail, options) else None

    async def _failed(self, prompt: Prompt, err: TransientError) -> LabelRefusal | None:
        """Wait and return None, or return a refusal if another attempt cannot help."""
        alone = len(prompt.ids) == 1
        if isinstance(err, CircuitOpenError):  # the circuit waits until the endpoint answers
            return None
        if isinstance(err, RateLimitError | CapacityError):
            return await self._held_up(prompt, err)
        self._failures += 1
        if not self._is_enough(alone=alone):
            await self._wait("failure", err, self._failures)
            return None
        refusal = LabelRefusal(reason=Reason.MODEL_UNAVAILABLE, detail=f"the last attempt: {err}")
        return refusal if not alone else await self._unless_unlucky(prompt, refusal, err)

    async def _held_up(
        self, prompt: Prompt, err: RateLimitError | CapacityError
    ) -> LabelRefusal | None:
        """Wait for a rate limit or capacity; refuse only what may be too large for a minute."""
        self._throttles += 1
        is_rate = isinstance(err, RateLimitError)
        if is_rate and self._throttles >= self._policy.max_attempts:
            if len(prompt.ids) > 1:  # it may exceed a minute's tokens and never succeed
                return LabelRefusal(reason=Reason.MODEL_UNAVAILABLE, detail=str(err))
            if self._is_larger_than_a_minute(prompt):
                refusal = LabelRefusal(reason=Reason.MODEL_BAD_REQUEST, detail=str(err))
                return await self._unless_everybodys(prompt, refusal)
        await self._wait("throttled" if is_rate else "capacity", err, self._throttles)
        return None

    def _is_larger_than_a_minute(self, prompt: Prompt) -> bool:
        allowed = self._endpoint.limiter.tokens_per_minute
        return allowed is not None and prompt.tokens > allowed

    async def _unless_unlucky(
        self, prompt: Prompt, refusal: LabelRefusal, err: TransientError
    ) -> LabelRefusal | None:
        """Return the refusal if the endpoint fails for this text only."""
        found = await self._unless_everybodys(prompt, refusal)
        if found is None or self._endpoint.health.is_text_at_fault(self._failures):
            return found
        await self._wait("failure", err, 1)
        return None

    def _is_enough(self, *, alone: bool) -> bool:
        """Say whether the maximum number of failures is reached, bad answers included."""
        most = self._policy.max_attempts
        most = most if alone else min(most, PACK_FAILURES)
        return self._failures + self._bad_answers >= most

    async def _wait(self, kind: str, err: TransientError, failures: int) -> None:
        """Wait for the Retry-After of the endpoint, or else for the backoff."""
        clock = self._endpoint.clock
        seconds = waits.REQUEST.wait(
            failures, jitter=clock.jitter(), asked=err.retry_after, limit=self._policy.max_wait
        )
        if kind != "failure" or seconds >= LONG_WAIT:
            self._endpoint.log.wait(kind, f"{WAITS[kind]} of {self._policy.endpoint}: {err}")
        await self._endpoint.shutdown.run_until_shutdown(clock.sleep(seconds))
