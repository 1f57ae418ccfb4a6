"""One question about a pack of reviews: asked until it is answered, or there is no hope of that."""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from reviewstream.core.answers import Label, read_answer
from reviewstream.core.backoff import backoff
from reviewstream.core.chat import ChatAnswer
from reviewstream.core.outcomes import Ok
from reviewstream.core.prompts import Prompt
from reviewstream.core.records import Reason
from reviewstream.errors import PermanentError, StopError, ThrottledError, TransientError
from reviewstream.pipeline.breaker import OutOfOrderError, SteadyModel
from reviewstream.pipeline.halt import Halt
from reviewstream.pipeline.policy import LabelPolicy
from reviewstream.ports import Clock

BAD_ANSWERS: Final = 2  # about one review; it is asked about once again, and no more
PACK_FAILURES: Final = 3  # about a pack; its halves may fare better
THROTTLES: Final = 10  # times as many 429s are borne as other failures: they say "later"


class Refusal(Struct, frozen=True, kw_only=True):
    """Why there is no label."""

    reason: Reason
    detail: str


class Inquiry:
    """Asks about some texts in one request, and again where that may help.

    Attributes:
        attempts: Requests made.
        answers: All that were paid for, the unreadable ones too.
    """

    def __init__(self, model: SteadyModel, clock: Clock, policy: LabelPolicy, halt: Halt) -> None:
        self._model = model
        self._clock = clock
        self._policy = policy
        self._halt = halt
        self._failures = 0
        self._throttles = 0
        self.attempts = 0
        self.answers: list[ChatAnswer] = []

    async def ask(self, texts: Sequence[str]) -> list[Label] | Refusal:
        """Return a label for each text, or why this pack gets none.

        Raises:
            StopError: nobody gets one until a person acts.
            Halted: the wait between two attempts was given up.
        """
        prompt = self._policy.prompt(texts)
        while True:
            self.attempts += 1
            try:
                answer = await self._model.answer(prompt)
            except StopError:
                raise
            except PermanentError as err:
                return Refusal(reason=Reason.MODEL_BAD_REQUEST, detail=str(err))
            except TransientError as err:
                if self._is_hopeless(err, alone=len(texts) == 1):
                    detail = f"the last attempt: {err}"
                    return Refusal(reason=Reason.MODEL_UNAVAILABLE, detail=detail)
                await self._wait(err)
            else:
                outcome = self._read(answer, prompt)
                if outcome is not None:
                    return outcome

    def _read(self, answer: ChatAnswer, prompt: Prompt) -> list[Label] | Refusal | None:
        """Return the labels, or why there are none, or None if it may be asked again."""
        self.answers.append(answer)
        outcome = read_answer(answer, prompt.ids)
        if isinstance(outcome, Ok):
            return [outcome.value[name] for name in prompt.ids]
        alone = len(prompt.ids) == 1
        if alone and len(self.answers) < BAD_ANSWERS and not self._is_enough(alone=alone):
            return None
        return Refusal(reason=outcome.reason, detail=outcome.detail)

    def _is_hopeless(self, err: TransientError, *, alone: bool) -> bool:
        """Count a failure, and say whether it was one too many."""
        most = self._policy.max_attempts
        if isinstance(err, OutOfOrderError):
            return False
        if isinstance(err, ThrottledError):
            self._throttles += 1
            # A pack that is larger than a whole minute's tokens is never let in.
            return self._throttles >= (most * THROTTLES if alone else most)
        self._failures += 1
        return self._is_enough(alone=alone)

    def _is_enough(self, *, alone: bool) -> bool:
        """Say whether as much has failed as may, bad answers included."""
        most = self._policy.max_attempts
        most = most if alone else min(most, PACK_FAILURES)
        return self._failures + len(self.answers) >= most

    async def _wait(self, err: TransientError) -> None:
        """Wait as long as the other side asked for, or as long as we guess."""
        jitter, longest = self._clock.jitter(), self._policy.max_wait
        failures = self._failures + self._throttles
        if isinstance(err, OutOfOrderError):
            return  # the model waits until it is in order
        if err.retry_after is None:
            seconds = backoff(failures, jitter=jitter, cap=min(30.0, longest))
        else:  # not all at the same moment, yet never sooner than we were told
            seconds = min(longest, max(err.retry_after, 0.0) * (1 + jitter / 2))
        await self._halt.unless_halted(self._clock.sleep(seconds))
