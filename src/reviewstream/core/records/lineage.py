"""Lineage of records: a header with the cause of a record that was not made from its line."""

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

CAUSE_HEADER: Final = "reviewstream.cause"  # Kafka header: a `Cause`, a space, the record's place


class Cause(StrEnum):
    """The cause of a record."""

    LINE = ""  # a line of the source; such a record has no header
    RELABELLED = "relabelled"  # made from an older label
    REPLAYED = "replayed"  # made from a rejection
    REPEATED = "repeated"  # a copy of a record that the index refused


_KNOWN: Final = {cause.value.encode(): cause for cause in Cause}


def made_from(headers: Iterable[tuple[str, bytes]]) -> tuple[Cause, str]:
    """Return the cause of a record with these headers, and the place of the original record.

    The cause is LINE if the header is missing or unknown.
    """
    for name, value in headers:
        if name == CAUSE_HEADER:
            word, _, place = value.partition(b" ")
            return _KNOWN.get(word, Cause.LINE), place.decode(errors="replace")
    return Cause.LINE, ""


def cause_header(cause: Cause, place: str = "") -> tuple[str, bytes]:
    """Return the header for a cause.

    Args:
        cause: Any cause except LINE.
        place: Place of the original record, from `place_of`.
    """
    return CAUSE_HEADER, f"{cause} {place}".strip().encode()


def place_of(topic: str, partition: int, offset: int) -> str:
    """Return the place of a record as text."""
    return f"{topic}/{partition}@{offset}"
