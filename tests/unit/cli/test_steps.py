"""What takes time is said while it takes time."""

import io
from threading import Thread

import pytest
from rich.console import Console

from reviewstream.asking import Call
from reviewstream.cli import steps as module
from reviewstream.cli.progress import Mode
from reviewstream.cli.steps import Steps, show_wait, steps


def console(*, terminal: bool = False) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, highlight=False)


def text(of: Console) -> str:
    assert isinstance(of.file, io.StringIO)
    return of.file.getvalue()


def test_a_step_is_told_with_its_seconds_when_it_has_ended_well() -> None:
    where = console()
    with steps(Mode.LOG, where) as shown:
        with shown.step("Kafka", "Kafka is up"):
            assert text(where) == ""
        with pytest.raises(KeyError), shown.step("Spark"):
            raise KeyError
    assert text(where) == "Kafka is up (0.0 s)\n"


def test_a_log_has_a_line_now_and_then_for_what_is_not_done(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "QUIET", 0.0)
    monkeypatch.setattr(module, "HEARTBEAT", 0.01)
    monkeypatch.setattr(module, "TICK", 0.01)
    where = console()
    with steps(Mode.LOG, where) as shown, shown.step("Kafka"), shown.step("Spark"):
        while text(where).count("Still at it: Kafka (0 s), Spark (") < 2:
            pass
    said = text(where)
    Steps(Mode.LOG, where).beat()  # nothing is open
    assert text(where) == said


def test_a_terminal_shows_each_step_while_it_lasts() -> None:
    where = console(terminal=True)
    with steps(Mode.RICH, where) as shown:
        with shown.step("Kafka"), shown.step("Spark"):
            pass
        with shown.step("Query"):  # the line begins anew
            pass
    for name in ("Kafka", "Spark", "Query"):
        assert f"{name} (0." in text(where)
    assert "\x1b[?25l" in text(where)  # the cursor is hidden while there is a live line


def test_steps_of_several_threads_end_each_by_itself() -> None:
    where = console(terminal=True)
    with steps(Mode.RICH, where) as shown:

        def take(number: int) -> None:
            with shown.step(f"part {number}"):
                pass

        threads = [Thread(target=take, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert all(f"part {number} (0." in text(where) for number in range(8))


@pytest.mark.parametrize("mode", [Mode.LOG, Mode.RICH, Mode.NONE])
def test_what_begins_after_a_block_is_shown_until_all_is_over(mode: Mode) -> None:
    where = console(terminal=True)
    with steps(mode, where) as shown, shown.after("Stopping"):
        assert text(where) == ""
    assert ("Stopping" in text(where)) is (mode is not Mode.NONE)


def test_none_is_silent() -> None:
    where = console(terminal=True)
    with steps(Mode.NONE, where) as shown, shown.step("Kafka"):
        shown.beat()
    assert text(where) == ""


def test_of_calls_with_one_text_one_is_shown_until_all_have_ended() -> None:
    shown = Steps(Mode.RICH, console(terminal=True))
    early, late = Call("asking a model"), Call("asking a model")
    with early:
        early.began = early.since = 0.0
        show_wait(shown)
        with late:
            late.began = late.since = 0.0
            show_wait(shown)
        assert shown.is_open("asking a model")
    assert not shown.is_open("asking a model")


def test_a_call_is_shown_when_a_later_one_with_its_text_has_ended() -> None:
    shown = Steps(Mode.RICH, console(terminal=True))
    early, late = Call("asking a model"), Call("asking a model")
    with early:
        early.began = early.since = 0.0
        with late:
            late.began = late.since = 0.0
            show_wait(shown)
        assert not shown.is_open("asking a model")
        show_wait(shown)
        assert shown.is_open("asking a model")
    assert not shown.is_open("asking a model")


def test_a_step_that_begins_again_is_not_told_before_it_is_slow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = iter([0.0, 3.0, 20.0, 20.1])
    monkeypatch.setattr("reviewstream.cli.steps.time.monotonic", lambda: next(now))
    shown = Steps(Mode.LOG, where := console())
    shown.begin("Kafka")
    shown.beat()
    shown.end("Kafka")
    shown.begin("Kafka")
    shown.beat()
    assert text(where) == "Still at it: Kafka (3 s)\n"
