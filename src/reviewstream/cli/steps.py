"""Says what takes time while it takes time: servers that start, servers that stop."""

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import Event, RLock, Thread
from typing import Final

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from reviewstream.cli.progress import Mode, chosen

HEARTBEAT: Final = 10.0  # seconds between two lines in a log


class Steps:
    """Steps may be taken at the same time, by several threads. Each is told when it ends.

    Args:
        mode: `Mode.NONE` shows nothing.
        console: A terminal shows a live line for each step; elsewhere there is a line every 10 s.
    """

    def __init__(self, mode: Mode, console: Console) -> None:
        self._mode = chosen(mode, console)
        self._console = console
        self._lock = RLock()
        self._open: dict[str, float] = {}
        self._tasks: dict[str, TaskID] = {}
        self._live: Progress | None = None

    @contextmanager
    def step(self, name: str, done: str = "") -> Iterator[None]:
        """Show a step until the block ends.

        Args:
            name: Shown while it lasts.
            done: Shown with its seconds when it has ended well; empty: the name.
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
        """Begin a step when the block ends; the block around all steps ends it."""
        try:
            yield
        finally:
            self.begin(name)
            if self._mode is Mode.LOG:
                self._say(f"{name} ...")

    def begin(self, name: str) -> None:
        """Show a step until `end`."""
        with self._lock:
            self._open[name] = time.monotonic()
            if self._mode is not Mode.RICH:
                return
            if self._live is None:
                columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
                self._live = Progress(*columns, console=self._console, transient=True)
                self._live.start()
            self._tasks[name] = self._live.add_task(name)

    def end(self, name: str) -> None:
        """Show a step no longer."""
        with self._lock:
            self._open.pop(name, None)
            if self._live is None:
                return
            self._live.remove_task(self._tasks.pop(name))
            if not self._open:
                self._live.stop()
                self._live = None

    def end_all(self) -> None:
        """Show nothing any more."""
        for name in [*self._open]:
            self.end(name)

    def beat(self) -> None:
        """Print a line for what takes long."""
        with self._lock:
            now = time.monotonic()
            slow = [f"{name} ({now - began:.0f} s)" for name, began in self._open.items()]
        if slow:
            self._say(f"Still at it: {', '.join(slow)}")

    def _say(self, sentence: str) -> None:
        if self._mode is not Mode.NONE:
            self._console.print(sentence, markup=False, soft_wrap=True)


@contextmanager
def steps(mode: Mode, console: Console) -> Iterator[Steps]:
    """Show steps until the block ends, and end those that are open then."""
    shown = Steps(mode, console)
    is_log = chosen(mode, console) is Mode.LOG
    with _beating(shown) if is_log else nullcontext():
        try:
            yield shown
        finally:
            shown.end_all()


@contextmanager
def _beating(shown: Steps) -> Iterator[None]:
    over = Event()

    def beat() -> None:
        while not over.wait(HEARTBEAT):
            shown.beat()

    thread = Thread(target=beat, name="heartbeat", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
