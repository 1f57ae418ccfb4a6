"""Options of commands that ask the model: batch size, rate limits and budget."""

from collections.abc import Callable
from dataclasses import replace
from functools import wraps

import click

from reviewstream.cli.context import Context


def limited(function: Callable[..., None]) -> Callable[..., None]:
    """Add these options to a command; they override all other sources of their settings."""

    @wraps(function)
    def command(context: Context, **options: object) -> None:
        told = {setting: options.pop(name) for name, setting in _SETTINGS.items()}
        overrides = [f"{setting}={one}" for setting, one in told.items() if one is not None]
        function(replace(context, overrides=(*context.overrides, *overrides)), **options)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_SETTINGS = {
    "pack": "openai.pack",
    "budget_usd": "limits.budget_usd",
    "requests_per_minute": "limits.requests_per_minute",
    "tokens_per_minute": "limits.tokens_per_minute",
}
_OPTIONS = (
    click.option(
        "--pack",
        type=click.IntRange(min=1),
        metavar="N",
        help="Reviews in one request, at most.",
    ),
    click.option(
        "--budget-usd",
        type=click.FloatRange(min=0),
        metavar="USD",
        help="Stop, with exit code 3, before this is overdrawn. A larger one goes on.",
    ),
    click.option(
        "--requests-per-minute",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Of all tasks together; the endpoint's own limit holds too.",
    ),
    click.option(
        "--tokens-per-minute",
        type=click.FloatRange(min=0, min_open=True),
        metavar="N",
        help="Likewise.",
    ),
)
