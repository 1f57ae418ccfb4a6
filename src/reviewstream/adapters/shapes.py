"""Answers of servers that must have a certain shape: what answers may be another program."""

from typing import Final, TypeVar

import msgspec

from reviewstream.core.records.json_values import NOT_JSON, decoded, kept
from reviewstream.errors import ConfigError

SHOWN: Final = 300  # characters of a server's words in an error
T = TypeVar("T")


def shaped(value: object, kind: type[T], *, who: str, setting: str) -> T:
    """Return an answer as what it must be.

    Args:
        value: JSON, decoded.
        kind: Type that `msgspec` knows; fields of a struct that it lacks are ignored.
        who: The server, with its address.
        setting: That names the address.

    Raises:
        ConfigError: It is something else.
    """
    if value is NOT_JSON:
        raise foreign(who, "it is no JSON", setting=setting)
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as err:
        raise foreign(who, err, setting=setting) from err


def shaped_body(body: bytes, kind: type[T], *, who: str, setting: str) -> T:
    """Return the body of an answer as what it must be; see `shaped`."""
    return shaped(decoded(body), kind, who=who, setting=setting)


def foreign(who: str, why: object, *, setting: str) -> ConfigError:
    """Return our error for an answer that the server meant cannot have given."""
    words = kept(str(why), SHOWN)
    return ConfigError(
        f"{who} gives an answer of some other program ({words}): does {setting} lead to a proxy,"
        " a login page or another server?"
    )
