"""Parameters of labelling as a policy, and what follows from them for each request."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from hashlib import sha256
from typing import Final, TypeVar

from msgspec import Struct

from reviewstream.core.labelling.chat import ChatAnswer, ChatOptions
from reviewstream.core.labelling.controls import (
    CONTROL_TEXTS,
    MAX_CONTROLS,
    Controlled,
    with_controls,
)
from reviewstream.core.labelling.costs import Prices, cost_micro_usd, tier_factor
from reviewstream.core.labelling.endpoint.negotiation import FIELDS
from reviewstream.core.labelling.packs import overhead, tokens_of
from reviewstream.core.labelling.ports import LedgerKey
from reviewstream.core.labelling.prompts import (
    PROMPT_VERSION,
    TOKENS_PER_LABEL,
    Prompt,
    as_sent,
    build_prompt,
)
from reviewstream.core.records.batches import bounded

AUTO: Final = frozenset({*FIELDS, "hidden_tokens_per_label"})

T = TypeVar("T")


class LabelPolicy(Struct, frozen=True, kw_only=True):
    """Parameters of labelling.

    Attributes:
        model: Name of the model in requests.
        endpoint: Address of the endpoint for messages.
        ledger_name: Name of the model in the ledger; empty: the same as `model`.
        prompt_version: A version of `core.labelling.prompts`.
        tokens_per_label: Maximum answer tokens per review, hidden tokens excluded.
        generation: 0 to 999, written into every label.
        concurrency: Maximum number of requests in flight.
        pack: Maximum number of reviews in one request.
        max_pack_tokens: Maximum tokens of a request with several reviews and of its answer, hidden
            tokens excluded.
        max_attempts: Failed requests for a single review before it may be rejected.
        max_wait: Maximum seconds between two attempts.
        startup_timeout: Seconds until a run ends if its endpoint has never answered.
        controls: Hide control texts in packs; see `core.labelling.controls`.
        prices: Prices of the model's tokens in the standard tier.
        price_factor: Price of `options.service_tier` relative to the standard tier; None if
            unknown.
        options: Options of the first request.
        auto: Options that may be changed after the endpoint refused them.
    """

    model: str
    endpoint: str = "the model's endpoint"
    ledger_name: str = ""
    prompt_version: int = PROMPT_VERSION
    tokens_per_label: int = TOKENS_PER_LABEL
    generation: int = 0
    concurrency: int = 16
    pack: int = 20
    max_pack_tokens: int = 8_000
    max_attempts: int = 6
    max_wait: float = 60.0
    startup_timeout: float = 600.0
    controls: bool = False
    prices: Prices = Prices()
    price_factor: Fraction | None = None
    options: ChatOptions = ChatOptions()
    auto: frozenset[str] = AUTO

    @property
    def name_in_ledger(self) -> str:
        """The model's name in the ledger."""
        return self.ledger_name or self.model

    @property
    def ceiling_prices(self) -> Prices:
        """Highest possible prices of a request, for any service tier and cache state."""
        return self.prices.scaled(max(self.price_factor or Fraction(1), Fraction(1))).ceiling()

    def prices_of(self, tier: str) -> Prices:
        """Return the prices of the tier named in an answer; empty: the requested tier.

        A tier with an unknown price is charged like the requested one.
        """
        factor = self.price_factor
        if tier and tier != self.options.service_tier:
            factor = tier_factor(tier, None) or factor
        return self.prices.scaled(factor or Fraction(1))

    def cost_of(self, answer: ChatAnswer) -> int:
        """Return the cost of an answer in micro-dollars: as reported, or by its tier's prices."""
        if answer.cost_micro_usd is not None:
            return answer.cost_micro_usd
        return cost_micro_usd(
            answer.prompt_tokens,
            answer.completion_tokens,
            self.prices_of(answer.service_tier),
            cached_tokens=answer.cached_tokens,
            written_tokens=answer.written_tokens,
        )

    def key(self, text: str) -> LedgerKey:
        """Return the ledger key of a text."""
        return LedgerKey(
            model=self.name_in_ledger,
            prompt_version=self.prompt_version,
            text_sha256=sha256(as_sent(text).encode()).digest(),
        )

    def prompt(self, texts: Sequence[str], options: ChatOptions | None = None) -> Prompt:
        """Return the request for some texts, by default with the first options."""
        return build_prompt(
            texts,
            version=self.prompt_version,
            tokens_per_label=self.tokens_per_label,
            options=self.options if options is None else options,
            hides_ids=self.controls and len(texts) > 1,
        )

    def asked(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the texts of a pack as they are sent, control texts included."""
        return (with_controls(texts) if self.controls else Controlled(tuple(texts))).items

    def packs(
        self,
        items: Iterable[T],
        text_of: Callable[[T], str],
        *,
        tokens_per_minute: float | None = None,
        options: ChatOptions | None = None,
    ) -> Iterator[list[T]]:
        """Group items into packs of one request each, in order.

        Args:
            items: Items; may be unbounded.
            text_of: Returns an item's text.
            tokens_per_minute: Limit of the endpoint; no pack of several texts exceeds it.
            options: Options of the requests; by default the first ones.
        """
        hidden = (options or self.options).hidden_tokens_per_label
        controls = MAX_CONTROLS if self.controls else 0
        version, per_label = self.prompt_version, self.tokens_per_label
        before = overhead(version) + controls * control_tokens(version, per_label)
        weighed = (
            (tokens_of(text_of(item), version=version, tokens_per_label=per_label), item)
            for item in items
        )
        packs = bounded(
            weighed,
            lambda one: one[0],
            size=self.pack,
            room=self.max_pack_tokens - before,
        )
        if tokens_per_minute is not None:
            room = int(tokens_per_minute) - before - controls * hidden
            packs = (
                part
                for pack in packs
                for part in bounded(pack, lambda one: one[0] + hidden, size=self.pack, room=room)
            )
        return ([item for _, item in pack] for pack in packs)


@cache
def control_tokens(version: int, tokens_per_label: int) -> int:
    """Return the maximum number of tokens of a control text in a request and in its answer."""
    return max(
        tokens_of(text, version=version, tokens_per_label=tokens_per_label)
        for text in CONTROL_TEXTS
    )
