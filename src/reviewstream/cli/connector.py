"""`reviewstream connector`: controls the connector that copies the topic into the index."""

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import click
import msgspec

from reviewstream.cli.context import DONE, FINDINGS, Context, verb
from reviewstream.cli.terminal import plain, plain_lines
from reviewstream.errors import ConfigError

if TYPE_CHECKING:
    from reviewstream.core.index.ports import ConnectCluster, ConnectorStatus


@click.group("connector")
def command() -> None:
    """Create, watch and control the sink connector."""


@command.command("apply")
@verb
def apply(context: Context) -> None:
    """Create or update the connector, and wait until it runs."""
    from reviewstream.app import connector_config

    config = connector_config(context.settings)
    _connect(context).apply(context.settings.connect.name, config)
    sys.exit(DONE if _present_status(context) else FINDINGS)


@command.command("status")
@verb
def status(context: Context) -> None:
    """Show the connector and its tasks; 1 if anything failed or is not there."""
    sys.exit(DONE if _present_status(context) else FINDINGS)


@command.command("validate")
@verb
def validate(context: Context) -> None:
    """Ask Connect whether the configuration is valid; 1 if it is not."""
    from reviewstream.app import connector_config, without_secrets

    config = connector_config(context.settings)
    problems = _connect(context).validate({"name": context.settings.connect.name, **config})
    if context.json:
        context.emit({"config": without_secrets(config), "problems": dict(problems)})
    else:
        _present_problems(context, problems)
    sys.exit(FINDINGS if problems else DONE)


@command.command("restart")
@verb
def restart(context: Context) -> None:
    """Restart the connector and its failed tasks."""
    _control(context, "restart", lambda connect, name: connect.restart(name))


@command.command("pause")
@verb
def pause(context: Context) -> None:
    """Pause: nothing more is indexed, nothing is lost."""
    _control(context, "pause", lambda connect, name: connect.pause(name))


@command.command("resume")
@verb
def resume(context: Context) -> None:
    """Go on where the connector was paused or stopped."""
    _control(context, "resume", lambda connect, name: connect.resume(name))


def _connect(context: Context) -> "ConnectCluster":
    from reviewstream.app import open_connect

    return open_connect(context.settings.connect)


def _control(context: Context, what: str, do: "Callable[[ConnectCluster, str], None]") -> None:
    name = context.settings.connect.name
    connect = _connect(context)
    found = connect.status(name)
    if found is None:
        raise ConfigError(
            f"there is no connector {name} to {what}: run `reviewstream connector apply`"
        )
    do(connect, name)
    if context.json:
        context.emit({"name": name, "asked": what})
    else:
        context.console.print(f"{name}: asked to {what}.")
    if what == "restart":  # a restart does not resume a paused or stopped connector
        _advise(context, found)


def _present_status(context: Context) -> bool:
    """Show the status; return whether the connector exists and neither it nor a task failed."""
    name = context.settings.connect.name
    found = _connect(context).status(name)
    if found is None:
        absent = f"there is no connector {name}: run `reviewstream connector apply`"
        context.console.print(plain(absent), markup=False, soft_wrap=True)
        if context.json:
            context.emit({"name": name, "state": "ABSENT", "tasks": [], "trace": None})
        return False
    if context.json:
        context.emit(msgspec.structs.asdict(found))
    else:
        tasks = ", ".join(found.tasks) or "none"
        context.console.print(plain(f"{name}: {found.state}; tasks: {tasks}"), markup=False)
        if found.trace:
            context.console.print(plain_lines(found.trace), markup=False)
    _advise(context, found)
    return "FAILED" not in (found.state, *found.tasks)


def _advise(context: Context, found: "ConnectorStatus") -> None:
    from reviewstream.app import failure_advice
    from reviewstream.core.index.setup import resting_advice

    if advice := resting_advice(found) or failure_advice(found.trace or ""):
        context.console.print(f"{found.name}: {advice}", markup=False, soft_wrap=True)


def _present_problems(context: Context, problems: Mapping[str, str]) -> None:
    for setting, problem in problems.items():
        click.echo(plain(f"{setting}: {problem}"))
    if not problems:
        context.console.print("The configuration is valid.")
