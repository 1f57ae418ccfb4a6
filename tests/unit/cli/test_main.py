"""The command line as a whole."""

import re
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from reviewstream import ConfigError, ReviewStreamError
from reviewstream import cli as package
from reviewstream.cli import VERBS, main
from reviewstream.errors import BudgetExceededError
from reviewstream.extras import install_command

HEAVY = (
    "reviewstream.settings",
    "pydantic",
    "pyspark",
    "openai",
    "confluent_kafka",
    "elasticsearch",
    "pyarrow",
    "aiohttp",
    "redis",
)


def test_help_lists_every_verb_with_a_sentence() -> None:
    result = CliRunner().invoke(main, ["--help"])
    assert result.exit_code == 0
    for name in VERBS:
        (line,) = [line for line in result.output.splitlines() if line.split()[:1] == [name]]
        assert len(line.split()) > 2


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"], env={"COLUMNS": "200"})
    assert (result.exit_code, result.exception) == (0, None)
    begin = VERBS[name].rstrip(".").partition(",")[0].partition(" with ")[0]
    assert begin in result.output  # the list says what the verb says of itself


def test_an_unknown_verb_is_a_usage_error() -> None:
    assert CliRunner().invoke(main, ["dance"]).exit_code == 2


@pytest.mark.parametrize(
    ("typed", "meant"),
    [(["pla", "x"], "plan"), (["serv"], "serve"), (["connector", "aply"], "apply")],
)
def test_an_unknown_verb_gets_a_suggestion(typed: list[str], meant: str) -> None:
    result = CliRunner().invoke(main, typed)
    assert result.exit_code == 2
    assert re.search(f"Did you mean '?{meant}", result.output)


def test_help_imports_nothing_heavy() -> None:
    script = (
        "import sys; from reviewstream.cli import main; main(['--help'], standalone_mode=False); "
        f"sys.exit(' '.join(name for name in {HEAVY} if name in sys.modules) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr.strip()) == (0, "")


@pytest.mark.parametrize(
    ("error", "code", "sentence"),
    [
        (ConfigError("set a key"), 2, "reviewstream: set a key"),
        (BudgetExceededError("the quota is spent"), 3, "reviewstream: the quota is spent"),
        (
            ModuleNotFoundError("No module named 'pyspark.sql'", name="pyspark.sql"),
            2,
            f"reviewstream: pyspark.sql is not installed: {install_command('spark')}",
        ),
    ],
    ids=repr,
)
def test_an_error_is_one_sentence_and_an_exit_code(
    error: Exception, code: int, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = _fail_with(error, monkeypatch)
    assert (result.exit_code, result.output.strip()) == (code, sentence)


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(_fail_with(ZeroDivisionError(), monkeypatch).exception, ZeroDivisionError)
    missing = ModuleNotFoundError("No module named 'nonesuch'", name="nonesuch")
    assert _fail_with(missing, monkeypatch).exception is missing


def test_the_sentence_comes_with_a_traceback_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["reviewstream", "fail", "--debug"])
    result = _fail_with(ReviewStreamError("no"), monkeypatch)
    assert "reviewstream: no" in result.output


@pytest.mark.parametrize("options", [[], ["--debug"]])
def test_an_error_never_controls_the_terminal(
    options: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["reviewstream", "fail", *options])
    result = _fail_with(ConfigError("a.tar has \x1b]0;PWNED\x07\x9b31m"), monkeypatch)
    assert "a.tar has  ]0;PWNED  31m" in result.output
    assert not {"\x1b", "\x07", "\x9b"} & {*result.output}


def _fail_with(error: Exception, monkeypatch: pytest.MonkeyPatch) -> click.testing.Result:
    @click.command("fail")
    def fail() -> None:
        raise error

    monkeypatch.setattr(package, "VERBS", ("fail",))
    monkeypatch.setattr(package, "import_module", lambda _: type("Module", (), {"command": fail}))
    return CliRunner().invoke(main, ["fail"])
