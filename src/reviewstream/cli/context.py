"""The context of every command: its settings, and its output."""

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property, wraps
from pathlib import Path, PurePath
from typing import Any, Final

import click
import msgspec
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import SettingsConfigDict
from rich.console import Console

from reviewstream.cli.origins import (
    SettingOrigins,
    check_names,
    suggestion,
    variable,
    variable_lines,
)
from reviewstream.cli.progress import Mode
from reviewstream.cli.steps import telling_waits
from reviewstream.cli.terminal import plain, plain_json, plain_lines
from reviewstream.core.labelling.prompts import known_version
from reviewstream.errors import ConfigError, TransientError
from reviewstream.settings import SETTINGS_FILE, Settings

DONE: Final = 0
FINDINGS: Final = 1
USAGE: Final = 2
LIMIT: Final = 3
_JSON: Final = "openai.extra_body."  # the table with values of any JSON type


@dataclass(frozen=True)
class Context:
    """The common options of a command.

    Attributes:
        config: Settings file.
        env_file: File of NAME=value lines.
        overrides: `section.name=value`, one setting each.
        json: Print one JSON object, last, on standard output.
        progress: Display of progress, on standard error.
        debug: Show tracebacks and debug messages.
    """

    config: Path | None = None
    env_file: Path | None = None
    overrides: tuple[str, ...] = ()
    json: bool = False
    progress: Mode = Mode.AUTO
    debug: bool = False

    @cached_property
    def settings(self) -> Settings:
        """Load the settings.

        Raises:
            ConfigError: The message names the wrong setting, and where it was read.
        """
        return load_settings(self.config, self.env_file, self.overrides)

    @cached_property
    def console(self) -> Console:
        """The console on standard error; rich respects NO_COLOR."""
        return Console(stderr=True, highlight=False)

    def warn_of_prices(self) -> None:
        """Print a warning if the price of the model is unknown: its costs are counted as 0.

        Raises:
            ConfigError: A budget is set, but costs cannot be counted.
        """
        from reviewstream.app import known_prices, limit_key, priced
        from reviewstream.core.labelling.limits.budget import no_price

        model = priced(self.settings.openai)
        limit_key(model, self.settings.limits)
        if known_prices(model) is None:
            sentence = f"{no_price(model.model)}; until then every cost is counted as 0"
            self.console.print(sentence, markup=False, soft_wrap=True)

    def warn_of_eviction(self) -> None:
        """Print a warning if the Redis of the ledger may evict paid labels."""
        from reviewstream.app import eviction

        with suppress(TransientError):  # a later call waits for it
            if complaint := eviction(self.settings.ledger):
                self.console.print(plain(complaint), markup=False, soft_wrap=True)

    def emit(self, result: Mapping[str, Any] | Sequence[Any]) -> None:
        """Print the result as one line of JSON on standard output."""
        click.echo(plain_json(json.dumps(result, ensure_ascii=False, default=str)))


def load_settings(
    config: Path | None, env_file: Path | None, overrides: Sequence[str] = ()
) -> Settings:
    """Build the settings: overrides, environment, env file, settings file, defaults.

    Args:
        config: Settings file; None for `reviewstream.toml` in the current folder, if it exists.
        env_file: File of NAME=value lines.
        overrides: `section.name=value`; a longer path is a key of a table
            (`kafka.client.linger.ms=5`).

    Raises:
        ConfigError: The message names the wrong setting, and where it was read.
    """
    file, tree = config or Path(SETTINGS_FILE), _tree(overrides)
    origins = SettingOrigins(overrides=tree, environment=os.environ, env_file=env_file, file=file)
    _check_names(env_file)

    class Configured(Settings):
        model_config = SettingsConfigDict(toml_file=file)

    try:
        # `_env_file` is an argument of every BaseSettings that the type checker cannot see.
        read = Configured(_env_file=env_file, **tree)  # type: ignore[call-arg]
    except ValidationError as err:
        problems = err.errors(include_input=False, include_url=False)
        raise ConfigError("; ".join(_problem(each, origins) for each in problems)) from None
    except (OSError, ValueError) as err:  # a file that is not TOML, or not text
        raise ConfigError(f"{_unreadable(env_file) or file}: {err}") from None
    known_version(read.openai.prompt_version)
    return Settings.model_construct(**dict(read))  # unlike a local class, it pickles


