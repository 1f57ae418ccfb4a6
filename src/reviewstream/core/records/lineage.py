"""What a record was made from, if not from its line: one word in a header."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

CAUSE_HEADER: Final = "reviewstream.cause"  # Kafka header: a `Cause`, a space, the record's place


class Cause(StrEnum):
    """What a record was made from."""

    LINE = ""  # of the source; such a record has no header
    RELABELLED = "relabelled"  # from an older label
    REPLAYED = "replayed"  # from a rejection
    REPEATED = "repeated"  # from itself, as the index had not taken it


_KNOWN: Final = {cause.value.encode(): cause for cause in Cause}


def made_from(headers: Iterable[tuple[str, bytes]]) -> tuple[Cause, str]:
    """Return what a record with these headers was made from, and the place of that.

    It is LINE if the header says a word of nobody's.
    """
    for name, value in headers:
        if name == CAUSE_HEADER:
            word, _, place = value.partition(b" ")
            return _KNOWN.get(word, Cause.LINE), place.decode(errors="replace")
    return Cause.LINE, ""


def cause_header(cause: Cause, place: str = "") -> tuple[str, bytes]:
    """Return the header that says so.

    Args:
        cause: Not LINE.
        place: Of the record that it was made from, as `place_of` names it.
    """
    return CAUSE_HEADER, f"{cause} {place}".strip().encode()


def place_of(topic: str, partition: int, offset: int) -> str:
    """Return what a record is called."""
    return f"{topic}/{partition}@{offset}"
