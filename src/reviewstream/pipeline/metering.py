"""A model whose every request goes by the limiter."""

from reviewstream.core.chat import ChatAnswer, RateLimits
from reviewstream.core.costs import cost_micro_usd
from reviewstream.core.limits import Amount
from reviewstream.core.prompts import Prompt
from reviewstream.core.usage import believed
from reviewstream.errors import (
    LimitError,
    PermanentError,
    ReviewStreamError,
    ThrottledError,
    UnansweredError,
)
from reviewstream.pipeline.halt import Halt
from reviewstream.pipeline.policy import LabelPolicy
from reviewstream.ports import ChatModel, RateLimiter


class MeteredModel:
    """Reserves for each request what it may take at most, and settles what it took."""

    def __init__(
        self, model: ChatModel, limiter: RateLimiter, policy: LabelPolicy, halt: Halt
    ) -> None:
        self._model = model
        self._limiter = limiter
        self._prices = policy.prices
        self._longest = policy.max_wait
        self._halt = halt

    async def answer(self, prompt: Prompt) -> ChatAnswer:
        """Wait for one's turn, and make one request.

        Raises:
            Halted: The wait was given up.
            LimitError: The budget is spent.
            ReviewStreamError: As of `ChatModel.answer`.
        """
        self._halt.check()
        output = prompt.request.max_output_tokens
        most = cost_micro_usd(prompt.tokens - output, output, self._prices)
        reserved = Amount(tokens=prompt.tokens, micro_usd=most)
        await self._halt.unless_halted(self._limiter.acquire(reserved))
        used = reserved  # what is given up may be answered, and billed
        try:
            answer = await self._ask(prompt)
        except UnansweredError:
            raise
        except ReviewStreamError:
            used = Amount()
            raise
        else:
            used = self._used(answer)
            return answer
        finally:
            self._limiter.settle(reserved, used)

    def _used(self, answer: ChatAnswer) -> Amount:
        asked, said = answer.prompt_tokens, answer.completion_tokens
        cost = cost_micro_usd(asked, said, self._prices)
        return Amount(tokens=asked + said, micro_usd=cost)

    async def _ask(self, prompt: Prompt) -> ChatAnswer:
        """Make the request, and tell the limiter what the endpoint says of its limits."""
        try:
            answer = await self._model.answer(prompt.request)
        except ThrottledError as err:
            self._slow_down(err)
            raise
        except PermanentError as err:
            self._limiter.learn(RateLimits())
            if isinstance(err, LimitError):
                self._limiter.end(str(err))
            raise
        self._limiter.learn(answer.limits or RateLimits())
        return believed(answer, prompt.request)

    def _slow_down(self, err: ThrottledError) -> None:
        """Tell of a 429: first what it says is allowed, so that the rate need not be guessed."""
        self._limiter.learn(
            RateLimits(
                requests_per_minute=err.requests_per_minute,
                tokens_per_minute=err.tokens_per_minute,
            )
        )
        wait = err.retry_after
        self._limiter.throttled(None if wait is None else min(wait, self._longest))
