"""A circuit breaker: an endpoint that is out of order is left alone, and tried now and then."""

import asyncio
import logging
from typing import Final

from reviewstream.core.backoff import backoff
from reviewstream.core.chat import ChatAnswer
from reviewstream.core.prompts import Prompt
from reviewstream.errors import PermanentError, StopError, ThrottledError, TransientError
from reviewstream.pipeline.halt import Halt
from reviewstream.pipeline.metering import MeteredModel
from reviewstream.pipeline.policy import LabelPolicy
from reviewstream.ports import Clock

OUTAGE: Final = 5  # failures in a row, of whatever requests, that mean an outage
CANARY: Final = "Good."  # no review of anybody's, so that none is blamed for the endpoint

_log = logging.getLogger("reviewstream.labelling")


class OutOfOrderError(TransientError):
    """The endpoint was out of order already: whoever asked is not to blame."""


class SteadyModel:
    """Asks a model while it is in order, and waits, for ever, while it is not.

    After `OUTAGE` failures in a row it asks about nothing but the canary, at longer and longer
    intervals, until there is an answer: the stream pauses, and no review is given up for an outage.
    """

    def __init__(self, model: MeteredModel, clock: Clock, policy: LabelPolicy, halt: Halt) -> None:
        self._model = model
        self._clock = clock
        self._halt = halt
        self._cap = policy.max_wait
        self._threshold = max(1, min(OUTAGE, policy.max_attempts - 1))
        self._canary = policy.prompt([CANARY])
        self._failures = 0
        self._trying = asyncio.Lock()

    async def answer(self, prompt: Prompt) -> ChatAnswer:
        """Make one request, when the endpoint is in order.

        Raises:
            OutOfOrderError: It failed like others before it.
            ReviewStreamError: As of `MeteredModel.answer`.
        """
        await self._recovery()
        try:
            answer = await self._model.answer(prompt)
        except (PermanentError, ThrottledError):
            self._failures = 0  # it answers
            raise
        except TransientError as err:
            known = self._is_out_of_order
            self._failures += 1
            if known:
                raise OutOfOrderError(str(err)) from err
            raise
        self._failures = 0
        return answer

    async def is_answering(self) -> bool:
        """Ask about the canary, and say whether that is possible just now.

        Raises:
            StopError: As of `MeteredModel.answer`.
        """
        try:
            await self._model.answer(self._canary)
        except StopError:
            raise
        except (PermanentError, ThrottledError) as err:
            self._failures = 0
            return not isinstance(err, ThrottledError)
        except TransientError:
            self._failures += 1
            return False
        self._failures = 0
        return True

    @property
    def _is_out_of_order(self) -> bool:
        return self._failures >= self._threshold

    async def _recovery(self) -> None:
        if not self._is_out_of_order:
            return
        async with self._trying:
            attempt = 0
            while self._is_out_of_order:
                attempt += 1
                await self._pause(attempt)
                if self._is_out_of_order:  # else an answer that was still under way has come
                    await self.is_answering()

    async def _pause(self, attempt: int) -> None:
        wait = backoff(attempt, jitter=self._clock.jitter(), base=1.0, cap=self._cap)
        _log.warning(
            "The model's endpoint is out of order (%d requests in a row failed):"
            " labelling pauses, next try in %.0f s",
            self._failures,
            wait,
        )
        await self._halt.unless_halted(self._clock.sleep(wait))
