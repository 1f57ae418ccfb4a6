"""Markers as text, for the metadata of a committed offset in Kafka."""

from typing import Final

import msgspec

from reviewstream.core.delivery.markers import Marker
from reviewstream.errors import ConfigError

VERSION: Final = 1


class _Text(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    v: int
    query: str
    batch: int
    count: int
    crc: int


def marker_text(marker: Marker) -> str:
    """Return the marker as JSON."""
    text = _Text(VERSION, marker.query, marker.batch, marker.count, marker.checksum)
    return msgspec.json.encode(text).decode()


def marker_of(text: str) -> Marker:
    """Parse a marker.

    Raises:
        ConfigError: The text is not a marker.
    """
    try:
        read = msgspec.json.decode(text, type=_Text)
    except msgspec.DecodeError as err:
        raise ConfigError(f"not a marker of ours: {text[:80]!r} ({err})") from err
    if read.v != VERSION:
        raise ConfigError(
            f"a marker of version {read.v}, and this reviewstream reads version {VERSION}: "
            "upgrade it"
        )
    return Marker(query=read.query, batch=read.batch, count=read.count, checksum=read.crc)
