"""`reviewstream plan`: estimates the requests and costs of a run over a file."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from reviewstream.cli.context import FINDINGS, Context, verb
from reviewstream.cli.limits import limited
from reviewstream.cli.terminal import plain
from reviewstream.core.labelling.costs import MILLION, tier_factor
from reviewstream.core.labelling.endpoint.reasoning import manners_of

if TYPE_CHECKING:
    from reviewstream.core.labelling.planning import AnswerTokens, Plan
    from reviewstream.core.labelling.ports import LabelLedger, LedgerArchive
    from reviewstream.core.transport.inspection import BadLines, Inspection
    from reviewstream.settings import OpenAISettings, Settings

EXPLICIT: Final = "prompt_cache_options"  # field of OpenAI's requests, gpt-5.6 and later
TIGHT: Final = 0.9  # of a budget; an estimate may be a tenth off


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


@click.command("plan")
@click.argument("file")
@click.option("--member", metavar="NAME", help="Which file of a tar archive (or FILE.tar:NAME).")
@verb
@limited
def command(context: Context, *, file: str, member: str | None) -> None:
    """Say what labelling FILE will take: requests, tokens, dollars and minutes. No request is sent.

    FILE is what `serve` takes. Exit code 1: the budget is too small, or no line is a review.
    """
    from reviewstream.app import priced
    from reviewstream.core.labelling.planning import Planner, TierPrices, answer_tokens
    from reviewstream.core.labelling.policy import LabelPolicy
    from reviewstream.core.transport.inspection import Inspection

    settings = context.settings.model_copy(update={"openai": priced(context.settings.openai)})
    policy = LabelPolicy.of(settings.openai)
    prices = TierPrices.of(policy.prices, settings.openai)
    with _ledger(settings) as (ledger, archive):
        answers = answer_tokens(archive, policy)
        planner = Planner(policy, ledger, answers, remembers=archive is not None, prices=prices)
        seen = Inspection()
        found = _planned(context, planner.plan, file, member, seen)
    outlook = _outlook(settings, context.settings.openai, found, answers)
    if context.json:
        reasons = [msgspec.to_builtins(bad) for bad in seen.bad_lines()]
        context.emit({**as_json(found, answers, outlook), "no_review": reasons})
    else:
        Console(highlight=False).print(plan_tables(found, answers, outlook, seen.bad_lines()))
    if not seen.reviews:
        click.echo(plain(f"reviewstream: {seen.verdict(file)}"), err=True)
    if outlook.budget == "too small" or not seen.reviews:
        sys.exit(FINDINGS)


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


@contextmanager
def _ledger(settings: "Settings") -> "Iterator[tuple[LabelLedger, LedgerArchive | None]]":
    from reviewstream.app import open_archive, open_ledger

    if not settings.ledger.enabled:
        yield open_ledger(settings.ledger), None
        return
    with closing(open_archive(settings.ledger)) as archive:
        yield archive, archive


def _planned(
    context: Context,
    plan: Any,  # noqa: ANN401
    file: str,
    member: str | None,
    seen: "Inspection",
) -> "Plan":
    from reviewstream.cli.sources import lines_of

    with lines_of(context, file, member) as lines:
        found: Plan = plan(seen.watched(lines), context.settings.source)
    return found


def _outlook(
    settings: "Settings", given: "OpenAISettings", plan: "Plan", answers: "AnswerTokens"
) -> Outlook:
    """Evaluate a plan.

    Args:
        settings: Settings with the listed prices.
        given: Settings of the user.
        plan: The plan.
        answers: Tokens that the plan assumes per answer.
    """
    from reviewstream.core.labelling.planning import minutes
    from reviewstream.core.labelling.policy import known_prices

    model = settings.openai
    is_priced = known_prices(model) is not None
    has_tier = tier_factor(model.service_tier, model.tier_price_factor) is not None
    cost = plan.cost_micro_usd / MILLION if is_priced and has_tier else None
    left = _left(settings)
    return Outlook(
        model=model.model,
        prompt_version=model.prompt_version,
        pack=model.pack,
        service_tier=model.service_tier,
        cost_usd=cost,
        standard_usd=plan.standard_micro_usd / MILLION if is_priced else None,
        flex_usd=plan.flex_micro_usd / MILLION if is_priced else None,
        prices=_origin(given, model),
        minutes=minutes(plan, settings.limits),
        left_usd=left,
        budget=None if left is None or cost is None else _judged(cost, left),
        warnings=list(_warnings(given, model, answers)),
    )


def _warnings(
    given: "OpenAISettings", model: "OpenAISettings", answers: "AnswerTokens"
) -> Iterator[str]:
    from reviewstream.core.labelling.policy import first_options

    is_asked_not_to = first_options(model).reasoning_effort == "none"
    if manners_of(model.model).reasons and not is_asked_not_to and not answers.labels:
        yield (
            f"{model.model} can reason, and its hidden tokens are billed as answers but are not in"
            " this estimate: label some hundred reviews, then plan again"
        )
    if tier_factor(model.service_tier, model.tier_price_factor) is None:
        yield (
            f"the price of the service tier {model.service_tier} is unknown: set"
            " openai.tier_price_factor, its price in proportion to the standard tier"
        )
    yield from _list_warnings(given, model)


def _list_warnings(given: "OpenAISettings", model: "OpenAISettings") -> Iterator[str]:
    from reviewstream.app import listed_prices

    listed = listed_prices(given)
    if listed and (listed.written or 0) > listed.prompt and EXPLICIT not in given.extra_body:
        yield (
            f"{model.model} charges more for questions that it writes to its cache (listed:"
            f" {(listed.written or 0) / MILLION:g} US dollars a million), which this estimate"
            f" counts: openai.extra_body = {{{EXPLICIT} = {{mode = 'explicit'}}}} avoids it"
        )
    free = [
        name
        for name in ("input_usd_per_million", "output_usd_per_million")
        if getattr(given, name) is None and getattr(model, name) == 0
    ]
    if free:
        settings = " and ".join(f"openai.{name}" for name in free)
        yield f"the list has no price above 0 for tokens of {model.model}: set {settings} if it has"


def _left(settings: "Settings") -> float | None:
    """Return the remaining budget in US dollars; None without a budget."""
    from reviewstream.app import open_limits
    from reviewstream.core.labelling.limits.shared_limiter import spent_micro_usd, terms_of
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


def _origin(given: "OpenAISettings", model: "OpenAISettings") -> str:
    """Return the origin of the prices, or the settings to set if they are unknown.

    Args:
        given: Settings of the user.
        model: Settings with the listed prices.
    """
    from reviewstream.app import open_price_list
    from reviewstream.core.labelling.limits.shared_limiter import no_price
    from reviewstream.core.labelling.policy import known_prices

    prices = open_price_list()
    if known_prices(model) is None:
        missing = "" if prices else " (genai-prices, which lists prices, is not installed)"
        return f"{no_price(model)}{missing}"
    if prices is None or given == model:
        return "as set"
    listed = f"listed in {prices.name}"
    is_partly_set = {given.input_usd_per_million, given.output_usd_per_million} != {None}
    return f"as set, and {listed}" if is_partly_set else listed
