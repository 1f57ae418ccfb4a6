"""Dry run of labelling: the requests that a run over a file would make, and their cost."""

from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from typing import Final, Self

from msgspec import Struct, structs

from reviewstream.core.labelling.chat import RateLimits
from reviewstream.core.labelling.costs import Prices, cost_micro_usd, tier_factor
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

ENOUGH: Final = 100  # recorded labels needed for a mean
SAMPLE: Final = 10_000  # recorded labels used for the mean
LOOKED_AT: Final = 200_000  # ledger entries searched for them
CACHED_FROM: Final = 1_024  # prompt tokens from which OpenAI writes to its cache
DIGEST: Final = 8  # bytes of a text's digest used for deduplication

Bought = tuple[LedgerKey, str]


class Plan(Struct, frozen=True, kw_only=True):
    """The requests of a run and their estimated cost. Each review is in one count only.

    Attributes:
        lines: Lines of the file without blank ones.
        bad_lines: Lines that are not a valid review; they are rejected and cost nothing.
        copies: Reviews whose text occurs earlier in the file.
        in_ledger: Texts with a label in the ledger.
        to_ask: Texts sent to the model.
        truncated: Texts of `to_ask` that are sent truncated.
        requests: Number of requests without retries.
        prompt_tokens: Estimate: one token per four bytes, and three per message.
        completion_tokens: Estimate; see `AnswerTokens`.
        cost_micro_usd: Cost at the service tier of the settings.
        standard_micro_usd: Cost at the standard tier.
        flex_micro_usd: Cost at the flex tier.
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
        """Total of prompt and completion tokens."""
        return self.prompt_tokens + self.completion_tokens

    def plus(self, other: "Plan") -> "Plan":
        """Return the sum of two plans."""
        mine, its = structs.asdict(self), structs.asdict(other)
        return Plan(**{name: mine[name] + its[name] for name in mine})


class AnswerTokens(Struct, frozen=True, kw_only=True):
    """Estimated completion tokens of an answer.

    Attributes:
        per_label: Tokens of one label.
        per_answer: Tokens of an answer in addition to its labels.
        labels: Number of recorded labels averaged; 0 if the estimate comes from the prompt version.
    """

    per_label: float
    per_answer: float = 0.0
    labels: int = 0


class TierPrices(Struct, frozen=True, kw_only=True):
    """Prices of the model at the service tiers that a plan shows.

    Attributes:
        asked: Prices at the tier of the settings; None if unknown.
        standard: Prices at the standard tier.
        flex: Prices at the flex tier.
    """

    asked: Prices | None
    standard: Prices
    flex: Prices

    @classmethod
    def of(
        cls,
        standard: Prices,
        *,
        tier: str | None = None,
        tier_price_factor: float | None = None,
        flex_factor: float | None = None,
    ) -> Self:
        """Return the prices of all tiers.

        Args:
            standard: Prices of the standard tier.
            tier: Service tier of the settings; None: the standard tier.
            tier_price_factor: Price of `tier` relative to the standard tier; None: the usual one.
            flex_factor: Likewise of the flex tier, at the endpoint.
        """
        factor = tier_factor(tier, tier_price_factor)
        flex = factor if tier == "flex" else tier_factor("flex", flex_factor)
        return cls(
            asked=None if factor is None else standard.scaled(factor),
            standard=standard,
            flex=standard if flex is None else standard.scaled(flex),
        )


class Planner:
    """A dry run over a file: counts requests without sending any.

    Args:
        policy: Policy of the run.
        ledger: Ledger; texts in it are not requested.
        answers: Estimated tokens of an answer.
        remembers: Whether labels of the run are written to the ledger and reused.
        prices: Prices of the model; by default those of the policy.
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

    def plan(self, lines: Iterable[Line | Oversized], *, max_rows: int, partitions: int) -> Plan:
        """Return the plan for the lines of a file.

        Args:
            lines: All lines of the file.
            max_rows: Lines in one micro-batch.
            partitions: Tasks of a micro-batch.
        """
        total = Plan()
        task = -(-max_rows // partitions)
        for rows in _slices(lines, task, self._policy.pack * self._policy.concurrency):
            total = total.plus(self._slice(rows))
        return total

    def _slice(self, rows: Sequence[Line | Oversized]) -> Plan:
        """Return the plan for the rows that a labeller gets in one call."""
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
        # Recorded labels include their share of the control texts.
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
    """Return the estimated tokens of an answer: the mean of enough recorded labels, or a default.

    Args:
        ledger: Ledger with labels of earlier runs, or None.
        policy: Policy; only labels of its model and prompt version are used.
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


def minutes(plan: Plan, limits: RateLimits) -> float | None:
    """Return the minutes that the rate limits require; None without limits."""
    paces = (
        (plan.requests, limits.requests_per_minute),
        (plan.tokens, limits.tokens_per_minute),
    )
    taken = [amount / (limit * MARGIN) for amount, limit in paces if limit is not None]
    return max(taken, default=None)


def _slices(
    lines: Iterable[Line | Oversized], task: int, size: int
) -> Iterator[list[Line | Oversized]]:
    """Cut lines as a run does, into tasks of `task` lines, and those into slices."""
    rows = (line for line in lines if isinstance(line, Oversized) or not is_blank(line.data))
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
