"""Display of slow steps while they run: servers that start, stop, or do not answer."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, RLock, Thread
from typing import Final

from rich.console import Console
from rich.errors import LiveError
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from reviewstream.asking import open_calls
from reviewstream.cli.progress import Mode, chosen

QUIET: Final = 2.0  # seconds until a slow step is displayed
HEARTBEAT: Final = 10.0  # seconds between two lines in a log
TICK: Final = 0.1  # seconds between two checks of open steps


class Steps:
    """A display of steps, which may run in several threads at once; prints the end of each.

    Args:
        mode: `Mode.NONE` shows nothing.
        console: A terminal shows a live line for each step; elsewhere a line appears after 2 s, and
            then every 10 s.
    """

    def __init__(self, mode: Mode, console: Console) -> None:
        self._mode = chosen(mode, console)
        self._console = console
        self._lock = RLock()
        self._open: dict[str, float] = {}
        self._told: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._live: Progress | None = None

    @contextmanager
    def step(self, name: str, done: str = "") -> Iterator[None]:
        """Show a step until the block ends.

        Args:
            name: Shown while it runs.
            done: Shown with its seconds after a success; empty: the name.
        """
        began = time.monotonic()
        self.begin(name)
        try:
            yield
        finally:
            self.end(name)
        self._say(f"{done or name} ({time.monotonic() - began:.1f} s)")

    @contextmanager
    def after(self, name: str) -> Iterator[None]:
        """Begin a step when the block ends; the end of the display ends it."""
        try:
            yield
        finally:
            self.begin(name)
            if self._mode is Mode.LOG:
                self._say(f"{name} ...")

    def begin(self, name: str, since: float | None = None) -> None:
        """Show a step until `end`.

        Args:
            name: Shown while it runs.
            since: When it began, by the monotonic clock; None: now.
        """
        with self._lock:
            self._open[name] = time.monotonic() if since is None else since
            if self._mode is Mode.RICH and (live := self._live or self._started(name)):
                self._tasks[name] = live.add_task(name)
                live.tasks[-1].start_time = self._open[name]

    def _started(self, name: str) -> Progress | None:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        # Standard output may be a pipe.
        live = Progress(*columns, console=self._console, transient=True, redirect_stdout=False)
        try:
            live.start()
        except LiveError:  # rich before 14.1 allows only one live display
            self._say(f"{name} ...")
        else:
            self._live = live
        return self._live

    def end(self, name: str) -> None:
        """Stop showing a step."""
        with self._lock:
            self._open.pop(name, None)
            if self._live is None or name not in self._tasks:
                return
            self._live.remove_task(self._tasks.pop(name))
            if not self._open:
                self._live.stop()
                self._live = None

    def is_open(self, name: str) -> bool:
        """Say whether a step is shown now."""
        return name in self._open

    def end_all(self) -> None:
        """Stop showing all steps."""
        for name in [*self._open]:
            self.end(name)

    def beat(self) -> None:
        """In a log, print a line for slow steps that were not printed for a while."""
        with self._lock:
            now = time.monotonic()
            slow = [name for name in self._open if now >= self._due(name)]
            self._told |= dict.fromkeys(slow, now)
            said = [f"{name} ({now - self._open[name]:.0f} s)" for name in slow]
        if said and self._mode is Mode.LOG:
            self._say(f"Still at it: {', '.join(said)}")

    def _due(self, name: str) -> float:
        told = self._told.get(name)
        due = self._open[name] + QUIET
        return due if told is None else max(due, told + HEARTBEAT)

    def _say(self, sentence: str) -> None:
        if self._mode is not Mode.NONE:
            self._console.print(sentence, markup=False, soft_wrap=True)


@contextmanager
def steps(
    mode: Mode, console: Console, look: Callable[[Steps], object] = lambda _: None
) -> Iterator[Steps]:
    """Show steps until the block ends, and end the open ones then.

    Args:
        mode: `Mode.NONE` shows nothing.
        console: As of `Steps`.
        look: Called ten times a second; may begin and end steps.
    """
    shown = Steps(mode, console)

    def tick() -> None:
        look(shown)
        shown.beat()

    try:
        with _repeated(tick):
            yield shown
    finally:
        shown.end_all()


@contextmanager
def telling_waits(mode: Mode, console: Console) -> Iterator[None]:
    """During the block, show a call to a server that takes longer than 2 s."""
    with steps(mode, console, show_wait):
        yield


def show_wait(shown: Steps) -> None:
    """Show the innermost call to a server that takes longer than 2 s."""
    now = time.monotonic()
    slow = (c for c in open_calls() if now - c.began >= TICK and now - c.since >= QUIET)
    for call in [*slow][-1:]:  # the innermost is the most specific
        if not shown.is_open(call.what):  # of several with one text, one is shown
            call.show(shown.begin, shown.end)


@contextmanager
def _repeated(do: Callable[[], object]) -> Iterator[None]:
    """Call a function repeatedly until the block ends."""
    over = Event()

    def repeat() -> None:
        while not over.wait(TICK):
            do()

    thread = Thread(target=repeat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
