"""Each promise has a row in the list, and the list is in step with the sources."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tools.promises import ROOT, SECURITY, Promise, caveats, complaints, promises, sentences

PAGE = """# Security

## What is promised

- **No word is lost.** It is
  kept; thrice. That is:
  all.

Tests hold these.

## What is not promised

- All else.
"""
TESTS = """
class Contract: ...
class TestOne(Contract): ...
async def test_two() -> None: ...
"""
ROW = Promise(
    page=SECURITY,
    quote="It is kept;",
    file="kept.py",
    line="keep()",
    broken="pass",
    tests=("test_kept.py::TestOne::test_inherited", "test_kept.py::test_two"),
)
BESIDE = ("thrice", "That is:", "all.")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / SECURITY).write_text(PAGE)
    (tmp_path / "kept.py").write_text("if True:\n    keep()\n    other()\n    other()\n")
    (tmp_path / "test_kept.py").write_text(TESTS)
    return tmp_path


def test_every_promise_has_a_row_whose_line_and_tests_are_there() -> None:
    assert complaints(ROOT, promises(), caveats()) == []


def test_what_is_beside_the_promises_is_in_the_page() -> None:
    there = sentences((ROOT / SECURITY).read_text("utf-8"))
    assert [each for each in caveats() if not any(each in sentence for sentence in there)] == []


def test_a_list_in_step_is_fine(root: Path) -> None:
    assert complaints(root, [ROW], BESIDE) == []


def test_a_promise_is_a_part_of_a_sentence_however_its_lines_are_cut() -> None:
    parts = ["- **No word is lost.** It is kept;", "thrice.", "That is:", "all."]
    assert sentences(PAGE) == parts


def test_a_promise_without_a_row_is_named(root: Path) -> None:
    assert complaints(root, [ROW], BESIDE[:-1]) == ["SECURITY.md promises what no row quotes: all."]
    (root / SECURITY).write_text("# Security\n")
    assert len(complaints(root, [], [])) == 1


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"quote": "It was kept;"}, "the page does not say so"),
        ({"line": "give()"}, "the file has the line 0 times, not once"),
        ({"line": "other()"}, "the file has the line 2 times, not once"),
        ({"broken": "keep()"}, "nothing is broken"),
        ({"tests": ()}, "no test is named"),
        ({"tests": ("test_none.py::test_two",)}, "there is no test_none.py::test_two"),
        ({"tests": ("test_kept.py::test_one",)}, "there is no test_kept.py::test_one"),
        ({"tests": ("test_kept.py::Test::test_one",)}, "there is no test_kept.py::Test::test_one"),
    ],
)
def test_a_row_that_is_out_of_step_is_named(
    root: Path, changes: dict[str, Any], complaint: str
) -> None:
    row = replace(ROW, **changes)
    assert complaints(root, [row], [*BESIDE, ROW.quote]) == [f"{row}: {complaint}"]
