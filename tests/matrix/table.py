"""What the matrix ran, for people: `python -m tests.matrix.table RESULTS.json...`.

The files are those that `tox -m matrix --result-json RESULTS.json` writes; of an environment that
is in two of them the later counts. The tables stand in `docs/reference/versions.md`, between the
marks `ran` and `end`.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from packaging.version import Version

from tests.matrix.declared import KAFKA, ROOT, environments, requirements
from tests.matrix.installed import PYTHON, surprises

PAGE = ROOT / "docs" / "reference" / "versions.md"
MARKS = re.compile(r"(<!-- ran: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
SHOWN = (PYTHON, "pyspark", "openai", "elasticsearch", KAFKA)
NOT_RUN = "no such Python there"


class NotWhole(Exception):
    """Something of the matrix is missing, failed or installed otherwise than asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one environment held, and how many of its tests passed; none if it was skipped."""

    environment: str
    versions: Mapping[str, Version]
    passed: int


def run_of(environment: str, told: Mapping[str, Any]) -> Run:
    """Read what tox tells of one environment.

    Raises:
        NotWhole: It failed, or a version is a surprise.
    """
    result = told.get("result")
    if result is None:
        raise NotWhole(f"{environment} did not run")
    if result["skipped"]:
        return Run(environment=environment, versions={}, passed=0)
    outputs = {" ".join(map(str, each["command"])): each["output"] for each in told["test"]}
    held = next(text for command, text in outputs.items() if "tests.matrix.installed" in command)
    passed = re.findall(r"^=+ (?:.*, )?(\d+) passed", "\n".join(outputs.values()), re.MULTILINE)
    if not result["success"] or not passed:
        raise NotWhole(f"{environment} did not pass")
    versions = {name: Version(each) for name, each in map(str.split, held.splitlines())}
    if wrong := surprises(environment, versions, requirements()):
        raise NotWhole(f"{environment}: {wrong[0]}")
    return Run(environment=environment, versions=versions, passed=int(passed[-1]))


def runs(results: Iterable[Path]) -> list[Run]:
    """Return a run for each environment of the matrix.

    Raises:
        NotWhole: The first reason why these results do not stand for all of it.
    """
    told: dict[str, Any] = {}
    for path in results:
        found = json.loads(path.read_text("utf-8"))["testenvs"]
        told |= {name: each for name, each in found.items() if "result" in each}
    return [run_of(name, told.get(name, {})) for name in environments()]


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table of Markdown."""
    lines = [" | ".join(map(str, row)) for row in (tuple(head), *rows)]
    lines.insert(1, " | ".join("---" for _ in lines[0].split(" | ")))
    return "".join(f"| {line} |\n" for line in lines)


def matrix(ran: list[Run]) -> str:
    """Return a row for each environment."""
    rows = [
        (
            f"`{run.environment}`",
            *(run.versions.get(package, "") for package in SHOWN),
            run.passed or NOT_RUN,
        )
        for run in ran
    ]
    return table(("environment", *SHOWN, "tests passed"), rows)


def packages(ran: list[Run]) -> str:
    """Return a row for each declared package: its bounds, and the versions that ran."""
    rows = []
    for package, requirement in requirements().items():
        versions = {run.versions[package] for run in ran if run.versions}
        bounds = ",".join(sorted(map(str, requirement.specifier), reverse=True))
        rows.append((f"`{package}`", f"`{bounds}`", min(versions), max(versions)))
    return table(("package", "declared", "lowest run", "newest run"), rows)


def rewritten(page: str, ran: list[Run], day: str) -> str:
    """Return the page with what ran, and when, between its marks."""
    parts = {"matrix": matrix, "packages": packages}
    return MARKS.sub(
        lambda marks: f"{marks[1]}\nRun on {day}.\n\n{parts[marks[2]](ran)}\n{marks[3]}", page
    )


if __name__ == "__main__":
    results = [Path(name) for name in sys.argv[1:]]
    try:
        ran = runs(results)
    except NotWhole as err:
        sys.exit(str(err))
    newest = max(path.stat().st_mtime for path in results)
    day = datetime.fromtimestamp(newest, UTC).date().isoformat()
    PAGE.write_text(rewritten(PAGE.read_text("utf-8"), ran, day), encoding="utf-8")
    sys.stdout.write(f"{len(ran)} environments are in {PAGE.name}.\n")
