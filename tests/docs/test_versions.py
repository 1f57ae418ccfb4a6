"""What is declared supported is what the matrix ran: docs/reference/versions.md says so."""

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.matrix.declared import (
    KAFKA,
    ROOT,
    environments,
    grouped,
    lowest,
    project,
    pythons,
    requirements,
)
from tests.matrix.installed import PYTHON, surprises
from tests.matrix.table import MARKS, NOT_RUN, PAGE

Row = dict[str, str]
DECLARED = requirements()
VARIED = ("pyspark", "openai", "elasticsearch")


def rows(part: str) -> list[Row]:
    """Return the rows of the table that stands between marks."""
    text = PAGE.read_text("utf-8")
    (found,) = (marks[0] for marks in MARKS.finditer(text) if marks[2] == part)
    head, _, *body = (
        [cell.strip(" `") for cell in line.split("|")[1:-1]]
        for line in found.splitlines()
        if line.startswith("|")
    )
    return [dict(zip(head, row, strict=True)) for row in body]


TABLE = rows("matrix")
RAN = [row for row in TABLE if row["tests passed"] != NOT_RUN]


def test_the_page_has_a_row_for_each_environment_of_the_matrix() -> None:
    assert [row["environment"] for row in TABLE] == environments()


def test_whatever_could_not_run_is_another_python() -> None:
    assert all(row["environment"].startswith("py3.") for row in TABLE if row not in RAN)
    assert all(int(row["tests passed"]) > 0 for row in RAN)


@pytest.mark.parametrize("row", RAN, ids=lambda row: row["environment"])
def test_a_row_holds_what_its_environment_is_called_and_nothing_undeclared(row: Row) -> None:
    shown = {PYTHON, KAFKA, *VARIED}
    found = {package: Version(row[package]) for package in shown}
    declared = {package: DECLARED[package] for package in shown - {PYTHON}}
    assert surprises(row["environment"], found, declared) == []


@pytest.mark.parametrize("folder", ["", "testbed"])
def test_the_classifiers_name_the_pythons_that_ran_and_no_other(folder: str) -> None:
    ran = {".".join(row[PYTHON].split(".")[:2]) for row in RAN}
    assert pythons(folder) == ran
    assert project(folder)["requires-python"] == f">={min(ran, key=Version)}"


def test_the_test_environments_are_locked_to_versions_that_are_declared() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    locked = [Requirement(line) for line in lines if not line.startswith("#")]
    assert all(str(one.specifier).startswith("==") for one in locked)
    versions: dict[str, list[str]] = {}
    for one in locked:
        versions.setdefault(canonicalize_name(one.name), []).append(str(one.specifier)[2:])
    for package, requirement in (DECLARED | grouped()).items():
        assert versions[package], package
        assert all(map(requirement.specifier.contains, versions[package])), package


def test_the_lowest_version_of_every_package_is_one_that_ran() -> None:
    table = {row["package"]: row for row in rows("packages")}
    assert list(table) == list(DECLARED)
    for package, requirement in DECLARED.items():
        assert Requirement(package + table[package]["declared"]).specifier == requirement.specifier
        assert Version(table[package]["lowest run"]) == lowest(requirement)
        assert requirement.specifier.contains(table[package]["newest run"])
