"""`reviewstream doctor`: what is missing on this machine, and the command that fixes it."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

import click
from rich.text import Text

from reviewstream.cli import EXTRAS
from reviewstream.cli.context import DONE, FINDINGS, Context, verb

NEEDS: Final = "psutil"  # the testbed's own checks do


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing looked at; `fix` is empty if it is good."""

    name: str
    good: bool
    detail: str
    fix: str = ""


@click.command("doctor")
@verb
def command(context: Context) -> None:
    """Say what is missing on this machine, and the command that fixes it."""
    checks = [*_extras(), *_machine()]
    for check in checks:
        mark = Text("ok     ", "green") if check.good else Text("missing", "red")
        fix = f"\n          fix: {check.fix}" if check.fix else ""
        line = f" {check.name}: {check.detail}{fix}"
        context.console.print(mark, line, sep="", markup=False, soft_wrap=True)
    good = all(check.good for check in checks)
    if context.json:
        context.emit({"good": good, "checks": [_as_json(check) for check in checks]})
    sys.exit(DONE if good else FINDINGS)


def _extras() -> Iterator[Check]:
    """Look for the packages of each extra, without importing them."""
    for extra in sorted(set(EXTRAS.values())):
        packages = [name for name, needed_by in EXTRAS.items() if needed_by == extra]
        absent = [name for name in packages if find_spec(name) is None]
        yield Check(
            name=f"extra [{extra}]",
            good=not absent,
            detail=f"{', '.join(absent)} not installed" if absent else "installed",
            fix=f"pip install 'reviewstream[{extra}]'" if absent else "",
        )


def _machine() -> Iterator[Check]:
    """Look at Java, memory, disk and downloads."""
    if find_spec(NEEDS) is None:
        return
    from reviewstream_testbed.checks import check_all

    for finding in check_all():
        yield Check(name=finding.name, good=finding.good, detail=finding.detail, fix=finding.fix)


def _as_json(check: Check) -> dict[str, object]:
    return {"name": check.name, "good": check.good, "detail": check.detail, "fix": check.fix}
