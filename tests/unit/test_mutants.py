"""A run of mutmut is judged by what lives."""

from tests.mutation.survivors import Mutant, complaints, report

ONE, OTHER = (Mutant("reviewstream.wire.a.f", "x < y", became) for became in ("x <= y", "x"))
KNOWN = (ONE, OTHER)
ALIVE = {ONE: "reviewstream.wire.a.x_f__mutmut_1", OTHER: "reviewstream.wire.a.x_f__mutmut_2"}
SURVIVED = dict.fromkeys(ALIVE.values(), "survived")
VERDICTS = {f"reviewstream.core.b.xǁBǁ__init____mutmut_{n}": "killed" for n in range(98)} | SURVIVED
NEW = Mutant("reviewstream.core.b.B.__init__", "a = 1", "a = 2")
NAME = "reviewstream.core.b.xǁBǁ__init____mutmut_0"


def test_a_run_is_fine_if_every_mutant_is_dead_or_listed() -> None:
    assert complaints(VERDICTS, ALIVE, KNOWN) == []


def test_a_mutant_that_lives_and_is_not_listed_is_named() -> None:
    (found,) = complaints(VERDICTS | {NAME: "survived"}, ALIVE | {NEW: NAME}, KNOWN)
    assert found == f"{NAME} lives: kill it, or list it:\n{NEW.function}\n  - a = 1\n  + a = 2"


def test_a_listed_mutant_that_lives_no_more_is_named() -> None:
    (found,) = complaints(VERDICTS, {ONE: ALIVE[ONE]}, KNOWN)
    assert found == f"does not live: take it off the list:\n{OTHER}"


def test_a_run_that_kills_too_few_is_not_fine_even_if_all_are_listed() -> None:
    few = SURVIVED | dict.fromkeys(list(VERDICTS)[:16], "timeout")
    assert complaints(few, ALIVE, KNOWN) == ["88.9 % of the mutants are killed, 90 % are wanted"]


def test_an_unfinished_run_is_not_fine() -> None:
    for verdicts in ({}, VERDICTS | {NAME: "not checked"}):
        (found,) = complaints(verdicts, ALIVE, KNOWN)
        assert found.startswith("not every mutant has a verdict")


def test_the_report_has_a_line_for_each_module_and_says_how_many_ran_into_their_limit() -> None:
    lines = report(VERDICTS | {NAME: "timeout"}).splitlines()[1:]
    assert [line.split() for line in lines] == [
        ["reviewstream.core.b", "98", "97", "1", "0", "100.0", "%"],
        ["reviewstream.wire.a", "2", "0", "0", "2", "0.0", "%"],
        ["total", "100", "97", "1", "2", "98.0", "%"],
    ]
