"""Sources that a command reads from beginning to end, with progress."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from reviewstream.cli.context import Context
from reviewstream.cli.progress import Stages, stages
from reviewstream.core.transport.framing import Line, Oversized
from reviewstream.settings import SourceSettings

TIMEOUT = 30.0  # seconds for an answer of the review server


@contextmanager
def lines_of(
    context: Context, file: str, member: str | None = None
) -> Iterator[Iterator[Line | Oversized]]:
    """Open a file of any format that `serve` supports, and yield an iterator of its lines."""
    with (
        stages(context.progress, context.console) as shown,
        source_file(shown, file, member=member) as (_, lines),
    ):
        yield lines


@contextmanager
def source_file(
    shown: Stages, file: str, *, member: str | None, name: str | None = None
) -> Iterator[tuple[str, Iterator[Line | Oversized]]]:
    """Open a file, and yield its name in every origin and an iterator of its lines."""
    from reviewstream.app import open_file

    unpacked, read = (partial(shown.update, stage) for stage in ("unpack", "read"))
    with open_file(file, member=member, name=name, progress=unpacked) as log:
        yield log.source, log.lines(read)


@contextmanager
def served_source(settings: SourceSettings) -> Iterator[tuple[str, Iterator[Line | Oversized]]]:
    """Yield the source's name at the review server, and an iterator of its current lines."""
    from reviewstream.app import open_reader

    with open_reader(settings, timeout=TIMEOUT) as reader:
        name, head = reader.hello().source, reader.latest(0).head
        yield name, (line for lines in reader.read(0, head) for line in lines)
