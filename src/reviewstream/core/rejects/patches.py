"""Reader of repaired lines, each with the id of the reject that it replaces."""

import base64
from collections.abc import Iterable

import msgspec
from msgspec import Struct

from reviewstream.errors import ConfigError


class _Repair(Struct, frozen=True, kw_only=True):
    """A line of a file of repairs; other fields from `rejects list --out` are ignored."""

    id: str
    line: str | None = None
    line_base64: str | None = None


def repairs(lines: Iterable[bytes], where: str) -> dict[str, bytes]:
    """Return repaired lines by the id of the reject that each replaces.

    Raises:
        ConfigError: A line is not a repair, or is a second repair for the same reject.
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
        text.decode()  # the decoder below does not check skipped fields
        repair = msgspec.json.decode(text, type=_Repair)
    except UnicodeDecodeError as err:
        raise ConfigError(f"{where}: byte {err.start} is not UTF-8") from err
    except (msgspec.MsgspecError, RecursionError) as err:
        raise ConfigError(
            f"{where}: not a JSON object with the text `id`, and `line` or `line_base64`: {err}"
        ) from err
    if repair.line is not None:
        return repair.id, repair.line.encode()
    if repair.line_base64 is not None:
        return repair.id, _from_base64(repair.line_base64, where)
    raise ConfigError(f"{where}: neither `line` nor `line_base64`")


def _from_base64(text: str, where: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as err:
        raise ConfigError(f"{where}: `line_base64` is not base64: {err}") from err
