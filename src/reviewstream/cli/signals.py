"""A verb that is asked to end finishes what it is doing."""

import signal
from threading import Event
from types import FrameType


def on_signals() -> Event:
    """Return an event that the first SIGTERM or SIGINT sets; the second ends us at once."""
    stop = Event()

    def ask(number: int, _: FrameType | None) -> None:
        if stop.is_set():
            raise KeyboardInterrupt(signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, ask)
    return stop
