"""Ctrl-C and SIGTERM: one line on standard error, exit code 130 or 143, and an orderly end.

Python runs a signal handler only in the main thread, and not while that thread is in C code of a
client: Kafka's stays there for half a minute if the broker is unavailable. So a separate thread
receives signals through `signal.set_wakeup_fd`, prints the line, and ends the process if the main
thread does not.
"""

import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, ClassVar, Final, NoReturn

import click

NAMES: Final[dict[int, str]] = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}
PATIENCE: Final = 3.0  # seconds for closing open resources
ECHO: Final = 0.2  # seconds; GNU `timeout` signals its child, then also the child's group
HOOK: Final = 0.05  # seconds for Python to leave a finalizer's hook, which must not be interrupted
IN_FLIGHT: Final = (
    "requests in flight are finished first, as they are paid for; a second signal ends at once"
)
STDERR: Final = 2
SHOW_CURSOR: Final = b"\x1b[?25h"
_POKE: Final = b"\0"  # wakes the thread; 0 is not a signal's number


class Stopped(SystemExit):
    """A signal ends the process; open resources are closed on the way."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    """The effect of the first signal.

    Attributes:
        says: Text about the work that is ended or waited for.
        patience: Seconds for closing open resources; then the process exits at once.
        ask: Requests an orderly end, from any thread; None: the main thread is interrupted.
    """

    says: str = ""
    patience: float = PATIENCE
    ask: Callable[[], object] | None = None


class Signals:
    """Handles signals until it is closed.

    The first signal ends the command in order, or interrupts it if it has nothing to finish. The
    second one always interrupts it, and a further one exits at once.

    Attributes:
        number: Number of the first signal; 0 before it.
        is_cut: Whether the command was interrupted.
    """

    active: ClassVar["Signals | None"] = None

    def __init__(self) -> None:
        self.number = 0
        self.ending = _Ending()
        self._deaf_until = self._deadline = float("-inf")
        self._pokes = 0  # signals sent by this process
        self.is_cut = self._is_raised = self._is_swallowed = self._is_closed = False
        self._sentence = ""  # to print
        self._lock = threading.RLock()  # a handler may interrupt a handler
        self._wake, self._woken = os.pipe()
        for pipe in (self._wake, self._woken):
            os.set_blocking(pipe, False)
        self._main = threading.main_thread().ident or 0
        self._before = {number: signal.signal(number, self._handle) for number in NAMES}
        self._fd_before = signal.set_wakeup_fd(self._woken, warn_on_full_buffer=False)
        self._hook_before, sys.unraisablehook = sys.unraisablehook, self._unraisable
        self._thread = threading.Thread(target=self._watch, name="signals", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Restore the previous signal handlers."""
        self._is_closed = True  # first: a signal of ours would meet a handler that is not ours
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._hook_before
        os.write(self._woken, _POKE)
        self._thread.join()
        self._tell()
        os.close(self._wake)
        os.close(self._woken)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        """Handle a signal in the main thread."""
        self._take()
        os.write(self._woken, _POKE)
        if self.is_cut and not self._is_raised:
            self._is_raised = True
            raise Stopped(self.number)

    def _unraisable(self, found: "sys.UnraisableHookArgs") -> None:
        """Have the thread interrupt again what goes on after a finalizer that was interrupted."""
        if not isinstance(found.exc_value, Stopped):
            self._hook_before(found)
            return
        self._is_raised, self._is_swallowed = False, True
        os.write(self._woken, _POKE)

    def _watch(self) -> None:
        while not self._is_closed:
            left = self._deadline - time.monotonic()
            select.select([self._wake], [], [], max(0.0, left) if self.is_cut else None)
            was_cut = self.is_cut
            self._take()
            self._tell()
            if self.is_cut and time.monotonic() >= self._deadline:
                self._exit()
            is_new = self.is_cut and (self._is_swallowed or not was_cut)
            if is_new and not (self._is_raised or self._is_closed):
                self._poke()

    def _poke(self) -> None:
        """Interrupt the main thread, which may sleep or wait for a socket."""
        if self._is_swallowed:
            time.sleep(HOOK)
            self._is_swallowed = False
            if self._is_closed:  # the handlers are others' again
                return
        self._pokes += 1
        signal.pthread_kill(self._main, self.number)

    def _take(self) -> None:
        """Read the received signals; both threads call this, as either may run first."""
        with self._lock, suppress(BlockingIOError):
            for number in os.read(self._wake, 64):
                if number in NAMES:
                    self._obey(number)

    def _obey(self, number: int) -> None:
        now = time.monotonic()
        if self._pokes or now < self._deaf_until:
            self._pokes = 0
            return
        self._deaf_until = now + ECHO
        if self.is_cut:
            self._exit()
        ending = self.ending
        if not self.number:
            self.number = number
            self._sentence = "; ".join(filter(None, [f"stopped by {NAMES[number]}", ending.says]))
            if ending.ask is not None:
                ending.ask()
                return
        self.is_cut = True
        self._deadline = now + ending.patience

    def _exit(self) -> NoReturn:
        if os.isatty(STDERR):
            os.write(STDERR, SHOW_CURSOR)  # a bar may have hidden it
        os._exit(128 + self.number)

    def _tell(self) -> None:
        if self._sentence:
            sentence, self._sentence = self._sentence, ""
            with suppress(OSError, ValueError):  # standard error may be closed
                click.echo(f"reviewstream: {sentence}", err=True)


@contextmanager
def obeying() -> Iterator[None]:
    """Handle signals during the block, and end it with their exit code."""
    if Signals.active or threading.current_thread() is not threading.main_thread():
        yield
        return
    Signals.active = signals = Signals()
    try:
        yield
    except SystemExit as end:
        if signals.number and end.code in {None, 0, 1}:  # an error's code is more specific
            raise Stopped(signals.number) from None
        raise
    else:
        if signals.number:
            raise Stopped(signals.number)
    finally:
        Signals.active = None
        signals.close()


def interrupted() -> bool:
    """Say whether a signal interrupted the command, which explains all later errors."""
    return Signals.active is not None and Signals.active.is_cut


@contextmanager
def ending(says: str, patience: float) -> Iterator[None]:
    """Let a signal interrupt the block.

    Args:
        says: Text about the work that is ended.
        patience: Seconds for it; then the process exits.
    """
    with _changed(says=says, patience=patience, ask=None):
        yield


@contextmanager
def finishing(
    says: str = "", ask: Callable[[], object] = lambda: None
) -> Iterator[threading.Event]:
    """Let the first signal set an event instead of interrupting the block.

    Args:
        says: Text about the work that is finished first.
        ask: Also called, in any thread. It must take no lock that the main thread may hold.
    """
    stop = threading.Event()

    def end() -> None:
        stop.set()
        ask()

    with _changed(says=says, ask=end):
        yield stop


def in_loop(call: Callable[[], object]) -> Callable[[], object]:
    """Return a thread-safe function that makes the call in the running event loop."""
    import asyncio

    loop = asyncio.get_running_loop()
    return lambda: loop.call_soon_threadsafe(call)


@contextmanager
def _changed(**changes: Any) -> Iterator[None]:  # noqa: ANN401 - fields of `_Ending`
    if (signals := Signals.active) is None:
        yield
        return
    before = signals.ending
    signals.ending = replace(before, **changes)
    try:
        yield
    finally:
        signals.ending = before
