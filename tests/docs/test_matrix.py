"""The tools of the matrix: what an environment holds is compared, what ran becomes a table."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

from tests.matrix.declared import FACTOR, KAFKA, environments, expanded, lowest, requirements
from tests.matrix.installed import PYTHON, surprises
from tests.matrix.table import NOT_RUN, NotWhole, matrix, packages, rewritten, runs

DECLARED = requirements()
VARIED = ("pyspark", "openai", "elasticsearch")


@pytest.mark.parametrize("package", VARIED)
def test_every_series_within_the_bounds_of_a_package_is_in_the_matrix(package: str) -> None:
    """A series is what the factor names: 4.2 and 4.3 of pyspark, 2 and 3 of openai."""
    bounds = {each.operator: Version(each.version) for each in DECLARED[package].specifier}
    named = [FACTOR.fullmatch(factor) for name in environments() for factor in name.split("-")]
    series = {Version(each[2]).release for each in named if each and each[1] == package}
    *major, first = bounds[">="].release[: len(min(series))]
    *_, beyond = bounds["<"].release
    assert series == {(*major, number) for number in range(first, beyond)}


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        ("a", ["a"]),
        ("a{1,2}-b{3,4}, c", ["a1-b3", "a1-b4", "a2-b3", "a2-b4", "c"]),
        ("py3.{11-13}, lowest", ["py3.11", "py3.12", "py3.13", "lowest"]),
    ],
)
def test_names_are_expanded_as_tox_does(names: str, meant: list[str]) -> None:
    assert expanded(names) == meant


@pytest.mark.parametrize(
    ("environment", "found", "sentence"),
    [
        ("openai2", {"openai": "3.1"}, "openai is 3.1, not ==2.*"),
        ("openai2", {}, "openai is not installed, not ==2.*"),
        ("lowest", {"openai": "2.0.1"}, "openai is 2.0.1, not ==2"),
        ("py3.12", {"openai": "3.1", "python": "3.11.7"}, "python is 3.11.7, not ==3.12.*"),
        ("py3.11", {"openai": "4.0", "python": "3.11.7"}, "openai is 4.0, not <4,>=2"),
    ],
)
def test_a_surprise_of_the_resolver_is_one_sentence(
    environment: str, found: dict[str, str], sentence: str
) -> None:
    versions = {package: Version(version) for package, version in found.items()}
    assert sentence in surprises(environment, versions, {"openai": Requirement("openai>=2,<4")})


def test_the_oldest_and_the_newest_kafka_are_two() -> None:
    declared = {KAFKA: Requirement(f"{KAFKA}>=2.16")}
    oldest, newer = {KAFKA: Version("2.16.0")}, {KAFKA: Version("2.16.1")}
    assert surprises("kafkaoldest", oldest, declared) == []
    assert surprises("kafkanewest", newer, declared) == []
    assert surprises("kafkaoldest", newer, declared)
    assert surprises("kafkanewest", oldest, declared)


def test_a_name_that_says_nothing_of_a_version_is_refused() -> None:
    with pytest.raises(ValueError, match="openai names no version"):
        surprises("openai", {}, {})


@pytest.fixture
def results(tmp_path: Path) -> Callable[..., Path]:
    """Write what tox would of a run in which everything has its lowest version but `changes`."""

    def write(**changes: Any) -> Path:
        told = {name: _told(name) | changes for name in environments()}
        (path := tmp_path / "results.json").write_text(json.dumps({"testenvs": told}))
        return path

    return write


def _told(environment: str) -> dict[str, Any]:
    held = {package: str(lowest(each)) for package, each in DECLARED.items()} | {PYTHON: "3.11.7"}
    held |= {KAFKA: "99"} if environment == "kafkanewest" else {}
    for factor in environment.split("-"):
        if found := FACTOR.fullmatch(factor):
            name = PYTHON if found[1] == "py" else found[1]
            held[name] = held[name] if held[name].startswith(found[2]) else f"{found[2]}.0"
    lines = "".join(f"{package} {version}\n" for package, version in held.items())
    return {
        "result": {"success": True, "skipped": False},
        "test": [
            {"command": ["python", "-m", "tests.matrix.installed", environment], "output": lines},
            {"command": ["pytest"], "output": "...\n==== 1 skipped, 7 passed in 2.1s ====\n"},
        ],
    }


def test_a_run_becomes_the_two_tables(results: Callable[..., Path]) -> None:
    ran = runs([results()])
    assert [run.passed for run in ran] == [7] * len(environments())
    assert f"| `lowest` | 3.11.7 | {lowest(DECLARED['pyspark'])} |" in matrix(ran)
    assert f"| `{KAFKA}` | `{DECLARED[KAFKA].specifier}` | 2.16 | 99 |" in packages(ran)
    page = rewritten("a\n<!-- ran: matrix -->\nold\n<!-- end -->\nb", ran, "2020-02-02")
    assert page.startswith("a\n<!-- ran: matrix -->\n\nRun on 2020-02-02.\n\n| environment |")
    assert page.endswith(" | 7 |\n\n<!-- end -->\nb")
    assert rewritten(page, ran, "2020-02-02") == page


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"result": {"success": False, "skipped": False}}, "did not pass"),
        ({"result": None}, "did not run"),
        ({"test": [_told("lowest")["test"][0]]}, "did not pass"),
    ],
)
def test_a_run_that_is_not_whole_becomes_no_table(
    results: Callable[..., Path], changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(NotWhole, match=rf"^{re.escape(environments()[0])} {reason}"):
        runs([results(**changes)])


def test_a_skipped_environment_is_shown_as_one_that_did_not_run(
    results: Callable[..., Path],
) -> None:
    ran = runs([results(result={"success": False, "skipped": True})])
    assert matrix(ran).count(NOT_RUN) == len(environments())
