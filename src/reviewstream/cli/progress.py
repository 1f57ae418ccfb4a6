"""Progress of named stages: a bar on a terminal, a line now and then elsewhere, or nothing."""

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

STEP: Final = 10  # lines per stage where there is no terminal


class Mode(StrEnum):
    """`--progress`."""

    AUTO = "auto"
    RICH = "rich"
    LOG = "log"
    NONE = "none"


class Stages(Protocol):
    """Where progress is told."""

    def update(self, stage: str, done: int, total: int) -> None:
        """Say how far a stage is; the first call of a stage begins it."""
        ...


@contextmanager
def stages(mode: Mode, console: Console) -> Iterator[Stages]:
    """Show progress on the console until the block ends."""
    if mode is Mode.AUTO:
        mode = Mode.RICH if console.is_terminal else Mode.LOG
    if mode is Mode.RICH:
        with Progress(
            TextColumn("{task.description:>10}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        ) as progress:
            yield _Bars(progress)
    else:
        yield _Lines(console) if mode is Mode.LOG else _Silence()


class _Bars:
    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._tasks: dict[str, TaskID] = {}

    def update(self, stage: str, done: int, total: int) -> None:
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage)
        self._progress.update(self._tasks[stage], completed=done, total=total)


class _Lines:
    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown: dict[str, int] = {}

    def update(self, stage: str, done: int, total: int) -> None:
        tenth = done * STEP // max(total, 1)
        if self._shown.get(stage) != tenth:
            self._shown[stage] = tenth
            self._console.print(f"{stage}: {done} of {total}")


class _Silence:
    def update(self, stage: str, done: int, total: int) -> None:
        pass
