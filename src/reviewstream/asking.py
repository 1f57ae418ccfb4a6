"""A register of the calls to servers that are open now.

Adapters register each call. The command line reads the register, to show a user what it waits for.
"""

from collections.abc import Callable
from threading import Lock
from time import monotonic
from typing import Final

SERIES: Final = 0.5  # seconds between two calls of one series

_lock = Lock()
_open: "dict[int, Call]" = {}
_ended: "dict[str, Call]" = {}  # the last one of each kind


class Call:
    """One call to a server, or another wait, registered until the block ends.

    Attributes:
        what: Text for a user; consecutive calls with the same text are a series.
        began: When the call began, by the monotonic clock.
        ended: When it ended; 0 before that.
        since: When the first call of its series began.
    """

    __slots__ = ("_is_series", "_on_end", "began", "ended", "since", "what")

    def __init__(self, what: str, *, is_series: bool = True) -> None:
        self.what = what
        self._is_series = is_series
        self._on_end: Callable[[str], object] | None = None
        self.began = self.since = self.ended = 0.0

    def __enter__(self) -> None:
        self.began = self.since = monotonic()
        last = _ended.get(self.what)
        if self._is_series and last is not None and self.began - last.ended < SERIES:
            self.since = last.since
        with _lock:
            _open[id(self)] = self

    def __exit__(self, *_: object) -> None:
        with _lock:
            del _open[id(self)]
            on_end = self._on_end
        self.ended = monotonic()
        _ended[self.what] = self
        if on_end is not None:
            on_end(self.what)

    def show(self, begin: Callable[[str, float], object], end: Callable[[str], object]) -> None:
        """Call `begin` with the text and the start if the call is open, and later call `end`."""
        with _lock:
            if id(self) in _open and self._on_end is None:
                begin(self.what, self.since)
                self._on_end = end


def asking(who: str, *, is_series: bool = True) -> Call:
    """Return a context manager that registers a call to a server while its block runs.

    Args:
        who: The server, with its address and without secrets.
        is_series: Consecutive calls count as one wait.
    """
    return Call(f"asking {who}", is_series=is_series)


def open_calls() -> list[Call]:
    """Return the calls that are open, the oldest first."""
    with _lock:
        return list(_open.values())
