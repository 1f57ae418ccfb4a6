"""The options of verbs that ask the model."""

import click
import pytest
from click.testing import CliRunner

from reviewstream.cli import main
from reviewstream.cli.context import Context, verb
from reviewstream.cli.limits import limited


@click.command()
@click.option("--other", default="")
@verb
@limited
def show(context: Context, *, other: str) -> None:
    """Show what a verb is given."""
    click.echo(f"{context.settings.limits!r} {context.settings.openai.pack} {other}")


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(show, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_options_are_settings_and_win_over_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REVIEWSTREAM_LIMITS__BUDGET_USD", "9")
    assert "budget_usd=9.0" in shown()
    arguments = ["--set", "limits.budget_usd=8", "--set", "limits.account=me", "--other", "x"]
    output = shown(*arguments, "--budget-usd", "0.5", "--requests-per-minute", "60")
    assert "requests_per_minute=60.0, tokens_per_minute=None, budget_usd=0.5" in output
    assert "account='me'" in output
    assert output.endswith("x\n")
    assert "tokens_per_minute=2.5, budget_usd=8.0" in shown(*arguments, "--tokens-per-minute=2.5")


def test_a_pack_is_as_large_as_was_said() -> None:
    assert shown("--other", "x").endswith(" 20 x\n")
    assert shown("--other", "x", "--pack", "7").endswith(" 7 x\n")


@pytest.mark.parametrize("name", ["run", "demo", "plan", "relabel"])
@pytest.mark.parametrize(
    "wrong",
    ["--budget-usd=-1", "--requests-per-minute=0", "--tokens-per-minute=many", "--pack=0"],
)
def test_what_cannot_be_meant_is_refused_before_anything_starts(name: str, wrong: str) -> None:
    result = CliRunner().invoke(main, [name, wrong])
    assert result.exit_code == 2
    assert f"Invalid value for '{wrong.partition('=')[0]}'" in result.output
