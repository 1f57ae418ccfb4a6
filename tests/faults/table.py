"""What the faults did, for people: `python -m tests.faults.table ROWS.jsonl`.

The file is the one that `$REVIEWSTREAM_FAULTS` named while `tox -e faults` ran. The table stands
between the marks of `docs/reference/faults.md`.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from tests.faults.matrix import FAULTS, Fault
from tests.matrix.table import table

PAGE: Final = Path(__file__).parents[2] / "docs" / "reference" / "faults.md"
MARKS: Final = re.compile(r"(<!-- ran -->\n).*?(<!-- end -->)", re.DOTALL)
HEAD: Final = ("part", "what happens", "times", "the run", "adds up")


def rows(ran: Iterable[Mapping[str, Any]]) -> list[tuple[object, ...]]:
    """Return a row for each fault, in the order of the matrix."""
    told = [*ran]
    return [row(fault, [one for one in told if one["fault"] == fault.name]) for fault in FAULTS]


def row(fault: Fault, ran: Sequence[Mapping[str, Any]]) -> tuple[object, ...]:
    """Return the row of a fault: how often it was tried, and what came of it."""
    sums = sum(one["found"]["adds_up"] for one in ran)
    return fault.part, fault.what, len(ran), "; ".join(ends(ran)), f"{sums} of {len(ran)}"


def ends(ran: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what became of the runs: a part for each thing that happened at all."""
    ended = sum(bool(one["ended"]) for one in ran)
    parts = {"went on": len(ran) - ended, "ended, and was started again": ended}
    return [f"{what} ({count})" for what, count in parts.items() if count]


def rewritten(page: str, ran: Sequence[Mapping[str, Any]], day: str) -> str:
    """Return the page with what ran, and when, between its marks."""
    text = table(HEAD, rows(ran))
    return MARKS.sub(lambda marks: f"{marks[1]}\nRun on {day}.\n\n{text}\n{marks[2]}", page)


if __name__ == "__main__":
    results = Path(sys.argv[1])
    ran = [json.loads(line) for line in results.read_text().splitlines()]
    day = datetime.fromtimestamp(results.stat().st_mtime, UTC).date().isoformat()
    PAGE.write_text(rewritten(PAGE.read_text("utf-8"), ran, day), "utf-8")
    if untried := {fault.name for fault in FAULTS} - {one["fault"] for one in ran}:
        sys.exit(f"not tried: {', '.join(sorted(untried))}")
