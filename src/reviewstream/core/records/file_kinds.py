"""Detection of a file's kind when it contains no valid review, with advice."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from reviewstream.core.records.json_values import NOT_JSON, decoded
from reviewstream.core.records.parsing import BOM, required_fields

LOOKED_AT: Final = 64 << 10  # bytes of a file's beginning that are examined

_SHOWN: Final = 8  # fields or columns listed
_UTF16: Final = (b"\xff\xfe", b"\xfe\xff")
_MAGIC: Final = {
    b"\x1f\x8b": "gzip inside of what was unpacked: unpack it twice (gunzip)",
    b"\x28\xb5\x2f\xfd": "zstd inside of what was unpacked: unpack it twice (unzstd)",
    b"PAR1": "a Parquet file: write its rows as JSON lines, as pandas' to_json(lines=True) does",
    b"SQLite format 3\0": "a SQLite database: write its rows as JSON lines",
    b"%PDF": "a PDF document",
    b"version https://git-lfs": "a Git LFS pointer: fetch the file itself, `git lfs pull`",
    b"<": "a web page or XML: fetch the file itself, from the right address",
}
_AROUND: Final = re.compile(rb'\{\s*"([^"\\\n]{1,40})"\s*:\s*\[\s*\{')
_QUOTES: Final = " '\""
_CELL: Final = re.compile(r'[\w "\'.-]{1,40}')


def seems_to_be(start: bytes) -> str:
    """Describe the likely kind of a file without valid reviews, with advice.

    Args:
        start: The beginning of the file, unpacked; see `LOOKED_AT`.

    Returns:
        The rest of a sentence that begins with "it seems to be". Never raises.
    """
    text = start.removeprefix(BOM).lstrip()
    if not text:
        return "empty"
    found = (kind(text) for kind in (_packed, _binary, _json, _table))
    return next(filter(None, found), "plain text")


def _packed(start: bytes) -> str:
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), "")


def _binary(start: bytes) -> str:
    if start.startswith(_UTF16) or (len(start) > 1 and not any(start[1:40:2])):
        return "text in UTF-16: convert it to UTF-8, `iconv -f UTF-16 -t UTF-8 FILE`"
    if b"\0" in start:
        return "binary data"
    try:
        start.decode()
    except UnicodeDecodeError as err:
        if err.reason != "unexpected end of data":  # except where the beginning ends
            return "no text in UTF-8: convert it, as by `iconv -f ISO-8859-1 -t UTF-8 FILE`"
    return ""


def _json(start: bytes) -> str:
    value = decoded(start.partition(b"\n")[0])
    if around := _AROUND.match(start):
        name = around[1].decode(errors="replace")
        return f"""an object around an array: write one object a line, `jq -c '."{name}"[]' FILE`"""
    if isinstance(value, dict):
        return _object(value)
    if start.startswith(b"["):
        return "a JSON array: write one object a line, `jq -c '.[]' FILE`"
    if start.startswith(b"{"):
        return "JSON over several lines: write one object a line, `jq -c . FILE`"
    return "" if value is NOT_JSON else "JSON, but no objects: write one object a line"


def _object(fields: Mapping[str, Any]) -> str:
    if isinstance(fields.get("votes"), dict) and "review_id" in fields:
        return (
            "the old form of Yelp's data: convert it,"
            " `jq -c '. + .votes | .date |= (. + \" 00:00:00\")[:19]' FILE`"
        )
    missing = [name for name in required_fields() if name not in fields]
    if not missing:
        return "reviews with values that are not taken"
    return (
        f"JSON lines without {_listed(missing)} (they have {_listed(list(fields))}): rename the"
        f" fields, as `jq -c '. + {{{missing[0]}: .OTHER}}' FILE` does"
    )


def _table(start: bytes) -> str:
    head = start.decode(errors="replace").splitlines()[0]
    for delimiter, name in ((",", "CSV"), ("\t", "TSV"), (";", "CSV with semicolons")):
        cells = head.split(delimiter)
        if len(cells) > 2 and all(map(_CELL.fullmatch, cells)):
            columns = _listed([cell.strip(_QUOTES) for cell in cells])
            return (
                f"{name} with columns {columns}: write each row as a JSON object of its own line,"
                " numbers as numbers"
            )
    return ""


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{', '.join(name[:40] for name in names[:_SHOWN])}{more}"
