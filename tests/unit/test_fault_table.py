"""The table of faults is what ran."""

from typing import Any

from tests.faults.matrix import FAULTS
from tests.faults.table import PAGE, rewritten, row, rows


def ran(name: str, *, adds_up: bool = True, ended: tuple[str, ...] = ()) -> dict[str, Any]:
    return {"fault": name, "found": {"adds_up": adds_up}, "ended": ended}


def test_a_row_says_how_often_what_became_of_the_run_and_whether_it_added_up() -> None:
    fault = FAULTS[0]
    told = [ran(fault.name), ran(fault.name), ran(fault.name, adds_up=False, ended=("no",))]
    ends = "went on (2); ended, and was started again (1)"
    assert row(fault, told) == (fault.part, fault.what, 3, ends, "2 of 3")


def test_every_fault_has_a_row_and_a_name_of_its_own() -> None:
    assert len({fault.name for fault in FAULTS}) == len(FAULTS)
    assert [each[:2] for each in rows([])] == [(fault.part, fault.what) for fault in FAULTS]


def test_the_page_is_rewritten_between_its_marks() -> None:
    page = rewritten("before\n<!-- ran -->\nold\n<!-- end -->\nafter", [], "2020-02-29")
    assert page.startswith("before\n<!-- ran -->\n\nRun on 2020-02-29.\n")
    assert page.endswith("<!-- end -->\nafter")
    assert "old" not in page


def test_the_page_has_a_row_for_every_fault() -> None:
    text = PAGE.read_text("utf-8")
    assert [name.name for name in FAULTS if f"| {name.part} | {name.what} |" not in text] == []
