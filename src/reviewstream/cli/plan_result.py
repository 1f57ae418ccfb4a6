"""The result of `reviewstream plan`, as tables and as JSON."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from reviewstream.core.labelling.planning import AnswerTokens, Plan
    from reviewstream.core.transport.inspection import BadLines


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, evaluated with the settings.

    Attributes:
        service_tier: The requested tier; None: the standard one.
        cost_usd: At the service tier of the settings; None if the price is unknown.
        standard_usd: At the standard tier.
        flex_usd: At the flex tier.
        prices: Origin of the prices, or the settings to set if they are unknown.
        minutes: None without limits.
        left_usd: Remaining budget; None without one.
        budget: `suffices`, `tight` or `too small`; None without one.
        warnings: Sentences about costs that the estimate may lack.
    """

    model: str
    prompt_version: int
    pack: int
    service_tier: str | None
    cost_usd: float | None
    standard_usd: float | None
    flex_usd: float | None
    prices: str
    minutes: float | None
    left_usd: float | None
    budget: str | None
    warnings: list[str]


def plan_tables(
    plan: "Plan", answers: "AnswerTokens", outlook: Outlook, bad: "Sequence[BadLines]" = ()
) -> RenderableType:
    """Render a plan for a terminal."""
    lines = _table(
        "of the file",
        ("lines", f"{plan.lines:,}"),
        ("no review: rejected, free", f"{plan.bad_lines:,}"),
        *((f"  {one.reason}, first in line {one.line:,}", f"{one.count:,}") for one in bad),
        ("copies of an earlier text: free", f"{plan.copies:,}"),
        ("texts in the ledger: free", f"{plan.in_ledger:,}"),
        ("texts to ask about", f"{plan.to_ask:,}"),
        ("of them cut to their beginning", f"{plan.truncated:,}"),
    )
    asked = _table(
        f"of {outlook.model}",
        (f"requests, of up to {outlook.pack} texts", f"{plan.requests:,}"),
        ("tokens of questions", f"{plan.prompt_tokens:,}"),
        ("tokens of answers", f"{plan.completion_tokens:,}"),
        ("US dollars", _usd(outlook.cost_usd)),
        ("at the standard / flex tier", f"{_usd(outlook.standard_usd)} / {_usd(outlook.flex_usd)}"),
        ("minutes", "?" if outlook.minutes is None else f"{outlook.minutes:,.1f}"),
    )
    return Group(lines, asked, *map(Text, _notes(answers, outlook)))


def _usd(amount: float | None) -> str:
    return "?" if amount is None else f"{amount:,.4f}"


def _table(title: str, *rows: tuple[str, str]) -> Table:
    table = Table(show_header=False, title=Text(title), title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def as_json(plan: "Plan", answers: "AnswerTokens", outlook: Outlook) -> dict[str, Any]:
    """Return a plan as built-in types."""
    counts: dict[str, Any] = msgspec.to_builtins(plan)
    return {
        **{name: count for name, count in counts.items() if not name.endswith("_micro_usd")},
        "completion_tokens_per_label": round(answers.per_label, 2),
        "completion_tokens_from": f"{answers.labels} labels" if answers.labels else "prompt",
        **msgspec.to_builtins(outlook),
    }


def _notes(answers: "AnswerTokens", outlook: Outlook) -> Iterator[str]:
    basis = (
        f"the mean of {answers.labels:,} labels in the ledger that were bought with this prompt"
        if answers.labels
        else f"what prompt version {outlook.prompt_version} is expected to take"
    )
    yield (
        "Estimates: a token for every four bytes of a question; for the answers"
        f" {answers.per_label:.1f} tokens for each label, {basis}. Every answer is good at once."
    )
    yield f"Prices: {outlook.prices}."
    yield from (f"Warning: {one}." for one in outlook.warnings)
    if outlook.minutes is None:
        yield (
            "Minutes: neither limits.requests_per_minute nor limits.tokens_per_minute is set; the"
            " endpoint says what it allows when it is first asked."
        )
    if outlook.budget is not None:
        yield f"Budget: {outlook.left_usd:,.4f} US dollars are left, which is {_verdict(outlook)}."


def _verdict(outlook: Outlook) -> str:
    return {
        "suffices": "enough",
        "tight": "hardly enough: an estimate may be a tenth off",
        "too small": "too little: the run will end early, with exit code 3, and can go on later",
    }[str(outlook.budget)]
