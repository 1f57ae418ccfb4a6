"""Ports of labelling: the model, the ledger and the limits."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest, RateLimits
from reviewstream.core.labelling.costs import Prices
from reviewstream.core.labelling.limits.operations import Amount, LimitKey, Operation, Reply
from reviewstream.core.records.reviews import Sentiment


class ChatModel(Protocol):
    """A chat model."""

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        """Send one request and return the model's answer, not yet parsed.

        Raises:
            RateLimitError: The rate limit was exceeded.
            UnknownOutcomeError: Time-out, broken connection, or a body that is not a completion.
            TransientError: The endpoint is unavailable.
            FatalError: The credentials are refused; a `BudgetExceededError` if the quota is
                exhausted.
            PermanentError: This request is refused (too long, malformed).
        """
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


class PriceList(Protocol):
    """A list of model prices."""

    @property
    def name(self) -> str:
        """Name, version and date of the list, for display."""
        ...

    def prices(
        self, model: str, provider: str | None, *, prompt_tokens: int | None = None
    ) -> Prices | None:
        """Return the prices of the standard tier, or None if the model is not listed.

        A price that depends on the time of day or on the length of the request is the highest
        possible one. A listed model without a price for some kind of token has 0 for it.

        Args:
            model: Name of the model in requests.
            provider: Id of the endpoint's operator; None: names are taken as OpenAI's.
            prompt_tokens: Length of the longest request; None: any length.
        """
        ...


class LedgerKey(Struct, frozen=True, kw_only=True):
    """Cache key of a label.

    Attributes:
        model: Name of the requested model, as set by `openai.ledger_name`.
        prompt_version: Version number in `core.labelling.prompts`.
        text_sha256: SHA-256 of the text as sent, in UTF-8; 32 bytes.
    """

    model: str
    prompt_version: int
    text_sha256: bytes


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """A label that was paid for.

    Attributes:
        model: Name of the model in the endpoint's answer.
        cost_micro_usd: Millionths of a US dollar.
        labelled_at: UTC.
    """

    sentiment: Sentiment
    confidence: float | None
    model: str
    prompt_tokens: int
    completion_tokens: int
    cost_micro_usd: int
    request_id: str | None
    labelled_at: datetime


class LabelLedger(Protocol):
    """A store of all labels, with claims on those being requested."""

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """Return the entries that exist.

        Raises:
            TransientError: The ledger is unavailable or busy; so for every method but `release`.
            ConfigError: It is damaged, or not a ledger; so for every method but `release`.
        """
        ...

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """Persist entries. Existing ones are not overwritten; all are durable on return."""
        ...

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """Claim keys; return those that only the caller may now request.

        The other keys are claimed elsewhere. A claim ends with `release`, or soon after its process
        dies.
        """
        ...

    def release(self, keys: Collection[LedgerKey]) -> None:
        """Release claims; keys without a claim are ignored."""
        ...

    def prove(self) -> None:
        """Check that labels can be written: space and permission.

        Call it before the first request. It changes no label and no claim, and is cheap after it
        has succeeded once.

        Raises:
            TransientError: The ledger is unavailable, busy, or a read-only replica.
            ConfigError: It is full, or writing is not permitted.
        """
        ...

    def close(self) -> None:
        """Close the connections and release all claims."""
        ...


class LedgerArchive(LabelLedger, Protocol):
    """A ledger that can list and remove its entries."""

    def entries(self) -> Iterator[tuple[LedgerKey, LedgerEntry]]:
        """Return all entries present at the start of the call, in no particular order."""
        ...

    def forget(self, keys: Collection[LedgerKey]) -> int:
        """Remove entries and return their number."""
        ...


class RateLimiter(Protocol):
    """One rate limit and one budget, shared by all clients of the model.

    Only `acquire` and `check` raise. Errors of the other methods are raised by the next `acquire`
    or `check`, so that no answer that was paid for is lost.
    """

    @property
    def tokens_per_minute(self) -> float | None:
        """The smaller of our own limit and the endpoint's; None while both are unknown."""
        ...

    async def acquire(self, most: Amount) -> None:
        """Wait until one request of this size may be sent, and reserve the amount.

        Raises:
            BudgetExceededError: The budget does not cover it, or the run was ended.
            FatalError: The shared state remains unavailable.
            ConfigError: The shared state is damaged.
        """
        ...

    def give_up(self, reserved: Amount) -> None:
        """Return the reservation of a request that is not sent."""
        ...

    def end(self, why: str) -> None:
        """End every task of this run, because a budget or a quota is spent."""
        ...

    async def check(self) -> None:
        """Raise if the run was ended.

        Raises:
            BudgetExceededError: Another task has ended the run.
            ConfigError: The shared state is damaged.
        """
        ...

    def settle(self, reserved: Amount, used: Amount) -> None:
        """Replace the reservation of one request by its actual or possible usage."""
        ...

    def throttled(self, retry_after: float | None) -> None:
        """Reduce the rate of all clients after the endpoint refused a request for its rate.

        Args:
            retry_after: Seconds to send no request, or None if the endpoint did not say.
        """
        ...

    def learn(self, limits: RateLimits) -> None:
        """Apply the limits that the endpoint reports.

        Call it for every answer, also without limits: this ends the wait for the first answer.
        """
        ...


class LimitStore(Protocol):
    """A store of the state that all clients of a model share: pace and budgets."""

    def apply(self, operation: Operation, terms: LimitKey) -> Reply:
        """Apply an operation of `core.labelling.limits` atomically, at the time of the store.

        Raises:
            TransientError: The store is unavailable or busy.
            ConfigError: It is damaged, or holds other data.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...
