"""A rate-limited model: each request waits for the limiter, and each cost is recorded."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from reviewstream.core.labelling.ceilings import clamp_usage, prompt_ceiling
from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest, RateLimits
from reviewstream.core.labelling.costs import cost_micro_usd
from reviewstream.core.labelling.endpoint.negotiation import Negotiation
from reviewstream.core.labelling.limits.operations import Amount
from reviewstream.core.labelling.limits.turns import NoLongerFitsError, Turns
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import ChatModel
from reviewstream.core.labelling.prompts import request_tokens
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


# Makes a model for one request: takes the list for its charges, and its number of texts.
ModelFor: TypeAlias = Callable[[list[Charge], int], ChatModel]


class _Cost(Struct, frozen=True):
    """Cost of a request, for the limiter and for the records."""

    amount: Amount
    charge: Charge


class RateLimitedModel:
    """`ChatModel` that reserves the maximum cost of each request and settles the actual cost.

    Args:
        model: The model.
        turns: Turns at the limiter, shared by all requests.
        policy: Prices, and the longest wait.
        negotiation: A request must have its current options.
        charges: Gets the cost of each request appended, unless it is free.
        texts: Texts in a request. If they are several, it must fit the known tokens per minute.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - a partial of the first four is a `ModelFor`
        self,
        model: ChatModel,
        turns: Turns,
        policy: LabelPolicy,
        negotiation: Negotiation,
        charges: list[Charge],
        texts: int,
    ) -> None:
        self._model = model
        self._turns = turns
        self._limiter = turns.limiter
        self._policy = policy
        self._negotiation = negotiation
        self._charges = charges
        self._texts = texts

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        """Wait for a turn and send one request; see `ChatModel.answer`.

        Raises:
            Cancelled: Shutdown interrupted the wait.
            OutdatedPromptError, PackTooLargeError: Nothing was sent.
            BudgetExceededError: The budget is spent.
            ReviewStreamError: See `ChatModel.answer`.
        """
        self._turns.shutdown.check()
        ceiling = self._ceiling(request)
        await self._turn(request, ceiling)
        cost: _Cost | None = ceiling  # a cancelled request may be answered and billed
        try:
            answer = await self._ask(request)
        except ReviewStreamError as err:
            cost = self._cost_of_failure(err, request, ceiling)
            raise
        else:
            cost = self._cost(answer, ceiling)
            return answer
        finally:
            self._limiter.settle(ceiling.amount, Amount() if cost is None else cost.amount)
            if cost is not None:
                self._charges.append(cost.charge)

    async def aclose(self) -> None:
        """See `ChatModel.aclose`."""
        await self._model.aclose()

    async def _turn(self, request: ChatRequest, ceiling: _Cost) -> None:
        def fits() -> bool:
            """Say whether a pack fits the known limit; a single text is always tried."""
            allowed = self._limiter.tokens_per_minute
            return allowed is None or ceiling.amount.tokens <= allowed or self._texts == 1

        if not fits():
            raise PackTooLargeError
        try:
            await self._turns.take(ceiling.amount, fits)
        except NoLongerFitsError:
            raise PackTooLargeError from None
        if request.options != self._negotiation.options:
            self._limiter.give_up(ceiling.amount)
            raise OutdatedPromptError

    def _ceiling(self, request: ChatRequest) -> _Cost:
        """Return the maximum cost of a request; its tokens for the rate limit are an estimate."""
        tokens, said = request_tokens(request), request.max_output_tokens
        cost = cost_micro_usd(prompt_ceiling(request), said, self._policy.ceiling_prices)
        return _Cost(
            amount=Amount(tokens=tokens, micro_usd=cost),
            charge=Charge(prompt_tokens=tokens - said, completion_tokens=said, micro_usd=cost),
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
        self, err: ReviewStreamError, request: ChatRequest, ceiling: _Cost
    ) -> _Cost | None:
        """Return the cost of a failed request: as reported, or as reserved if it is unknown."""
        if isinstance(err.billed, ChatAnswer):
            return self._cost(clamp_usage(err.billed, request), ceiling)
        return ceiling if _may_be_billed(err) else None

    async def _ask(self, request: ChatRequest) -> ChatAnswer:
        """Send the request and pass the endpoint's reported limits to the limiter."""
        try:
            answer = await self._model.answer(request)
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
        return clamp_usage(answer, request)

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
