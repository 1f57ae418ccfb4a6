"""A rate-limited model: each request waits for the limiter, and each cost is recorded."""

from msgspec import Struct

from reviewstream.core.labelling.ceilings import clamp_usage, prompt_ceiling
from reviewstream.core.labelling.chat import ChatAnswer, RateLimits
from reviewstream.core.labelling.costs import cost_micro_usd
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.limits.turns import NoLongerFitsError, Turns
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import ChatModel, RateLimiter
from reviewstream.core.labelling.prompts import Prompt
from reviewstream.core.labelling.shutdown import Shutdown
from reviewstream.core.labelling.usage import Charge
from reviewstream.errors import (
    BadAnswerError,
    BudgetExceededError,
    PermanentError,
    RateLimitError,
    ReviewStreamError,
    UnknownOutcomeError,
)


class OutdatedPromptError(Exception):
    """Raised when the options changed while a request waited for its turn; nothing was sent."""


class PackTooLargeError(Exception):
    """Raised when a pack exceeds the endpoint's tokens per minute; nothing was sent."""


class _Cost(Struct, frozen=True):
    """Cost of a request, for the limiter and for the records."""

    amount: Amount
    charge: Charge


class RateLimitedModel:
    """A chat model that reserves the maximum cost of each request and settles the actual cost."""

    def __init__(
        self,
        model: ChatModel,
        limiter: RateLimiter,
        policy: LabelPolicy,
        negotiation: Negotiation,
        shutdown: Shutdown,
    ) -> None:
        self._model = model
        self._limiter = limiter
        self._policy = policy
        self._negotiation = negotiation
        self._shutdown = shutdown
        self._turns = Turns(limiter, shutdown)

    async def answer(self, prompt: Prompt, charges: list[Charge]) -> ChatAnswer:
        """Wait for a turn and send one request.

        Args:
            prompt: Prompt with the current options of the negotiation.
            charges: Gets the cost of the request appended, unless it is free.

        Raises:
            Cancelled: Shutdown interrupted the wait.
            OutdatedPromptError, PackTooLargeError: Nothing was sent.
            BudgetExceededError: The budget is spent.
            ReviewStreamError: See `ChatModel.answer`.
        """
        self._shutdown.check()
        ceiling = self._ceiling(prompt)
        await self._turn(prompt, ceiling)
        cost: _Cost | None = ceiling  # a cancelled request may be answered and billed
        try:
            answer = await self._ask(prompt)
        except ReviewStreamError as err:
            cost = self._cost_of_failure(err, prompt, ceiling)
            raise
        else:
            cost = self._cost(answer, ceiling)
            return answer
        finally:
            self._limiter.settle(ceiling.amount, Amount() if cost is None else cost.amount)
            if cost is not None:
                charges.append(cost.charge)

    async def _turn(self, prompt: Prompt, ceiling: _Cost) -> None:
        if not self._fits(prompt):
            raise PackTooLargeError
        try:
            await self._turns.take(ceiling.amount, lambda: self._fits(prompt))
        except NoLongerFitsError:
            raise PackTooLargeError from None
        if prompt.request.options != self._negotiation.options:
            self._limiter.give_up(ceiling.amount)
            raise OutdatedPromptError

    def _fits(self, prompt: Prompt) -> bool:
        """Say whether a pack fits the known tokens per minute; a single text is always tried."""
        allowed = self._limiter.tokens_per_minute
        return allowed is None or prompt.tokens <= allowed or len(prompt.ids) == 1

    def _ceiling(self, prompt: Prompt) -> _Cost:
        """Return the maximum cost of a request; its tokens for the rate limit are an estimate."""
        said = prompt.request.max_output_tokens
        cost = cost_micro_usd(prompt_ceiling(prompt.request), said, self._policy.ceiling_prices)
        return _Cost(
            amount=Amount(tokens=prompt.tokens, micro_usd=cost),
            charge=Charge(
                prompt_tokens=prompt.tokens - said, completion_tokens=said, micro_usd=cost
            ),
        )

    def _cost(self, answer: ChatAnswer, ceiling: _Cost) -> _Cost:
        """Return the cost of an answer: as reported, or else as reserved."""
        if not answer.has_usage:
            charge = ceiling.charge
            if answer.cost_micro_usd is not None:
                charge = Charge(micro_usd=answer.cost_micro_usd)
            return _Cost(
                amount=Amount(tokens=ceiling.amount.tokens, micro_usd=charge.micro_usd),
                charge=charge,
            )
        asked, said = answer.prompt_tokens, answer.completion_tokens
        cost = self._policy.cost_of(answer)
        return _Cost(
            amount=Amount(tokens=asked + said, micro_usd=cost),
            charge=Charge(prompt_tokens=asked, completion_tokens=said, micro_usd=cost),
        )

    def _cost_of_failure(
        self, err: ReviewStreamError, prompt: Prompt, ceiling: _Cost
    ) -> _Cost | None:
        """Return the cost of a failed request: as reported, or as reserved if it is unknown."""
        if isinstance(err.billed, ChatAnswer):
            return self._cost(clamp_usage(err.billed, prompt.request), ceiling)
        return ceiling if _may_be_billed(err) else None

    async def _ask(self, prompt: Prompt) -> ChatAnswer:
        """Send the request and pass the endpoint's reported limits to the limiter."""
        try:
            answer = await self._model.answer(prompt.request)
        except RateLimitError as err:
            self._slow_down(err)
            raise
        except PermanentError as err:
            self._limiter.learn(RateLimits())
            if isinstance(err, BudgetExceededError):
                self._limiter.end(str(err))
            raise
        self._limiter.learn(answer.limits or RateLimits())
        self._turns.look()
        return clamp_usage(answer, prompt.request)

    def _slow_down(self, err: RateLimitError) -> None:
        """Report a 429 to the limiter: first the limits in it, so that no rate is estimated."""
        self._limiter.learn(
            RateLimits(
                requests_per_minute=err.requests_per_minute,
                tokens_per_minute=err.tokens_per_minute,
            )
        )
        self._turns.look()
        wait = err.retry_after
        self._limiter.throttled(None if wait is None else min(wait, self._policy.max_wait))


def _may_be_billed(err: ReviewStreamError) -> bool:
    """Say whether the endpoint may have processed and billed the request."""
    is_odd = isinstance(err, BadAnswerError) and err.may_be_billed
    return is_odd or isinstance(err, UnknownOutcomeError)
