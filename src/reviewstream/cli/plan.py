"""`reviewstream plan`: estimates the requests and costs of a run over a file."""

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from rich.console import Console

from reviewstream.cli.context import FINDINGS, Context, verb
from reviewstream.cli.limits import limited
from reviewstream.cli.plan_result import Outlook, as_json, plan_tables
from reviewstream.cli.terminal import plain
from reviewstream.core.labelling.costs import MILLION, tier_factor
from reviewstream.core.labelling.endpoint.reasoning import manners_of

if TYPE_CHECKING:
    from reviewstream.core.labelling.planning import AnswerTokens, Plan
    from reviewstream.core.labelling.ports import LabelLedger, LedgerArchive
    from reviewstream.core.transport.inspection import Inspection
    from reviewstream.settings import OpenAISettings, Settings

EXPLICIT: Final = "prompt_cache_options"  # field of OpenAI's requests, gpt-5.6 and later
TIGHT: Final = 0.9  # of a budget; an estimate may be a tenth off


@click.command("plan")
@click.argument("file")
@click.option("--member", metavar="NAME", help="Which file of a tar archive (or FILE.tar:NAME).")
@verb
@limited
def command(context: Context, *, file: str, member: str | None) -> None:
    """Say what labelling FILE will take: requests, tokens, dollars and minutes. No request is sent.

    FILE is what `serve` takes. Exit code 1: the budget is too small, or no line is a review.
    """
    from reviewstream.app import label_policy, priced, tier_prices
    from reviewstream.core.labelling.planning import Planner, answer_tokens
    from reviewstream.core.transport.inspection import Inspection

    settings = context.settings.model_copy(update={"openai": priced(context.settings.openai)})
    policy, prices = label_policy(settings.openai), tier_prices(settings.openai)
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
        found: Plan = plan(
            seen.watched(lines),
            max_rows=context.settings.source.max_rows_per_trigger,
            partitions=context.settings.source.partitions,
        )
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
    from reviewstream.app import known_prices, rate_limits
    from reviewstream.core.labelling.planning import minutes

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
        minutes=minutes(plan, rate_limits(settings.limits)),
        left_usd=left,
        budget=None if left is None or cost is None else _judged(cost, left),
        warnings=list(_warnings(given, model, answers)),
    )


def _warnings(
    given: "OpenAISettings", model: "OpenAISettings", answers: "AnswerTokens"
) -> Iterator[str]:
    from reviewstream.app import first_options

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
    from reviewstream.app import limit_key, open_limits
    from reviewstream.core.labelling.limits.shared_limiter import spent_micro_usd
    from reviewstream.settings import accounted

    if settings.limits.budget_usd is None:
        return None
    terms = limit_key(settings.openai, accounted(settings).limits)
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
    from reviewstream.app import known_prices, open_price_list
    from reviewstream.core.labelling.limits.budget import no_price

    prices = open_price_list()
    if known_prices(model) is None:
        missing = "" if prices else " (genai-prices, which lists prices, is not installed)"
        return f"{no_price(model.model)}{missing}"
    if prices is None or given == model:
        return "as set"
    listed = f"listed in {prices.name}"
    is_partly_set = {given.input_usd_per_million, given.output_usd_per_million} != {None}
    return f"as set, and {listed}" if is_partly_set else listed
