"""A download is shown as the place it is shown in can show it."""

import io
from collections.abc import Iterator

import pytest
from rich.console import Console

from reviewstream_testbed.installation.downloads import show


def names() -> Iterator[str]:
    yield from ("a", "b", "a.jar", "b.jar")


@pytest.mark.parametrize(("terminal", "environ"), [(False, {}), (True, {"CI": "true"})])
def test_a_log_gets_two_plain_lines(environ: dict[str, str], *, terminal: bool) -> None:
    out = io.StringIO()
    show(names(), environ, Console(file=out, force_terminal=terminal, highlight=False))
    first, second = out.getvalue().splitlines()
    assert first.endswith("once ...")
    assert second == "Downloaded 2 files."
    assert "\x1b" not in out.getvalue()


def test_a_terminal_gets_a_bar_with_the_newest_name() -> None:
    out = io.StringIO()
    show(names(), {}, Console(file=out, force_terminal=True, width=120))
    assert "b.jar" in out.getvalue()
    assert "%" in out.getvalue()
