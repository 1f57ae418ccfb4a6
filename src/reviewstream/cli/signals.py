"""Ctrl-C and SIGTERM: one line on standard error, exit code 130 or 143, and nothing left behind.

Python runs a signal's handler in the main thread alone, and not while that is in a client's C code:
Kafka's stays there for half a minute if the broker is away. So a thread of ours hears of the signal
through `signal.set_wakeup_fd`, prints the line, and ends the process if the main thread does not.
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
PATIENCE: Final = 3.0  # seconds for closing what is open
ECHO: Final = 0.2  # seconds; GNU `timeout` signals its child, and then the child's group
HOOK: Final = 0.05  # seconds for Python to leave a finalizer's hook, which must not be interrupted
IN_FLIGHT: Final = (
    "requests in flight are finished first, as they are paid for; a second signal ends at once"
)
STDERR: Final = 2
SHOW_CURSOR: Final = b"\x1b[?25h"
_POKE: Final = b"\0"  # wakes the thread; it is no signal's number


class Stopped(SystemExit):
    """A signal ends the process; whatever is open is closed on the way."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ending:
    """What the first signal does.

    Attributes:
        says: What is being ended or waited for.
        patience: Seconds for closing what is open; then the process exits without.
        ask: Asks for an orderly end, from any thread; None: the main thread is interrupted.
    """

    says: str = ""
    patience: float = PATIENCE
    ask: Callable[[], object] | None = None


class Signals:
    """Obeys the signals until it is closed.

    The first one ends the verb in order, or interrupts it where it has nothing to finish. The
    second one interrupts it in any case, and a further one exits at once.

    Attributes:
        number: Of the first signal; 0: there was none.
        is_cut: Whether the verb was interrupted.
    """

    active: ClassVar["Signals | None"] = None

    def __init__(self) -> None:
        self.number = 0
        self.ending = _Ending()
        self._deaf_until = self._deadline = float("-inf")
        self._pokes = 0  # signals that we send ourselves
        self.is_cut = self._is_raised = self._is_swallowed = self._is_closed = False
        self._sentence = ""  # to be printed
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
        """Give the signals back to those who had them before."""
        signal.set_wakeup_fd(self._fd_before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        sys.unraisablehook = self._hook_before
        self._is_closed = True
        os.write(self._woken, _POKE)
        self._thread.join()
        self._tell()
        os.close(self._wake)
        os.close(self._woken)

    def _handle(self, _number: int, _frame: FrameType | None) -> None:
        """Be a signal's handler, in the main thread."""
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
        self._pokes += 1
        signal.pthread_kill(self._main, self.number)

    def _take(self) -> None:
        """Take the signals that have come; both threads do, as either may be the first to know."""
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
            with suppress(OSError, ValueError):  # nobody reads it any more
                click.echo(f"reviewstream: {sentence}", err=True)


@contextmanager
def obeying() -> Iterator[None]:
    """Obey the signals in the block, and have it end with their exit code."""
    if Signals.active or threading.current_thread() is not threading.main_thread():
        yield
        return
    Signals.active = signals = Signals()
    try:
        yield
    except SystemExit as end:
        if signals.number and end.code in {None, 0, 1}:  # an error has a code that tells more
            raise Stopped(signals.number) from None
        raise
    else:
        if signals.number:
            raise Stopped(signals.number)
    finally:
        Signals.active = None
        signals.close()


def interrupted() -> bool:
    """Say whether a signal has interrupted the verb: what it fails with then has no other cause."""
    return Signals.active is not None and Signals.active.is_cut


@contextmanager
def ending(says: str, patience: float) -> Iterator[None]:
    """Have a signal interrupt the block.

    Args:
        says: What is being ended then.
        patience: Seconds for it; after them the process exits.
    """
    with _changed(says=says, patience=patience, ask=None):
        yield


@contextmanager
def finishing(
    says: str = "", ask: Callable[[], object] = lambda: None
) -> Iterator[threading.Event]:
    """Have the first signal set an event instead of interrupting the block.

    Args:
        says: What is finished first.
        ask: Called as well, in any thread. It takes no lock that the main thread may hold.
    """
    stop = threading.Event()

    def end() -> None:
        stop.set()
        ask()

    with _changed(says=says, ask=end):
        yield stop


def in_loop(call: Callable[[], object]) -> Callable[[], object]:
    """Return a function that makes the call in the event loop which runs now, from any thread."""
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
