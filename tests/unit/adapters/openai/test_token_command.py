"""A command that prints the key."""

import shlex
import sys
from pathlib import Path

import anyio
import pytest

from reviewstream.adapters.openai import token_command
from reviewstream.adapters.openai.token_command import LIFETIME, TokenCommand
from reviewstream.errors import ConfigError, FatalError

pytestmark = pytest.mark.anyio


def command(script: str, *arguments: str) -> str:
    """Return a command that runs Python."""
    return shlex.join([sys.executable, "-c", script, *arguments])


@pytest.fixture
def counting(tmp_path: Path) -> str:
    """Return a command that prints how often it was run."""
    script = (
        "import sys, pathlib; file = pathlib.Path(sys.argv[1]);"
        "file.write_text(file.read_text() + 'x' if file.exists() else 'x');"
        "print('token', len(file.read_text()), sep='-')"
    )
    return command(script, str(tmp_path / "count"))


async def test_the_last_line_that_it_prints_is_the_token() -> None:
    assert (
        await TokenCommand(command("print('a warning'); print(' eyJ0.x-y_z ')"))() == "eyJ0.x-y_z"
    )


async def test_no_shell_reads_the_command(tmp_path: Path) -> None:
    made = tmp_path / "made"
    told = f"$HOME;touch {made}|`id`"
    asked = TokenCommand(command("import sys; print(repr(sys.argv[1]).replace(' ', '_'))", told))
    assert await asked() == repr(told).replace(" ", "_")
    assert not made.exists()


async def test_it_reads_nothing_and_what_it_complains_of_is_no_token() -> None:
    script = "import sys; print('help', file=sys.stderr); print(len(sys.stdin.read()))"
    assert await TokenCommand(command(script))() == "0"


async def test_it_is_run_again_when_the_token_is_old(
    counting: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    asked = TokenCommand(counting)
    assert [await asked(), await asked()] == ["token-1", "token-1"]
    now += LIFETIME - 1
    assert await asked() == "token-1"
    now += 1
    assert await asked() == "token-2"


async def test_many_who_ask_at_once_run_it_once(counting: str) -> None:
    asked, found = TokenCommand(counting), []

    async def ask() -> None:
        found.append(await asked())

    async with anyio.create_task_group() as group:
        for _ in range(10):
            group.start_soon(ask)
    assert found == ["token-1"] * 10


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("print('s3cret'); raise SystemExit(3)", "ended with 3"),
        ("import sys; sys.stderr.write('s3cret')", "printed 0 words"),
        ("print('s3cret' * 2); raise SystemExit('s3cret')", "ended with 1"),
        ("print('  ')", "printed 0 words"),
    ],
)
async def test_a_command_that_fails_ends_the_run_and_its_output_is_not_shown(
    script: str, says: str, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(FatalError, match=says) as raised:
        await TokenCommand(command(script))()
    assert "openai.api_key_command" in str(raised.value)
    assert "s3cret" not in str(raised.value)
    assert capfd.readouterr() == ("", "")


async def test_a_command_that_fails_is_run_again(tmp_path: Path) -> None:
    file = tmp_path / "token"
    asked = TokenCommand(command("import sys; print(open(sys.argv[1]).read())", str(file)))
    with pytest.raises(FatalError):
        await asked()
    file.write_text("found")
    assert await asked() == "found"


async def test_a_command_that_is_not_there_is_named() -> None:
    with pytest.raises(FatalError, match="/no/such/tool: No such file"):
        await TokenCommand("/no/such/tool --token s3cret")()


async def test_a_command_that_does_not_end_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_command, "TIMEOUT", 0.2)
    with pytest.raises(FatalError, match=r"did not end in 0\.2 s"):
        await TokenCommand(command("import time; time.sleep(60)"))()


@pytest.mark.parametrize(("words", "says"), [("tool 'open", "quotation"), ("  ", "is empty")])
def test_a_command_that_is_none_is_refused(words: str, says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        TokenCommand(words)
