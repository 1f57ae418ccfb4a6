"""Validation of servers' answers, which may come from another program."""

from typing import Final, TypeVar

import msgspec

from reviewstream.core.records.json_values import NOT_JSON, decoded, kept
from reviewstream.errors import ConfigError

SHOWN: Final = 300  # characters of a server's message in an error
T = TypeVar("T")


def shaped(value: object, kind: type[T], *, who: str, setting: str) -> T:
    """Convert an answer to a type.

    Args:
        value: Decoded JSON.
        kind: Type that `msgspec` supports; unknown fields of a struct are ignored.
        who: The server, with its address.
        setting: Setting with the address.

    Raises:
        ConfigError: The answer has another shape.
    """
    if value is NOT_JSON:
        raise foreign(who, "it is no JSON", setting=setting)
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as err:
        raise foreign(who, err, setting=setting) from err


def shaped_body(body: bytes, kind: type[T], *, who: str, setting: str) -> T:
    """Decode the body of an answer and convert it; see `shaped`."""
    return shaped(decoded(body), kind, who=who, setting=setting)


def foreign(who: str, why: object, *, setting: str) -> ConfigError:
    """Return our error for an answer that the expected server cannot have sent."""
    words = kept(str(why), SHOWN)
    return ConfigError(
        f"{who} gives an answer of some other program ({words}): does {setting} lead to a proxy,"
        " a login page or another server?"
    )
