"""The entry point of `python -m reviewstream` and of the program `reviewstream`."""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line, which replaces the signal handlers and restores them at its end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    from reviewstream.cli import main as command_line  # noqa: PLC0415 - it takes a moment

    command_line()


def _leave(number: int, _: FrameType | None) -> None:
    """Exit at once: no command is running yet, or the last one has ended."""
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    os.write(2, f"reviewstream: stopped by {name}\n".encode())
    os._exit(128 + number)


if __name__ == "__main__":
    main()
