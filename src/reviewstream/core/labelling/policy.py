"""How reviews are labelled."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cache
from hashlib import sha256
from typing import Final, Self, TypeVar

from msgspec import Struct

from reviewstream.core.labelling.chat import ChatAnswer, ChatOptions
from reviewstream.core.labelling.controls import (
    CONTROL_TEXTS,
    MAX_CONTROLS,
    Controlled,
    with_controls,
)
from reviewstream.core.labelling.costs import Prices, cost_micro_usd, tier_factor
from reviewstream.core.labelling.endpoint.dialects import dialect_of, least_effort
from reviewstream.core.labelling.endpoint.negotiation import FIELDS, HIDDEN_ROOMS
from reviewstream.core.labelling.endpoint.reasoning import manners_of
from reviewstream.core.labelling.ledger.retrying_ledger import ledger_name
from reviewstream.core.labelling.packs import overhead, tokens_of
from reviewstream.core.labelling.ports import LedgerKey
from reviewstream.core.labelling.prompts import (
    PROMPT_VERSION,
    TOKENS_PER_LABEL,
    Prompt,
    as_sent,
    build_prompt,
    known_version,
)
from reviewstream.core.records.batches import bounded
from reviewstream.settings import OpenAISettings

AUTO: Final = frozenset({*FIELDS, "hidden_tokens_per_label"})

T = TypeVar("T")


def known_prices(settings: OpenAISettings) -> Prices | None:
    """Return the prices of the standard tier, or None if the settings do not hold them.

    `app.priced` fills in those that are listed.
    """
    prompt, completion = settings.input_usd_per_million, settings.output_usd_per_million
    if prompt is None or completion is None:
        return None
    return Prices.from_usd(
        prompt=prompt,
        cached=settings.cached_input_usd_per_million,
        written=settings.cache_write_usd_per_million,
        completion=completion,
    )


class LabelPolicy(Struct, frozen=True, kw_only=True):
    """How reviews are labelled.

    Attributes:
        model: As it is asked for.
        endpoint: Its address, as messages show it.
        ledger_name: What the ledger calls it; empty for the same name.
        prompt_version: A version of `core.prompts`.
        tokens_per_label: Of an answer, at most, for each review, hidden tokens apart.
        generation: 0 to 999, written into every label.
        concurrency: Requests in flight, at most.
        pack: Reviews in one request, at most.
        max_pack_tokens: Of a request with more than one review, and its answer, hidden tokens
            apart, at most.
        max_attempts: Failed requests about one review alone before it may be rejected.
        max_wait: Seconds; no wait between two attempts is longer.
        startup_timeout: Seconds after which a run ends whose endpoint has never answered.
        controls: Hide control texts in packs; see `core.controls`.
        prices: Of the model's tokens, in the standard tier.
        price_factor: What `options.service_tier` costs in proportion to them; None: not known.
        options: Of the first request.
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

    @classmethod
    def of(cls, settings: OpenAISettings) -> Self:
        """Return the policy that the settings describe.

        Raises:
            ConfigError: there is no such prompt version, or no such dialect.
        """
        return cls(
            model=settings.model,
            endpoint=shown(settings.base_url),
            ledger_name=ledger_name(settings),
            prompt_version=known_version(settings.prompt_version),
            tokens_per_label=settings.max_output_tokens_per_label,
            generation=settings.generation,
            concurrency=settings.concurrency,
            pack=settings.pack,
            max_pack_tokens=settings.max_pack_tokens,
            max_attempts=settings.max_attempts,
            max_wait=settings.max_wait,
            startup_timeout=settings.startup_timeout,
            controls=settings.controls,
            prices=known_prices(settings) or Prices(),
            price_factor=tier_factor(settings.service_tier, settings.tier_price_factor),
            options=first_options(settings),
            auto=adaptable(settings),
        )

    @property
    def name_in_ledger(self) -> str:
        """What the ledger calls the model."""
        return self.ledger_name or self.model

    @property
    def ceiling_prices(self) -> Prices:
        """The highest prices that a request can cost, whatever tier and cache it meets."""
        return self.prices.scaled(max(self.price_factor or Fraction(1), Fraction(1))).ceiling()

    def prices_of(self, tier: str) -> Prices:
        """Return the prices of the tier that an answer names; empty: the one asked for.

        A tier whose price is not known is charged as the one that was asked for.
        """
        factor = self.price_factor
        if tier and tier != self.options.service_tier:
            factor = tier_factor(tier, None) or factor
        return self.prices.scaled(factor or Fraction(1))

    def cost_of(self, answer: ChatAnswer) -> int:
        """Return the micro-dollars of an answer: as reported, or else by the prices of its tier."""
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
        """Return the request about some texts, by default with the first options."""
        return build_prompt(
            texts,
            version=self.prompt_version,
            tokens_per_label=self.tokens_per_label,
            options=self.options if options is None else options,
            hides_ids=self.controls and len(texts) > 1,
        )

    def asked(self, texts: Sequence[str]) -> Sequence[str]:
        """Return the texts of a pack as they are asked about, control texts included."""
        return (with_controls(texts) if self.controls else Controlled(tuple(texts))).items

    def packs(
        self,
        items: Iterable[T],
        text_of: Callable[[T], str],
        *,
        tokens_per_minute: float | None = None,
        options: ChatOptions | None = None,
    ) -> Iterator[list[T]]:
        """Deal items into packs, each for one request, in their order.

        Args:
            items: As many as there are.
            text_of: Returns an item's text.
            tokens_per_minute: What the endpoint allows; no pack of several takes more.
            options: Of the requests; by default the first ones.
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
    """Return the tokens that a control text takes in a request and in its answer, at most."""
    return max(
        tokens_of(text, version=version, tokens_per_label=tokens_per_label)
        for text in CONTROL_TEXTS
    )


def first_options(settings: OpenAISettings) -> ChatOptions:
    """Return the options of the first request: as they are set, or as dialect and model need."""
    dialect = dialect_of(settings.base_url, settings.dialect)
    form, field, effort = (
        settings.response_format,
        settings.max_tokens_field,
        settings.reasoning_effort,
    )
    if effort == "auto":
        effort = least_effort(settings.model, dialect) or "default"
    reasons = manners_of(settings.model).reasons and effort != "none"
    has_room = reasons and "max_output_tokens_per_label" not in settings.model_fields_set
    return ChatOptions(
        response_format=dialect.response_formats[0] if form == "auto" else form,
        max_tokens_field=dialect.max_tokens_field if field == "auto" else field,
        reasoning_effort=None if effort == "default" else effort,
        temperature=settings.temperature,
        service_tier=settings.service_tier,
        hidden_tokens_per_label=HIDDEN_ROOMS[1] if has_room else 0,
        extra_body=settings.extra_body,
    )


def adaptable(settings: OpenAISettings) -> frozenset[str]:
    """Return the options that the user left to us."""
    left = {name for name in FIELDS if getattr(settings, name) == "auto"}
    if "max_output_tokens_per_label" not in settings.model_fields_set:
        left.add("hidden_tokens_per_label")
    return frozenset(left)


def shown(base_url: str) -> str:
    """Return an address without its query, in which some keep a key."""
    return base_url.partition("?")[0]
