"""A file that a verb reads from its beginning to its end, with its progress."""

from collections.abc import Iterator
from contextlib import contextmanager

from reviewstream.adapters.files import open_log
from reviewstream.cli.context import Context
from reviewstream.cli.progress import stages
from reviewstream.wire.framing import Line, Oversized


@contextmanager
def lines_of(
    context: Context, file: str, member: str | None = None
) -> Iterator[Iterator[Line | Oversized]]:
    """Give the lines of a file, of whatever kind `serve` takes."""
    with stages(context.progress, context.console) as shown:

        def unpacked(done: int, total: int) -> None:
            shown.update("unpack", done, total)

        with open_log(file, member=member, progress=unpacked) as log:
            yield log.lines(lambda done, total: shown.update("read", done, total))
