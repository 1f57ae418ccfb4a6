"""How reviews are labelled."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import sha256
from typing import Self, TypeVar

from msgspec import Struct

from reviewstream.core.batches import bounded
from reviewstream.core.costs import Prices
from reviewstream.core.packs import overhead, tokens_of
from reviewstream.core.prices import prices_of
from reviewstream.core.prompts import (
    PROMPT_VERSION,
    TOKENS_PER_LABEL,
    Prompt,
    as_sent,
    build_prompt,
    known_version,
)
from reviewstream.pipeline.remembering import ledger_name
from reviewstream.ports import LedgerKey
from reviewstream.settings import OpenAISettings

T = TypeVar("T")


def known_prices(settings: OpenAISettings) -> Prices | None:
    """Return what the model costs, or None if nobody knows."""
    return prices_of(
        settings.model,
        prompt=settings.input_usd_per_million,
        completion=settings.output_usd_per_million,
    )


class LabelPolicy(Struct, frozen=True, kw_only=True):
    """How reviews are labelled.

    Attributes:
        model: As it is asked for.
        ledger_name: What the ledger calls it; empty for the same name.
        prompt_version: A version of `core.prompts`.
        tokens_per_label: Of an answer, at most, for each review.
        generation: 0 to 999, written into every label.
        concurrency: Requests in flight, at most.
        pack: Reviews in one request, at most.
        max_pack_tokens: Of a request with more than one review, and its answer, at most.
        max_attempts: Failed requests about one review alone, at most.
        max_wait: Seconds; no wait between two attempts is longer.
        prices: Of the model's tokens.
    """

    model: str
    ledger_name: str = ""
    prompt_version: int = PROMPT_VERSION
    tokens_per_label: int = TOKENS_PER_LABEL
    generation: int = 0
    concurrency: int = 16
    pack: int = 20
    max_pack_tokens: int = 8_000
    max_attempts: int = 6
    max_wait: float = 60.0
    prices: Prices = Prices()

    @classmethod
    def of(cls, settings: OpenAISettings) -> Self:
        """Return the policy that the settings describe.

        Raises:
            ConfigError: there is no such prompt version.
        """
        return cls(
            model=settings.model,
            ledger_name=ledger_name(settings),
            prompt_version=known_version(settings.prompt_version),
            tokens_per_label=settings.max_output_tokens_per_label,
            generation=settings.generation,
            concurrency=settings.concurrency,
            pack=settings.pack,
            max_pack_tokens=settings.max_pack_tokens,
            max_attempts=settings.max_attempts,
            max_wait=settings.max_wait,
            prices=known_prices(settings) or Prices(),
        )

    @property
    def name_in_ledger(self) -> str:
        """What the ledger calls the model."""
        return self.ledger_name or self.model

    def key(self, text: str) -> LedgerKey:
        """Return what the label of a text is remembered by."""
        return LedgerKey(
            model=self.name_in_ledger,
            prompt_version=self.prompt_version,
            text_sha256=sha256(as_sent(text).encode()).digest(),
        )

    def prompt(self, texts: Sequence[str]) -> Prompt:
        """Return the request about some texts."""
        return build_prompt(
            texts, version=self.prompt_version, tokens_per_label=self.tokens_per_label
        )

    def packs(self, items: Iterable[T], text_of: Callable[[T], str]) -> Iterator[list[T]]:
        """Deal items into packs, each for one request, in their order."""
        return bounded(
            items,
            lambda item: self._weight(text_of(item)),
            size=self.pack,
            room=self.max_pack_tokens - overhead(self.prompt_version),
        )

    def _weight(self, text: str) -> int:
        return tokens_of(text, version=self.prompt_version, tokens_per_label=self.tokens_per_label)
