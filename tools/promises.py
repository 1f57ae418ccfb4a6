"""Sees that each promise has a test that fails without it: `python -m tools.promises`.

`promises.toml` names for each promise a line that keeps it, the same line broken, and tests. On a
copy of the tree the tests must pass; with the line broken, each of them must fail.
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
SECONDS: Final = 60  # for one test: one that would wait for ever without its line fails
FAILED: Final = re.compile(r"^FAILED (\S+)", re.MULTILINE)
_NAMED: Final = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_COMPILED: Final = shutil.ignore_patterns("__pycache__")
_SENTENCE: Final = re.compile(r"(?<=[.:;])\s+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A promise, the line that keeps it, and the tests that notice when it is broken.

    Attributes:
        page: Where the promise is made.
        quote: Its words; how the lines of the page are cut does not matter.
        file: Where it is kept.
        line: Text that the file has once.
        broken: What it is replaced by.
        tests: Each fails then, by its node id without parameters.
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
    """Return the rows of the list."""
    rows = tomllib.loads(LIST.read_text("utf-8"))["promises"]
    return [Promise(**row | {"tests": tuple(row["tests"])}) for row in rows]


def caveats() -> list[str]:
    """Return what SECURITY.md says beside its promises: words that no line of ours keeps."""
    return [row["quote"] for row in tomllib.loads(LIST.read_text("utf-8"))["caveats"]]


def complaints(root: Path, rows: Sequence[Promise], beside: Iterable[str]) -> list[str]:
    """Return where list and sources are out of step."""
    found = [f"{row}: {what}" for row in rows for what in _complaints(root, row)]
    quotes = [*(row.quote for row in rows if row.page == SECURITY), *beside]
    return found + [
        f"{SECURITY} promises what no row quotes: {sentence}"
        for sentence in sentences((root / SECURITY).read_text("utf-8"))
        if not any(quote in sentence for quote in quotes)
    ]


def sentences(page: str) -> list[str]:
    """Return the sentences, and the parts of them, that SECURITY.md has under its promises."""
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
    """Say whether there is a test; one of a class may be inherited."""
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
    """A copy of the tree to break lines in."""

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
        """Run tests; return those of which at least one case failed."""
        command = [sys.executable, "-m", "pytest", "-q", f"--timeout={SECONDS}", *tests]
        output = subprocess.run(
            command, cwd=self._folder, env=self._environ(), check=False, stdout=-1, encoding="utf-8"
        ).stdout
        return {name.partition("[")[0] for name in FAILED.findall(output)}

    def unnoticed(self, row: Promise) -> list[str]:
        """Break a promise; return the tests that do not fail."""
        file = self._folder / row.file
        text, before = file.read_text("utf-8"), file.stat()
        file.write_text(text.replace(row.line, row.broken), "utf-8")
        self._tries += 1
        # Python sees by size and second whether a file is the one that it has compiled.
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
    """Break each promise in one of some copies; give what was not noticed."""
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
    """Break the promises that are asked for; return the exit code."""
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
