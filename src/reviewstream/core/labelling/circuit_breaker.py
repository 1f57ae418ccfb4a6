"""A circuit breaker: while the endpoint fails, only the probe is sent."""

import asyncio
from datetime import datetime, timedelta
from typing import Final

from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import ChatModel
from reviewstream.core.labelling.probe import Probe, ProbeResult, Verdict
from reviewstream.core.labelling.shutdown import Shutdown
from reviewstream.core.labelling.wait_log import WaitLog
from reviewstream.core.retry import waits
from reviewstream.core.retry.ports import Clock
from reviewstream.errors import (
    CapacityError,
    ConfigError,
    FatalError,
    PermanentError,
    RateLimitError,
    TransientError,
)

OUTAGE: Final = 5  # consecutive failed requests that open the circuit
OUTAGE_WAIT: Final = "outage"  # kind of wait for `WaitLog`


class CircuitOpenError(TransientError):
    """Raised when a request fails while the circuit is open; its text is not at fault."""


class Circuit:
    """A circuit that passes requests while the endpoint answers, and pauses while it does not.

    After `OUTAGE` consecutive failures it sends only the probe, at increasing intervals, until the
    endpoint answers: the stream pauses, and no review is rejected because of an outage. If the
    endpoint has never answered, it ends the run after `startup_timeout`.
    """

    def __init__(  # noqa: PLR0913 - its collaborators
        self,
        probe: Probe,
        clock: Clock,
        *,
        policy: LabelPolicy,
        negotiation: Negotiation,
        shutdown: Shutdown,
        log: WaitLog,
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._policy = policy
        self._negotiation = negotiation
        self._shutdown = shutdown
        self._log = log
        self._threshold = max(1, min(OUTAGE, policy.max_attempts - 1))
        self._failures = 0
        self._last = ""
        self._failing_since: datetime | None = None
        self._recovering = asyncio.Lock()

    async def send(self, model: ChatModel, request: ChatRequest) -> ChatAnswer:
        """Send one request when the circuit is closed.

        Raises:
            CircuitOpenError: The request failed while the circuit was open.
            FatalError: The endpoint has never answered.
            ReviewStreamError: See `ChatModel.answer`.
        """
        await self._recovery()
        try:
            answer = await model.answer(request)
        except (ConfigError, FatalError, CapacityError):
            raise  # of a local store, budget, tier or the end of the run: no answer of the endpoint
        except (PermanentError, RateLimitError):
            self._close()
            raise
        except TransientError as err:
            known = self._is_open
            self._fail(str(err))
            if known:
                raise CircuitOpenError(str(err)) from err
            raise
        self._close()
        return answer

    async def ask_probe(self) -> ProbeResult:
        """Send the probe once, even if the circuit is open.

        Raises:
            FatalError: See `Probe.ask`; or the endpoint has never answered.
        """
        result = await self._probe.ask()
        if result.verdict is Verdict.FAILED:
            self._fail(result.words)
        else:
            self._close()
        return result

    async def is_answering(self) -> bool:
        """Send the probe and say whether the endpoint answers."""
        return (await self.ask_probe()).verdict not in {Verdict.FAILED, Verdict.BUSY}

    async def pause(self, attempt: int, result: ProbeResult) -> None:
        """Wait before the next probe.

        Args:
            attempt: Number of the pause; 1 is the first.
            result: Result of the probe that failed.
        """
        jitter, limit = self._clock.jitter(), self._policy.max_wait
        wait = waits.PROBE.wait(attempt, jitter=jitter, asked=result.retry_after, limit=limit)
        self._say(result.words)
        await self._shutdown.run_until_shutdown(self._clock.sleep(wait))

    @property
    def _is_open(self) -> bool:
        return self._failures >= self._threshold

    def _close(self) -> None:
        self._failures = 0
        self._negotiation.has_answered = True
        self._failing_since = None
        self._log.over(OUTAGE_WAIT)

    def _fail(self, why: str) -> None:
        self._failures += 1
        now = self._clock.now()
        self._failing_since = self._failing_since or now
        limit = self._policy.startup_timeout
        is_over = now - self._failing_since >= timedelta(seconds=limit)
        if is_over and not self._negotiation.has_answered:
            raise FatalError(
                f"{self._policy.endpoint} has not answered once in {limit:g} s"
                f" (openai.startup_timeout): {why}; see openai.base_url"
            )
        self._last = why

    async def _recovery(self) -> None:
        if not self._is_open:
            return
        async with self._recovering:
            attempt = 0
            result = ProbeResult(verdict=Verdict.FAILED, words=self._last)
            while self._is_open:
                attempt += 1
                await self.pause(attempt, result)
                if self._is_open:  # else a request in flight has succeeded meanwhile
                    result = await self.ask_probe()

    def _say(self, why: str) -> None:
        self._log.wait(
            OUTAGE_WAIT,
            f"Labelling waits for {self._policy.endpoint}, which does not answer: {why}."
            " It goes on by itself; openai.base_url has the address.",
        )


class CircuitBreaker:
    """`ChatModel` whose requests pass the circuit that all of them share.

    It must be outside `RateLimitedModel`: its error hides whether a failed request may be billed.
    """

    def __init__(self, model: ChatModel, circuit: Circuit) -> None:
        self._model = model
        self._circuit = circuit

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        """See `Circuit.send`."""
        return await self._circuit.send(self._model, request)

    async def aclose(self) -> None:
        """See `ChatModel.aclose`."""
        await self._model.aclose()
