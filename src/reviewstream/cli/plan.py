"""`reviewstream plan`: what a run over a file will ask, and what that will cost."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reviewstream.cli.context import FINDINGS, Context, verb
from reviewstream.cli.limits import limited
from reviewstream.core.costs import MILLION
from reviewstream.core.prices import AS_OF

if TYPE_CHECKING:
    from reviewstream.pipeline.planning import AnswerTokens, Plan
    from reviewstream.ports import LabelLedger, LedgerArchive
    from reviewstream.settings import Settings

TIGHT: Final = 0.9  # of a budget; an estimate may be a tenth off


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """A plan, and what the settings make of it.

    Attributes:
        cost_usd: None if nobody knows what the model costs.
        prices: Where the prices are from.
        minutes: None without limits.
        left_usd: Of the budget; None without one.
        budget: `suffices`, `tight` or `too small`; None without one.
    """

    model: str
    prompt_version: int
    pack: int
    cost_usd: float | None
    prices: str
    minutes: float | None
    left_usd: float | None
    budget: str | None


@click.command("plan")
@click.argument("file")
@click.option("--member", metavar="NAME", help="Which file of a tar archive (or FILE.tar:NAME).")
@verb
@limited
def command(context: Context, *, file: str, member: str | None) -> None:
    """Say what labelling FILE will take: requests, tokens, dollars and minutes. Nobody is asked.

    FILE is what `serve` takes. Exit code 1: the budget is too small.
    """
    from reviewstream.pipeline.planning import Planner, answer_tokens
    from reviewstream.pipeline.policy import LabelPolicy

    settings = context.settings
    policy = LabelPolicy.of(settings.openai)
    with _ledger(settings) as (ledger, archive):
        answers = answer_tokens(archive, policy)
        planner = Planner(policy, ledger, answers, remembers=archive is not None)
        found = _planned(context, planner.plan, file, member)
    outlook = _outlook(settings, found)
    if context.json:
        context.emit(as_json(found, answers, outlook))
    else:
        Console(highlight=False).print(plan_tables(found, answers, outlook))
    if outlook.budget == "too small":
        sys.exit(FINDINGS)


def plan_tables(plan: "Plan", answers: "AnswerTokens", outlook: Outlook) -> RenderableType:
    """Return a plan for a terminal."""
    lines = _table(
        "of the file",
        ("lines", f"{plan.lines:,}"),
        ("no review: rejected, free", f"{plan.bad_lines:,}"),
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
        ("US dollars", "?" if outlook.cost_usd is None else f"{outlook.cost_usd:,.4f}"),
        ("minutes", "?" if outlook.minutes is None else f"{outlook.minutes:,.1f}"),
    )
    return Group(lines, asked, *map(Text, _notes(answers, outlook)))


def _table(title: str, *rows: tuple[str, str]) -> Table:
    table = Table(show_header=False, title=Text(title), title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for row in rows:
        table.add_row(*row)
    return table


def as_json(plan: "Plan", answers: "AnswerTokens", outlook: Outlook) -> dict[str, Any]:
    """Return a plan as plain values."""
    counts: dict[str, Any] = msgspec.to_builtins(plan)
    del counts["cost_micro_usd"]
    return {
        **counts,
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


@contextmanager
def _ledger(settings: "Settings") -> "Iterator[tuple[LabelLedger, LedgerArchive | None]]":
    from reviewstream.app import open_archive, open_ledger

    if not settings.ledger.enabled:
        yield open_ledger(settings.ledger), None
        return
    with closing(open_archive(settings.ledger)) as archive:
        yield archive, archive


def _planned(context: Context, plan: Any, file: str, member: str | None) -> "Plan":  # noqa: ANN401
    from reviewstream.cli.reading import lines_of

    with lines_of(context, file, member) as lines:
        found: Plan = plan(lines, context.settings.source)
    return found


def _outlook(settings: "Settings", plan: "Plan") -> Outlook:
    from reviewstream.pipeline.limiting import no_price
    from reviewstream.pipeline.planning import minutes
    from reviewstream.pipeline.policy import known_prices

    model = settings.openai
    prices = known_prices(model)
    cost = None if prices is None else plan.cost_micro_usd / MILLION
    left = _left(settings)
    return Outlook(
        model=model.model,
        prompt_version=model.prompt_version,
        pack=model.pack,
        cost_usd=cost,
        prices=no_price(model) if prices is None else _origin(settings),
        minutes=minutes(plan, settings.limits),
        left_usd=left,
        budget=None if left is None or cost is None else _judged(cost, left),
    )


def _left(settings: "Settings") -> float | None:
    """Return what is left of the budget, in US dollars."""
    from reviewstream.app import open_limits
    from reviewstream.pipeline.limiting import spent_micro_usd, terms_of
    from reviewstream.settings import accounted

    if settings.limits.budget_usd is None:
        return None
    terms = terms_of(settings.openai, accounted(settings).limits)
    with closing(open_limits(settings.limits, settings.ledger)) as store:
        return settings.limits.budget_usd - spent_micro_usd(store, terms) / MILLION


def _judged(cost: float, left: float) -> str:
    if cost > left:
        return "too small"
    return "suffices" if cost <= TIGHT * left else "tight"


def _origin(settings: "Settings") -> str:
    """Return where the prices are from."""
    given = (settings.openai.input_usd_per_million, settings.openai.output_usd_per_million)
    if None not in given:
        return "as set"
    listed = f"of {AS_OF:%Y-%m-%d}, as listed"
    return listed if given == (None, None) else f"as set, and {listed}"
