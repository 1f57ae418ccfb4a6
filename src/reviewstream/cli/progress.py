"""Progress of named stages: a bar on a terminal, occasional lines elsewhere, or nothing."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from typing import Final, Protocol

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

STEP: Final = 10  # lines per stage without a terminal
EVERY: Final = 10.0  # seconds; maximum silence of a stage


class Mode(StrEnum):
    """`--progress`."""

    AUTO = "auto"
    RICH = "rich"
    LOG = "log"
    NONE = "none"


class Stages(Protocol):
    """A display of progress."""

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        """Update a stage; the first update begins it.

        Args:
            stage: Name of the stage.
            done: Number of `total` that are done.
            total: Known number of things to do.
            note: Shown beside it: rates, costs.
        """
        ...


def chosen(mode: Mode, console: Console) -> Mode:
    """Resolve `auto`: a bar if a terminal is used, else lines."""
    if mode is not Mode.AUTO:
        return mode
    return Mode.RICH if console.is_terminal and "CI" not in os.environ else Mode.LOG


@contextmanager
def stages(mode: Mode, console: Console) -> Iterator[Stages]:
    """Show progress on the console until the block ends."""
    mode = chosen(mode, console)
    if mode is Mode.RICH:
        with Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[note]}", markup=False),
            console=console,
        ) as progress:
            yield _Bars(progress)
    else:
        yield _Lines(console) if mode is Mode.LOG else _Silence()


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, note="")
        self._progress.update(self._tasks[stage], completed=done, total=total, note=note)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, tuple[int, float]] = {}

    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        tenth, now = done * STEP // max(total, 1), time.monotonic()
        before, at = self._shown.get(stage, (None, now))
        if before != tenth or now >= at + EVERY:
            self._shown[stage] = tenth, now
            beside = f" ({note})" if note else ""
            self._console.print(
                f"{stage}: {done:,} of {total:,}{beside}", markup=False, soft_wrap=True
            )


class _Silence:
    def update(self, stage: str, done: int, total: int, note: str = "") -> None:
        pass
