"""`python -m reviewstream`, and the program `reviewstream`."""

import os
import signal
from types import FrameType


def main() -> None:
    """Run the command line. It takes the signals over from here, and hands them back at its end."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _leave)
    from reviewstream.cli import main as command_line  # noqa: PLC0415 - it takes a moment

    command_line()


def _leave(number: int, _: FrameType | None) -> None:
    """Exit at once: no verb runs yet, or none any more."""
    name = "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
    os.write(2, f"reviewstream: stopped by {name}\n".encode())
    os._exit(128 + number)


if __name__ == "__main__":
    main()