def _check_names(env_file: Path | None) -> None:
    """Warn of names that look like settings; an env file may contain other programs' names."""
    names = dict(os.environ)
    if env_file is not None and not _unreadable(env_file):
        names |= dict.fromkeys(variable_lines(env_file.read_text(encoding="utf-8")), "")
    for warning in check_names(names):
        click.echo(plain(f"Warning: {warning}"), err=True)


def _unreadable(file: Path | None) -> Path | None:
    """Return the file if it is not text."""
    try:
        _ = file and file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return file
    return None


def _tree(overrides: Sequence[str]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for override in overrides:
        path, equals, value = override.partition("=")
        section, _, rest = path.partition(".")
        name, _, key = rest.partition(".")
        if not (equals and name):
            raise ConfigError(f"--set {override}: expected section.name=value")
        fields = tree.setdefault(section, {})
        table = fields.get(name, {}) if key else {}
        if not isinstance(table, dict):
            raise ConfigError(f"--set {section}.{name} is a value once, and once a table: {path}")
        fields[name] = {**table, key: _value(path, value)} if key else value
    return tree


def _value(path: str, text: str) -> Any:  # noqa: ANN401 - any JSON
    """Parse a value of a table with JSON values; other text stays a string."""
    if not path.startswith(_JSON):
        return text
    try:
        return msgspec.json.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return text


def _problem(error: ErrorDetails, origins: SettingOrigins) -> str:
    path = tuple(str(name) for name in error["loc"])
    origin = origins.origin(path)
    where = f" (read from {origin})" if origin else ""
    if error["type"] == "extra_forbidden":
        name = ".".join(origins.whole(path))
        return f"there is no setting {name}{where}{suggestion(name)}"
    message = error["msg"].removeprefix("Value error, ")
    return f"{'.'.join(path)} ({variable(path)}){where}: {message}"


def verb(function: Callable[..., None]) -> Callable[..., None]:
    """Add the common options to a command; it gets them as a `Context`, its first argument."""

    @wraps(function)
    def command(**options: object) -> None:
        common = {name: options.pop(name) for name in ("log_format", *_CONTEXT)}
        _start_logging(str(common.pop("log_format")), debug=bool(common["debug"]))
        context = Context(**common)  # type: ignore[arg-type] # click knows the types
        with telling_waits(context.progress, context.console):
            function(context, **options)

    for option in reversed(_OPTIONS):
        command = option(command)
    return command


_CONTEXT = tuple(field.name for field in fields(Context))
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OPTIONS = (
    click.option("-c", "--config", type=_FILE, help=f"Settings file (default ./{SETTINGS_FILE})."),
    click.option("--env-file", type=_FILE, help="File of NAME=value lines."),
    click.option(
        "-s", "--set", "overrides", multiple=True, metavar="A.B=C", help="Set one setting."
    ),
    click.option("--json", is_flag=True, help="Print one JSON object, last."),
    click.option(
        "--progress",
        type=click.Choice([mode.value for mode in Mode]),
        default=Mode.AUTO.value,
        show_default=True,
        callback=lambda _context, _option, value: Mode(value),
    ),
    click.option("--debug", is_flag=True, help="Show tracebacks and debug messages."),
    click.option("--log-format", type=click.Choice(["text", "json"]), default="text"),
)


_LINE: Final = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class _PlainLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return plain_lines(super().format(record))


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return json.dumps(
            {
                "time": self.formatTime(record),
                "level": record.levelname,
                "logger": record.name,
                "message": record.getMessage(),
            }
        )


def _start_logging(log_format: str, *, debug: bool) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines() if log_format == "json" else _PlainLines(_LINE))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("reviewstream").setLevel(logging.DEBUG if debug else logging.INFO)
    if debug:
        logging.getLogger("py4j").setLevel(logging.INFO)
    else:
        handler.addFilter(_is_not_py4j)


def _is_not_py4j(record: logging.LogRecord) -> bool:
    """Drop py4j's tracebacks of calls to an ended JVM, which `spark.jvm` reports in one sentence.

    It logs some of them by the root logger: only the source file tells.
    """
    return "py4j" not in PurePath(record.pathname).parts
