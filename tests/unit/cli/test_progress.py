"""Progress of stages."""

import io
from itertools import count

import pytest
from rich.console import Console

from reviewstream.cli.progress import Mode, stages


def shown(mode: Mode, *, terminal: bool = False) -> str:
    text = io.StringIO()
    console = Console(file=text, force_terminal=terminal, width=100, highlight=False)
    with stages(mode, console) as progress:
        for done in range(0, 1001, 10):
            progress.update("read", done, 1000)
    return text.getvalue()


def test_without_a_terminal_each_tenth_is_one_line() -> None:
    lines = shown(Mode.AUTO).splitlines()
    assert lines[0] == "read: 0 of 1,000"
    assert lines[-1] == "read: 1,000 of 1,000"
    assert len(lines) == 11


def test_a_stage_that_stands_still_is_told_again_after_ten_seconds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seconds = count()
    monkeypatch.setattr("reviewstream.cli.progress.time.monotonic", lambda: next(seconds))
    text = io.StringIO()
    with stages(Mode.LOG, Console(file=text)) as progress:
        for _ in range(25):
            progress.update("read", 0, 1000, "5 reviews/s")
    assert text.getvalue() == "read: 0 of 1,000 (5 reviews/s)\n" * 3


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    assert "1000/1000" in shown(Mode.AUTO, terminal=True)


def test_where_ci_runs_there_are_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    assert shown(Mode.AUTO, terminal=True).startswith("read: 0 of 1,000\n")


def test_none_is_silent() -> None:
    assert shown(Mode.NONE, terminal=True) == ""


def test_an_empty_stage_is_no_division_by_zero() -> None:
    text = io.StringIO()
    with stages(Mode.LOG, Console(file=text)) as progress:
        progress.update("read", 0, 0)
    assert text.getvalue() == "read: 0 of 0\n"
