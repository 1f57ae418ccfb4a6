"""A source that a verb reads from its beginning to its end, with its progress."""

from collections.abc import Iterator
from contextlib import contextmanager

from reviewstream.adapters.files import open_log
from reviewstream.adapters.review_log import ReviewLog
from reviewstream.cli.context import Context
from reviewstream.cli.progress import Stages, stages
from reviewstream.settings import SourceSettings
from reviewstream.wire.framing import Line, Oversized

TIMEOUT = 30.0  # seconds for an answer of the review server


@contextmanager
def lines_of(
    context: Context, file: str, member: str | None = None
) -> Iterator[Iterator[Line | Oversized]]:
    """Give the lines of a file, of whatever kind `serve` takes."""
    with stages(context.progress, context.console) as shown, _opened(shown, file, member) as log:
        yield _lines(log, shown)


@contextmanager
def source_file(
    shown: Stages, file: str, *, member: str | None, name: str | None
) -> Iterator[tuple[str, Iterator[Line | Oversized]]]:
    """Give the name of a file in every origin, and its lines."""
    with _opened(shown, file, member, name) as log:
        yield log.source, _lines(log, shown)


@contextmanager
def served_source(settings: SourceSettings) -> Iterator[tuple[str, Iterator[Line | Oversized]]]:
    """Give the name of what the review server has, and the lines that there are now."""
    from reviewstream.app import open_reader

    with open_reader(settings, timeout=TIMEOUT) as reader:
        name, head = reader.hello().source, reader.latest(0).head
        yield name, (line for lines in reader.read(0, head) for line in lines)


@contextmanager
def _opened(
    shown: Stages, file: str, member: str | None, name: str | None = None
) -> Iterator[ReviewLog]:
    def unpacked(done: int, total: int) -> None:
        shown.update("unpack", done, total)

    with open_log(file, member=member, name=name, progress=unpacked) as log:
        yield log


def _lines(log: ReviewLog, shown: Stages) -> Iterator[Line | Oversized]:
    return log.lines(lambda done, total: shown.update("read", done, total))
