"""`reviewstream doctor --model`: tests the capabilities of the model's endpoint."""

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Final

import click
import msgspec
from rich.text import Text

from reviewstream.cli.context import DONE, FINDINGS, Context
from reviewstream.cli.steps import steps
from reviewstream.cli.terminal import plain
from reviewstream.core.labelling.ceilings import prompt_ceiling
from reviewstream.core.labelling.costs import MILLION, cost_micro_usd
from reviewstream.core.labelling.prompts import expected_answer_tokens, question_tokens

if TYPE_CHECKING:
    from reviewstream.core.labelling.capabilities.capability_report import Finding
    from reviewstream.core.labelling.capabilities.trials import Capabilities
    from reviewstream.core.labelling.policy import LabelPolicy
    from reviewstream.settings import OpenAISettings

USUAL: Final = 8  # requests of a check
MARKS: Final = {
    "ok": ("ok     ", "green"),
    "beware": ("beware ", "yellow"),
    "failed": ("failed ", "red"),
    "unknown": ("unknown", "dim"),
}


def check_endpoint(context: Context) -> None:
    """Test the endpoint that the settings name, print its capabilities, and exit.

    Raises:
        ConfigError: The settings cannot be used; no request was sent.
    """
    from reviewstream.app import label_policy, priced, suggested_settings
    from reviewstream.cli.toml_table import as_toml
    from reviewstream.core.labelling.capabilities.capability_report import report
    from reviewstream.core.labelling.capabilities.check import bill_of

    given = context.settings.openai
    settings = priced(given)
    policy = label_policy(settings)
    announced = _announcement(policy, settings)
    _say(context, announced)
    with (
        steps(context.progress, context.console) as shown,
        shown.step(f"Asking {policy.endpoint}", f"{policy.endpoint} was asked"),
    ):
        found = asyncio.run(_asked(settings, policy))
    has_key = settings.api_key is not None or settings.api_key_command is not None
    price = _price(given, settings)
    findings = report(found, policy, price, dialect=settings.dialect, has_key=has_key)
    for finding in findings:
        _show(context, finding)
    tokens, micro_usd = bill_of(found, policy)
    _say(context, _bill(len(found.trials), tokens, micro_usd, settings))
    values = suggested_settings(found, settings)
    if context.json:
        result = {
            "good": found.is_usable,
            "checks": [msgspec.to_builtins(finding) for finding in findings],
            "announced": announced,
            "requests": len(found.trials),
            "tokens": tokens,
            "cost_usd": micro_usd / MILLION,
            "settings": values,
        }
        context.emit(result)
    elif values:
        _say(context, "For reviewstream.toml, so that the first request is right:")
        click.echo(as_toml("openai", values))
        if names := ", ".join(given.extra_headers):
            _say(context, f"Keep openai.extra_headers ({names}): its values are not shown.")
    sys.exit(DONE if found.is_usable else FINDINGS)


async def _asked(settings: "OpenAISettings", policy: "LabelPolicy") -> "Capabilities":
    from reviewstream.app import open_model, system_clock
    from reviewstream.core.labelling.capabilities.check import CapabilityCheck

    async with open_model(settings) as model:
        return await CapabilityCheck(model, policy, system_clock()).run()


def _announcement(policy: "LabelPolicy", settings: "OpenAISettings") -> str:
    """Return a sentence about the requests and costs of the check, to be printed before it."""
    from reviewstream.core.labelling.capabilities.check import MAX_QUESTIONS, most_tokens

    request, answer = most_tokens(policy)
    likely = question_tokens(request) + expected_answer_tokens(1, version=policy.prompt_version)
    ceiling = prompt_ceiling(request)
    most = cost_micro_usd(ceiling, answer, policy.ceiling_prices) * MAX_QUESTIONS
    dollars = (
        f"at most {most / MILLION:.4f} US dollars" if _is_priced(settings) else "price unknown"
    )
    return (
        f"Asking {policy.endpoint} some {USUAL} small questions, {MAX_QUESTIONS} at most: about"
        f" {USUAL * likely:,} tokens, at most {MAX_QUESTIONS * (ceiling + answer):,} if the model"
        f" reasons ({dollars}). No budget counts them."
    )


def _bill(requests: int, tokens: int, micro_usd: int, settings: "OpenAISettings") -> str:
    dollars = f", {micro_usd / MILLION:.6f} US dollars" if _is_priced(settings) or micro_usd else ""
    return f"Requests made: {requests}; {tokens:,} tokens{dollars}, as far as the answers tell."


def _is_priced(settings: "OpenAISettings") -> bool:
    from reviewstream.app import known_prices

    return known_prices(settings) is not None


def _price(given: "OpenAISettings", settings: "OpenAISettings") -> "Finding":
    """Return a finding about the price and its source.

    Args:
        given: Settings of the user.
        settings: Settings with the listed prices.
    """
    from reviewstream.app import open_price_list
    from reviewstream.core.labelling.capabilities.capability_report import Finding
    from reviewstream.core.labelling.costs import tier_factor
    from reviewstream.core.labelling.limits.budget import no_price

    if not _is_priced(settings):
        return Finding(name="price", state="beware", detail=no_price(settings.model))
    if tier_factor(settings.service_tier, settings.tier_price_factor) is None:
        detail = f"the price of the service tier {settings.service_tier} is unknown"
        fix = "set openai.tier_price_factor, its price in proportion to the standard tier"
        return Finding(name="price", state="beware", detail=detail, fix=fix)
    prices = open_price_list()
    source = "as set" if prices is None or given == settings else f"listed in {prices.name}"
    detail = (
        f"{settings.input_usd_per_million:g} US dollars for a million tokens of questions,"
        f" {settings.output_usd_per_million:g} of answers, {source}"
    )
    return Finding(name="price", state="ok", detail=detail)


def _show(context: Context, finding: "Finding") -> None:
    words, style = MARKS[finding.state]
    fix = f"\n          fix: {plain(finding.fix)}" if finding.fix else ""
    line = f" {finding.name}: {plain(finding.detail)}{fix}"
    mark: Any = Text(words, style)
    context.console.print(mark, line, sep="", markup=False, soft_wrap=True)


def _say(context: Context, sentence: str) -> None:
    context.console.print(plain(sentence), markup=False, soft_wrap=True)
