"""Reads repaired lines, each by the id of the reject that it takes the place of."""

import base64
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from reviewstream.errors import ConfigError


class _Repair(Struct, frozen=True, kw_only=True):
    """A line of a file of repairs; what else `rejects list --out` writes is ignored."""

    id: str
    line: str | None = None
    line_base64: str | None = None


def repairs(lines: Iterable[bytes], where: str) -> dict[str, bytes]:
    """Read repaired lines by the id of the reject that each takes the place of.

    Raises:
        ConfigError: one of them is no repair, or a second one of the same line.
    """
    found: dict[str, bytes] = {}
    for number, text in enumerate(lines, 1):
        if not text.strip():
            continue
        name, line = _repair(text, f"{where}:{number}")
        if name in found:
            raise ConfigError(f"{where}:{number}: a second line for {name}")
        found[name] = line
    return found


def _repair(text: bytes, where: str) -> tuple[str, bytes]:
    try:
        repair = msgspec.json.decode(text, type=_Repair)
        if repair.line is not None:
            return repair.id, repair.line.encode()
        if repair.line_base64 is not None:
            return repair.id, base64.b64decode(repair.line_base64, validate=True)
    except (msgspec.MsgspecError, ValueError) as err:  # one kind only since msgspec 0.21
        raise ConfigError(f"{where}: {err}") from err
    raise ConfigError(f"{where}: neither `line` nor `line_base64`")
