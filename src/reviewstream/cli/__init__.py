"""The command line. Each command is a module here, imported on first use."""

import sys
import traceback
from difflib import get_close_matches
from importlib import import_module
from typing import Any, Final

import click

from reviewstream.cli.signals import interrupted, obeying
from reviewstream.cli.terminal import plain_lines
from reviewstream.errors import BudgetExceededError, ReviewStreamError
from reviewstream.extras import missing

# With the first sentence of each: otherwise `--help` would import all of them.
VERBS: Final = {
    "connector": "Create, watch and control the sink connector.",
    "demo": "Run the whole pipeline here, on real servers.",
    "doctor": "Say what is missing on this machine, and the command that fixes it.",
    "evaluate": "Compare the labels of the index with the stars of their reviews.",
    "index": "Make the index ready.",
    "ledger": "Look through the labels that were paid for, keep a copy of them, forget some.",
    "plan": "Say what labelling FILE will take: requests, tokens, dollars and minutes.",
    "reconcile": "Compare the source with the topics and these with the index.",
    "rejects": "Look at what did not get through, and send it again.",
    "relabel": "Label reviews again that are on their topic, and publish the newer labels.",
    "report": "Count the reviews by sentiment, stars, year or month, and business.",
    "run": "Stream reviews from the review server to Kafka, labelled; Connect indexes them.",
    "schemas": "Register, check, show and compare the schemas of the topics.",
    "search": "Find reviews.",
    "serve": "Serve FILE (.json, .jsonl, also in .gz, .zst or tar) to any number of readers.",
}


class _Verbs(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(VERBS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        if cmd_name not in VERBS:
            return None
        command = import_module(f"reviewstream.cli.{cmd_name}").command
        assert isinstance(command, click.Command)  # noqa: S101 - the module of every command has one
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([*VERBS.items()])

    def main(self, *args: Any, **extra: Any) -> Any:  # noqa: ANN401 - click's signature
        with obeying():
            return super().main(*args, **extra)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in VERBS and not args[0].startswith("-"):
            close = get_close_matches(args[0], VERBS)
            hint = f" Did you mean {' or '.join(close)}?" if close else ""
            ctx.fail(f"No such command {args[0]!r}.{hint}")
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ReviewStreamError as err:
            if interrupted():  # an interrupted client may raise any error
                sys.exit(0)
            _complain(str(err))
            sys.exit(3 if isinstance(err, BudgetExceededError) else 2)
        except ModuleNotFoundError as err:
            if not (sentence := missing(err)):
                raise
            _complain(sentence)
            sys.exit(2)


def _complain(sentence: str) -> None:
    if "--debug" in sys.argv:
        click.echo(plain_lines(traceback.format_exc()), err=True)
    click.echo(f"reviewstream: {plain_lines(sentence)}", err=True)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(None, "--version", "-V", package_name="reviewstream")
def main() -> None:
    """Label reviews with a language model, in a stream that one can trust.

    Begin with `reviewstream demo`; `reviewstream doctor` says what is missing.
    """
