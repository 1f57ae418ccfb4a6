"""A TOML table, as it is pasted into the settings file."""

from collections.abc import Mapping
from typing import Any

import msgspec


def as_toml(section: str, values: Mapping[str, Any]) -> str:
    """Return a TOML table; values may be any JSON value, but null is omitted inside values."""
    lines = [f"{name} = {_quoted(value)}" for name, value in values.items()]
    return "\n".join([f"[{section}]", *lines])


def _quoted(value: object) -> str:
    if isinstance(value, dict):
        pairs = [f"{_quoted(k)} = {_quoted(v)}" for k, v in value.items() if v is not None]
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list):
        return f"[{', '.join(_quoted(one) for one in value if one is not None)}]"
    return msgspec.json.encode(value).decode()  # JSON strings and numbers are valid TOML
