"""What a run over a file would ask the model, and what that would take."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, Self

from msgspec import Struct, structs

from reviewstream.core.labelling.costs import Prices, cost_micro_usd, tier_factor
from reviewstream.core.labelling.endpoint.dialects import dialect_of
from reviewstream.core.labelling.limits.pace import MARGIN
from reviewstream.core.labelling.policy import LabelPolicy
from reviewstream.core.labelling.ports import LabelLedger, LedgerArchive, LedgerEntry, LedgerKey
from reviewstream.core.labelling.prompts import (
    expected_answer_tokens,
    is_truncated,
    question_tokens,
)
from reviewstream.core.records.batches import batches
from reviewstream.core.records.outcomes import Ok
from reviewstream.core.records.parsing import is_blank, parse_review
from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.settings import LimitsSettings, OpenAISettings, SourceSettings

ENOUGH: Final = 100  # labels bought before; the mean of fewer says little
SAMPLE: Final = 10_000  # labels whose mean is taken
LOOKED_AT: Final = 200_000  # entries of the ledger, to find them
CACHED_FROM: Final = 1_024  # prompt tokens from which OpenAI writes a request to its cache
DIGEST: Final = 8  # bytes of a text's digest that tell it from others

Bought = tuple[LedgerKey, str]


class Plan(Struct, frozen=True, kw_only=True):
    """What a run would ask, and what that would take. A review is counted in one place.

    Attributes:
        lines: Of the file; blank ones are not counted.
        bad_lines: Lines that are no review: they are rejected, and cost nothing.
        copies: Reviews whose text comes earlier in the file.
        in_ledger: Texts whose label was paid for earlier.
        to_ask: Texts that the model is asked about.
        truncated: Those of them of which it sees only the beginning.
        requests: If each is answered at once.
        prompt_tokens: A token for every four bytes, and three for each message.
        completion_tokens: An estimate; see `AnswerTokens`.
        cost_micro_usd: At the service tier of the settings.
        standard_micro_usd: At the standard tier.
        flex_micro_usd: At the flex tier.
    """

    lines: int = 0
    bad_lines: int = 0
    copies: int = 0
    in_ledger: int = 0
    to_ask: int = 0
    truncated: int = 0
    requests: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_micro_usd: int = 0
    standard_micro_usd: int = 0
    flex_micro_usd: int = 0

    @property
    def tokens(self) -> int:
        """Of all questions and answers."""
        return self.prompt_tokens + self.completion_tokens

    def plus(self, other: "Plan") -> "Plan":
        """Return the sum of two."""
        mine, its = structs.asdict(self), structs.asdict(other)
        return Plan(**{name: mine[name] + its[name] for name in mine})


class AnswerTokens(Struct, frozen=True, kw_only=True):
    """What one label of an answer takes.

    Attributes:
        per_label: Tokens.
        per_answer: Tokens of an answer beside those of its labels.
        labels: How many labels, bought before, it is the mean of; 0: it is what the prompt version
            is expected to take.
    """

    per_label: float
    per_answer: float = 0.0
    labels: int = 0


class TierPrices(Struct, frozen=True, kw_only=True):
    """Prices of the model at each service tier that a plan shows.

    Attributes:
        asked: The tier of the settings; None: its price is unknown.
        standard: The standard tier.
        flex: The flex tier.
    """

    asked: Prices | None
    standard: Prices
    flex: Prices

    @classmethod
    def of(cls, standard: Prices, settings: OpenAISettings | None = None) -> Self:
        """Return the prices of all tiers.

        Args:
            standard: Prices of the standard tier.
            settings: Tier and factor; by default the standard tier.
        """
        tier = None if settings is None else settings.service_tier
        factor = tier_factor(tier, None if settings is None else settings.tier_price_factor)
        flex = factor if tier == "flex" else tier_factor("flex", _flex_factor(settings))
        return cls(
            asked=None if factor is None else standard.scaled(factor),
            standard=standard,
            flex=standard if flex is None else standard.scaled(flex),
        )


def _flex_factor(settings: OpenAISettings | None) -> float | None:
    if settings is None:
        return None
    return dialect_of(settings.base_url, settings.dialect).flex_factor


class Planner:
    """Goes through a file as a run would, and asks nobody.

    Args:
        policy: As of the run.
        ledger: What it knows is not asked about.
        answers: What a label takes.
        remembers: Whether a text that was asked about is in the ledger from then on.
        prices: Of the model; by default those of the policy.
    """

    def __init__(
        self,
        policy: LabelPolicy,
        ledger: LabelLedger,
        answers: AnswerTokens,
        *,
        remembers: bool,
        prices: TierPrices | None = None,
    ) -> None:
        self._policy = policy
        self._prices = prices or TierPrices.of(policy.prices)
        self._ledger = ledger
        self._answers = answers
        self._remembers = remembers
        self._met: set[int] = set()

    def plan(self, lines: Iterable[Line | Oversized], source: SourceSettings) -> Plan:
        """Return the plan of a file that is read as the settings say."""
        total = Plan()
        for rows in _slices(lines, source, self._policy.pack * self._policy.concurrency):
            total = total.plus(self._slice(rows))
        return total

    def _slice(self, rows: Sequence[Line | Oversized]) -> Plan:
        """Return the plan of rows that a labeller is given at once."""
        texts = [text for row in rows for text in _text(row)]
        asked = {self._policy.key(text): text for text in texts}
        fresh = {key: text for key, text in asked.items() if self._is_new(key)}
        known = self._ledger.find(fresh.keys())
        unknown = [(key, text) for key, text in fresh.items() if key not in known]
        counted = Plan(
            lines=len(rows),
            bad_lines=len(rows) - len(texts),
            copies=len(texts) - len(fresh),
            in_ledger=len(known),
            to_ask=len(unknown),
            truncated=sum(is_truncated(text) for _, text in unknown),
        )
        for pack in self._policy.packs(unknown, lambda one: one[1]):
            counted = counted.plus(self._request(pack))
        return counted

    def _is_new(self, key: LedgerKey) -> bool:
        if not self._remembers:
            return True
        digest = int.from_bytes(key.text_sha256[:DIGEST], "big")
        is_new = digest not in self._met
        self._met.add(digest)
        return is_new

    def _request(self, pack: Sequence[Bought]) -> Plan:
        texts = self._policy.asked([text for _, text in pack])
        prompt = question_tokens(self._policy.prompt(texts).request)
        answers = self._answers
        # A label that was bought before paid its share of the control texts.
        labels = len(pack) if answers.labels else len(texts)
        completion = round(answers.per_answer + answers.per_label * labels)
        prices = self._prices
        cost = partial(
            cost_micro_usd,
            prompt,
            completion,
            written_tokens=prompt if prompt >= CACHED_FROM else 0,
        )
        return Plan(
            requests=1,
            prompt_tokens=prompt,
            completion_tokens=completion,
            cost_micro_usd=cost(prices.asked or Prices()),
            standard_micro_usd=cost(prices.standard),
            flex_micro_usd=cost(prices.flex),
        )


def answer_tokens(ledger: LedgerArchive | None, policy: LabelPolicy) -> AnswerTokens:
    """Return what a label takes: as it did before, if enough were bought with this prompt.

    Args:
        ledger: Where labels of the same model and prompt may be.
        policy: Which they are.
    """
    entries = () if ledger is None else islice(ledger.entries(), LOOKED_AT)
    alike = (entry.completion_tokens for key, entry in entries if _is_alike(key, entry, policy))
    sample = list(islice(alike, SAMPLE))
    if len(sample) < ENOUGH:
        none, one = (
            expected_answer_tokens(count, version=policy.prompt_version) for count in (0, 1)
        )
        return AnswerTokens(per_label=one - none, per_answer=none)
    return AnswerTokens(per_label=sum(sample) / len(sample), labels=len(sample))


def minutes(plan: Plan, limits: LimitsSettings) -> float | None:
    """Return how long the limits make it take; None without any: as fast as it is answered."""
    paces = (
        (plan.requests, limits.requests_per_minute),
        (plan.tokens, limits.tokens_per_minute),
    )
    taken = [amount / (limit * MARGIN) for amount, limit in paces if limit is not None]
    return max(taken, default=None)


def _slices(
    lines: Iterable[Line | Oversized], source: SourceSettings, size: int
) -> Iterator[list[Line | Oversized]]:
    """Cut lines as a run does: micro-batches, tasks, slices."""
    rows = (line for line in lines if isinstance(line, Oversized) or not is_blank(line.data))
    task = -(-source.max_rows_per_trigger // source.partitions)
    for of_task in batches(rows, task):
        yield from batches(of_task, size)


def _text(row: Line | Oversized) -> Iterator[str]:
    outcome = parse_review(row.data) if isinstance(row, Line) else None
    if isinstance(outcome, Ok):
        yield outcome.value.text


def _is_alike(key: LedgerKey, entry: LedgerEntry, policy: LabelPolicy) -> bool:
    return (
        key.model == policy.name_in_ledger
        and key.prompt_version == policy.prompt_version
        and entry.completion_tokens > 0
    )
