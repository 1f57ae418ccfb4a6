"""Progress of stages."""

import io

from rich.console import Console

from reviewstream.cli.progress import Mode, stages


def shown(mode: Mode, *, terminal: bool = False) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100)
    with stages(mode, console) as progress:
        for done in range(0, 1001, 10):
            progress.update("read", done, 1000)
    return text.getvalue()


def test_without_a_terminal_each_tenth_is_one_line() -> None:
    lines = shown(Mode.AUTO).splitlines()
    assert lines[0] == "read: 0 of 1000"
    assert lines[-1] == "read: 1000 of 1000"
    assert len(lines) == 11


def test_on_a_terminal_there_is_a_bar() -> None:
    assert "1000/1000" in shown(Mode.AUTO, terminal=True)


def test_none_is_silent() -> None:
    assert shown(Mode.NONE, terminal=True) == ""


def test_an_empty_stage_is_no_division_by_zero() -> None:
    text = io.StringIO()
    with stages(Mode.LOG, Console(file=text)) as progress:
        progress.update("read", 0, 0)
    assert text.getvalue() == "read: 0 of 0\n"
