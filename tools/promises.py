"""Checks that each promise has tests that fail without it: `python -m tools.promises`.

`promises.toml` lists for each promise a line that implements it, a broken version of that line,
and tests. On a copy of the tree the tests must pass; with the line broken, each one must fail.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Final

ROOT: Final = Path(__file__).parents[1]
LIST: Final = Path(__file__).with_suffix(".toml")
SECURITY: Final = "SECURITY.md"
SECTION: Final = re.compile(
    r"^## What is promised\n(.*?)(?=^## |^Tests hold)", re.MULTILINE | re.DOTALL
)
COPIED: Final = (
    "pyproject.toml",
    "README.md",
    "docs",
    "schemas",
    "src",
    "testbed",
    "tests",
    "tools",
)
SECONDS: Final = 60  # timeout per test: a test that hangs without its line fails
FAILED: Final = re.compile(r"^FAILED (\S+)", re.MULTILINE)
_NAMED: Final = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_COMPILED: Final = shutil.ignore_patterns("__pycache__")
_SENTENCE: Final = re.compile(r"(?<=[.:;])\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A promise, the line that implements it, and the tests that detect when it is broken.

    Attributes:
        page: Page that makes the promise.
        quote: Text of the promise; line breaks of the page do not matter.
        file: File that implements it.
        line: Text that occurs once in the file.
        broken: Replacement of the line.
        tests: Node ids, without parameters, of the tests that must fail then.
        servers: Whether the tests start servers.
    """

    page: str
    quote: str
    file: str
    line: str
    broken: str
    tests: tuple[str, ...]
    servers: bool = False

    def __str__(self) -> str:
        return f"{self.page}: {self.quote!r} ({self.file}: {self.line.strip().splitlines()[0]})"


def promises() -> list[Promise]:
    """Return the promises in `promises.toml`."""
    rows = tomllib.loads(LIST.read_text("utf-8"))["promises"]
    return [Promise(**row | {"tests": tuple(row["tests"])}) for row in rows]


def caveats() -> list[str]:
    """Return the texts of SECURITY.md that no line of code implements."""
    return [row["quote"] for row in tomllib.loads(LIST.read_text("utf-8"))["caveats"]]


def complaints(root: Path, rows: Sequence[Promise], beside: Iterable[str]) -> list[str]:
    """Return the differences between the list and the sources."""
    found = [f"{row}: {what}" for row in rows for what in _complaints(root, row)]
    quotes = [*(row.quote for row in rows if row.page == SECURITY), *beside]
    return found + [
        f"{SECURITY} promises what no row quotes: {sentence}"
        for sentence in sentences((root / SECURITY).read_text("utf-8"))
        if not any(quote in sentence for quote in quotes)
    ]


def sentences(page: str) -> list[str]:
    """Return the sentences and clauses in SECURITY.md's section of promises."""
    section = SECTION.search(page)
    return _SENTENCE.split(_flat(section[1])) if section else [f"(no section matches {SECTION})"]


def _complaints(root: Path, row: Promise) -> Iterator[str]:
    if row.quote not in _flat((root / row.page).read_text("utf-8")):
        yield "the page does not say so"
    if (count := (root / row.file).read_text("utf-8").count(row.line)) != 1:
        yield f"the file has the line {count} times, not once"
    if row.line == row.broken:
        yield "nothing is broken"
    yield from (f"there is no {test}" for test in row.tests if not _exists(root, test))
    if not row.tests:
        yield "no test is named"


def _flat(text: str) -> str:
    return " ".join(text.split())


def _exists(root: Path, test: str) -> bool:
    """Report whether a test exists; a class may inherit it."""
    file, *names = test.split("::")
    if not (root / file).is_file():
        return False
    there: Sequence[ast.stmt] = ast.parse((root / file).read_text("utf-8")).body
    for name in names:
        found = [each for each in there if isinstance(each, _NAMED) and each.name == name]
        if any(isinstance(each, ast.ClassDef) and each.bases for each in found):
            return True
        there = [inner for each in found for inner in each.body]
    return bool(there)


class Copy:
    """A copy of the tree in which lines are broken."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._tries = 0
        folder.mkdir()
        for name in (*COPIED, SECURITY):
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, folder / name, ignore=_COMPILED)
            else:
                shutil.copy2(ROOT / name, folder / name)

    def failed(self, tests: Iterable[str]) -> set[str]:
        """Run tests; return those with at least one failed case."""
        command = [sys.executable, "-m", "pytest", "-q", f"--timeout={SECONDS}", *tests]
        output = subprocess.run(
            command, cwd=self._folder, env=self._environ(), check=False, stdout=-1, encoding="utf-8"
        ).stdout
        return {name.partition("[")[0] for name in FAILED.findall(output)}

    def unnoticed(self, row: Promise) -> list[str]:
        """Break a promise; return the tests that still pass."""
        file = self._folder / row.file
        text, before = file.read_text("utf-8"), file.stat()
        file.write_text(text.replace(row.line, row.broken), "utf-8")
        self._tries += 1
        # Python compares only size and modification second with its compiled file.
        os.utime(file, (self._tries, self._tries))
        failed = self.failed(row.tests)
        file.write_text(text, "utf-8")
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        return [test for test in row.tests if test not in failed]

    def _environ(self) -> dict[str, str]:
        paths = os.pathsep.join(str(self._folder / name) for name in ("src", "testbed", "."))
        compiled = str(self._folder.with_name("compiled"))
        ours = {"PYTHONPATH": paths, "PYTHONPYCACHEPREFIX": compiled}
        return {**os.environ, **ours, "PYTHONDONTWRITEBYTECODE": ""}


def tried(rows: Sequence[Promise], folder: Path, jobs: int) -> Iterator[str]:
    """Break each promise in one of several copies; yield the ones that no test detected."""
    copies: SimpleQueue[Copy] = SimpleQueue()
    for number in range(jobs):
        copies.put(Copy(folder / str(number)))

    def unnoticed(row: Promise) -> list[str]:
        copy = copies.get()
        try:
            return copy.unnoticed(row)
        finally:
            copies.put(copy)

    whole = copies.get()
    yield from (f"{test} fails as it is" for test in sorted(whole.failed(_tests_of(rows))))
    copies.put(whole)
    with ThreadPoolExecutor(jobs) as pool:
        for row, tests in zip(rows, pool.map(unnoticed, rows), strict=True):
            sys.stdout.write(f"{'UNNOTICED' if tests else 'noticed'}  {row}\n")
            sys.stdout.flush()
            yield from (f"{row}: broken, and {test} passes" for test in tests)


def _tests_of(rows: Iterable[Promise]) -> list[str]:
    return sorted({test for row in rows for test in row.tests})


def main() -> int:
    """Check the requested promises; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("words", nargs="*", help="only rows that have one of these in any field")
    parser.add_argument(
        "--servers", action="store_true", help="those whose tests start servers too"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    rows = [
        row
        for row in promises()
        if (asked.servers or not row.servers)
        and (not asked.words or any(word in repr(row) for word in asked.words))
    ]
    found = complaints(ROOT, promises(), caveats())
    if not found:
        with tempfile.TemporaryDirectory(prefix="promises-") as folder:
            found = [*tried(rows, Path(folder), asked.jobs)]
    sys.stdout.write("\n".join([*found, f"{len(rows)} promises, {len(found)} complaints", ""]))
    return len(found) > 0


if __name__ == "__main__":
    sys.exit(main())
