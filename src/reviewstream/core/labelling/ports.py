"""The model, the ledger, the limits and the clock, as labelling needs them."""

from collections.abc import Collection, Iterator, Mapping
from datetime import datetime
from typing import Protocol

from msgspec import Struct

from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest, RateLimits
from reviewstream.core.labelling.costs import Prices
from reviewstream.core.labelling.limits.operations import Amount, LimitKey, Operation, Reply
from reviewstream.core.records.reviews import Sentiment


class ChatModel(Protocol):
    """Answers one request."""

    async def answer(self, request: ChatRequest) -> ChatAnswer:
        """Return the model's answer, unread.

        Raises:
            RateLimitError: rate limit.
            UnknownOutcomeError: time-out, broken connection, or a body that is no completion.
            TransientError: outage.
            FatalError: refused credentials; a `BudgetExceededError` if the quota is exhausted.
            PermanentError: this request is refused (too long, malformed).
        """
        ...

    async def aclose(self) -> None:
        """Free the connections."""
        ...


class PriceList(Protocol):
    """Lists the prices of models."""

    @property
    def name(self) -> str:
        """Name, version and day of the list, for a person."""
        ...

    def prices(
        self, model: str, provider: str | None, *, prompt_tokens: int | None = None
    ) -> Prices | None:
        """Return the prices of the standard tier, or None if the model is not listed.

        A price that depends on the time of day or on the length of the request is the highest one
        that is possible. A listed model without a price for some kind of token has 0 for it.

        Args:
            model: Name, as a request has it.
            provider: Id of the endpoint's operator; None: the names are taken to be OpenAI's.
            prompt_tokens: Length of the longest request; None: any length.
        """
        ...


class LedgerKey(Struct, frozen=True, kw_only=True):
    """Cache key of a label.

    Attributes:
        model: The one that was asked, by the name that `openai.ledger_name` says.
        prompt_version: Number in `core.prompts`.
        text_sha256: Of the UTF-8 of what the model sees of the text; 32 bytes.
    """

    model: str
    prompt_version: int
    text_sha256: bytes


class LedgerEntry(Struct, frozen=True, kw_only=True):
    """A label that was paid for.

    Attributes:
        model: As the endpoint names it in its answer.
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
    """Remembers every label bought, and which are being bought just now."""

    def find(self, keys: Collection[LedgerKey]) -> Mapping[LedgerKey, LedgerEntry]:
        """Return the entries that exist.

        Raises:
            TransientError: the ledger is away or busy; so for every method but `release`.
            ConfigError: it is damaged, or not a ledger; so for every method but `release`.
        """
        ...

    def record(self, entries: Mapping[LedgerKey, LedgerEntry]) -> None:
        """Persist entries. Existing ones are not overwritten; all are durable on return."""
        ...

    def claim(self, keys: Collection[LedgerKey]) -> set[LedgerKey]:
        """Return those keys that the caller alone may now buy; the others are being bought.

        A claim ends with `release`, and soon after the death of its process.
        """
        ...

    def release(self, keys: Collection[LedgerKey]) -> None:
        """Give claims back; keys that are not claimed are fine."""
        ...

    def prove(self) -> None:
        """See that labels can be written: there is room, and permission.

        To be called before anything is bought. It changes no label and no claim, and costs little
        where it has succeeded before.

        Raises:
            TransientError: the ledger is away, busy, or only a copy that takes no writes.
            ConfigError: it is full, or takes no writes from us.
        """
        ...

    def close(self) -> None:
        """Free the connections, and with them every claim."""
        ...


class LedgerArchive(LabelLedger, Protocol):
    """A ledger that can be looked through."""

    def entries(self) -> Iterator[tuple[LedgerKey, LedgerEntry]]:
        """Return everything that was there at the start of the call, in no order."""
        ...

    def forget(self, keys: Collection[LedgerKey]) -> int:
        """Remove entries, and return how many there were."""
        ...


class RateLimiter(Protocol):
    """One limit and one budget for everyone who asks the model.

    Only `acquire` and `check` raise. What the other methods could not keep is raised by the next
    `acquire` or `check`, so that no answer is lost that was paid for.
    """

    @property
    def tokens_per_minute(self) -> float | None:
        """The smaller of our own limit and the endpoint's, as far as it is known here."""
        ...

    async def acquire(self, most: Amount) -> None:
        """Wait until one request of this much may be made, and reserve that much.

        Raises:
            BudgetExceededError: it would overdraw the budget, or the run was ended.
            FatalError: what is shared stays away.
            ConfigError: what is shared is damaged.
        """
        ...

    def give_up(self, reserved: Amount) -> None:
        """Give back what was acquired for a request that is not made."""
        ...

    def end(self, why: str) -> None:
        """End every task of this run: a budget or a quota is spent."""
        ...

    async def check(self) -> None:
        """Let nobody pass after the end of the run.

        Raises:
            BudgetExceededError: another task has ended it.
            ConfigError: what is shared is damaged.
        """
        ...

    def settle(self, reserved: Amount, used: Amount) -> None:
        """Replace what was reserved for one request by what it used, or may have used."""
        ...

    def throttled(self, retry_after: float | None) -> None:
        """Slow everyone down: the endpoint refused a request for its rate.

        Args:
            retry_after: Seconds that nobody may ask for, or None if the endpoint did not say.
        """
        ...

    def learn(self, limits: RateLimits) -> None:
        """Keep to what the endpoint says that it allows.

        It is told of every answer, of those that say nothing too: nobody need wait for it then.
        """
        ...


class LimitStore(Protocol):
    """Keeps what is shared by everyone who asks a model: its pace, and budgets."""

    def apply(self, operation: Operation, terms: LimitKey) -> Reply:
        """Do an operation of `core.limits`, alone, at the time of the store's own clock.

        Raises:
            TransientError: the store is away or busy.
            ConfigError: it is damaged, or holds something else.
        """
        ...

    def close(self) -> None:
        """Free the connections."""
        ...


class Clock(Protocol):
    """Time and chance."""

    def now(self) -> datetime:
        """Return the time in UTC."""
        ...

    def jitter(self) -> float:
        """Return a random number in [0, 1)."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...
