"""Judges a run of mutmut: enough mutants are killed, and of every other one the reason is known.

`python -m tests.mutation.survivors prepare` removes verdicts that other tests gave; then, after
`mutmut run`, `python -m tests.mutation.survivors` judges those in `mutants/`.
"""

import hashlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Final, NamedTuple

ROOT: Final = Path(__file__).parents[2]
VERDICTS: Final = ROOT / "mutants"
LIST: Final = Path(__file__).with_name("survivors.toml")
WANTED: Final = 90  # per cent
DEAD: Final = frozenset({"killed", "timeout"})
_TESTS: Final = (
    "pyproject.toml",
    "schemas",
    "tests/conftest.py",
    "tests/contract/schema_pairs.py",
    "tests/unit/core",
)
_NAME: Final = re.compile(r"([\w.]+)\.x[_ǁ](\w+)__mutmut_\d+")


class Mutant(NamedTuple):
    """One change of one function, by what it changes: mutmut's numbers move with every edit."""

    function: str
    was: str
    became: str

    def __str__(self) -> str:
        return f"{self.function}\n  - {self.was}\n  + {self.became}"


def listed() -> Mapping[Mutant, str]:
    """Return the mutants that may live, each with its reason."""
    entries = tomllib.loads(LIST.read_text(encoding="utf-8"))["mutants"]
    return {Mutant(one["function"], one["was"], one["became"]): one["reason"] for one in entries}


def complaints(
    verdicts: Mapping[str, str], alive: Mapping[Mutant, str], known: Collection[Mutant]
) -> list[str]:
    """Return what is wrong with a run.

    Args:
        verdicts: What mutmut says of each mutant, by its name.
        alive: The names of those that no test killed.
        known: Those that may live.
    """
    if not verdicts or "not checked" in verdicts.values():
        return ["not every mutant has a verdict: run `tox -e mutation` to its end"]
    new = [f"{alive[one]} lives: kill it, or list it:\n{one}" for one in alive if one not in known]
    gone = [f"does not live: take it off the list:\n{one}" for one in known if one not in alive]
    score = _score(verdicts.values())
    few = [f"{score:.1f} % of the mutants are killed, {WANTED} % are wanted"] * (score < WANTED)
    return [*new, *gone, *few]


def report(verdicts: Mapping[str, str]) -> str:
    """Return a line for each module, and one for all."""
    modules: defaultdict[str, list[str]] = defaultdict(list)
    for name, verdict in verdicts.items():
        modules[_parts(name)[0]].append(verdict)
    rows = [*sorted(modules.items()), ("total", list(verdicts.values()))]
    head = f"{'module':<32} mutants  killed  timed out  alive    score"
    return "\n".join([head, *(_row(name, found) for name, found in rows)])


def _row(name: str, verdicts: Collection[str]) -> str:
    of = Counter(verdicts)
    alive = sum(verdict not in DEAD for verdict in verdicts)
    figures = f"{len(verdicts):7} {of['killed']:7} {of['timeout']:10} {alive:6}"
    return f"{name:<32} {figures} {_score(verdicts):6.1f} %"


def _score(verdicts: Collection[str]) -> float:
    return 100 * sum(verdict in DEAD for verdict in verdicts) / len(verdicts)


def _parts(name: str) -> tuple[str, str]:
    """Return the module and the function that a mutant's name holds."""
    parts = _NAME.fullmatch(name)
    assert parts, f"{name} is not a name that mutmut gives"
    return parts[1], parts[2].replace("ǁ", ".")


def _mutant(name: str) -> Mutant:
    lines = _mutmut("show", name).splitlines()
    was, became = (
        "\n".join(line[1:].strip() for line in lines if line[0:1] == sign != line[1:2])
        for sign in "-+"
    )
    return Mutant(".".join(_parts(name)), was, became)


def _verdicts() -> Mapping[str, str]:
    lines = _mutmut("results", "--all", "true").splitlines()
    found = (line.strip().partition(": ") for line in lines)
    return {name: verdict for name, _, verdict in found}


def _mutmut(*arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "-m", "mutmut", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=-1, encoding="utf-8").stdout


def _prepare() -> None:
    """Start anew unless the tests are those of before: mutmut itself looks at the code alone."""
    digest, mark = _digest(), VERDICTS / "tests.sha256"
    if not mark.is_file() or mark.read_text("ascii") != digest:
        shutil.rmtree(VERDICTS, ignore_errors=True)
        VERDICTS.mkdir()
        mark.write_text(digest, "ascii")
    # Which tests reach which function: mutmut would not look again at one with a new name.
    (VERDICTS / "mutmut-stats.json").unlink(missing_ok=True)


def _digest() -> str:
    digest = hashlib.sha256()
    for name in _TESTS:
        for path in sorted([ROOT / name, *(ROOT / name).rglob("*")]):
            if path.is_file() and path.suffix != ".pyc":
                digest.update(f"{path.relative_to(ROOT)} {path.stat().st_size}\n".encode())
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _judge() -> int:
    verdicts = _verdicts()
    names = [name for name, verdict in verdicts.items() if verdict not in DEAD]
    alive = {} if "not checked" in verdicts.values() else {_mutant(name): name for name in names}
    found = complaints(verdicts, alive, listed().keys())
    sys.stdout.write("\n\n".join([report(verdicts), *found]) + "\n")
    return len(found) > 0


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        _prepare()
    else:
        sys.exit(_judge())
