"""Sanitizing of external text, so that it cannot control a terminal."""

import json
from typing import Final

_JOINERS: Final = "\u200c\u200d"  # parts of emoji, and of words in Persian or Hindi
_TAB: Final = 4  # columns


def plain(text: str) -> str:
    """Return one line of printable characters and single spaces."""
    return " ".join(printable(text).split())


def plain_lines(text: str) -> str:
    """Return printable characters, with the line breaks kept."""
    return "\n".join(printable(line) for line in text.expandtabs(_TAB).splitlines())


def printable(text: str) -> str:
    """Replace each unprintable character by a space, except joiners."""
    return "".join(c if c.isprintable() or c in _JOINERS else " " for c in text)


def plain_json(text: str) -> str:
    """Return the same JSON, with escapes for unprintable characters."""
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in text)
