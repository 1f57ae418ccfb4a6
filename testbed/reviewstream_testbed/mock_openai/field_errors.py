"""The common field errors, in the words of the real endpoint."""

from collections.abc import Mapping, Sequence
from typing import Final

from reviewstream_testbed.mock_openai.error_bodies import ApiError, bad_request

KINDS_OF_VALUES: Final[Mapping[str, tuple[str, tuple[type, ...]]]] = {
    "array": ("an array", (list,)),
    "boolean": ("a boolean", (bool,)),
    "integer": ("an integer", (int,)),
    "number": ("a decimal", (int, float)),
    "object": ("an object", (dict,)),
    "string": ("a string", (str,)),
}


def is_of_kind(value: object, kind: str) -> bool:
    """Report whether a JSON value has a type; true and false are not numbers."""
    types = KINDS_OF_VALUES[kind][1]
    return isinstance(value, types) and (kind == "boolean" or not isinstance(value, bool))


def missing(path: str) -> ApiError:
    """Return the 400 for a missing field."""
    return bad_request(
        f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter"
    )


def unknown(path: str) -> ApiError:
    """Return the 400 for an unknown field."""
    return bad_request(f"Unknown parameter: '{path}'.", param=path, code="unknown_parameter")


def mistyped(path: str, expected: str, value: object) -> ApiError:
    """Return the 400 for a value of the wrong type."""
    return bad_request(
        f"Invalid type for '{path}': expected {expected}, but got {_name(value)} instead.",
        param=path,
        code="invalid_type",
    )


def off_list(path: str, value: object, allowed: Sequence[str]) -> ApiError:
    """Return the 400 for a value that is not in the list."""
    names = ", ".join(f"'{one}'" for one in allowed)
    return bad_request(
        f"Invalid value: '{value}'. Supported values are: {names}.",
        param=path,
        code="invalid_value",
    )


def empty(path: str) -> ApiError:
    """Return the 400 for an empty array."""
    return bad_request(
        f"Invalid '{path}': empty array. Expected an array with minimum length 1, but got an empty"
        " array instead.",
        param=path,
        code="empty_array",
    )


def check_names(path: str, given: Mapping[str, object], known: Sequence[str]) -> None:
    """Refuse an object with an unknown field.

    Raises:
        ApiError: 400.
    """
    for name in given:
        if name not in known:
            raise unknown(f"{path}.{name}")


def _name(value: object) -> str:
    if value is None:
        return "null"
    for kind, (words, _) in KINDS_OF_VALUES.items():
        if is_of_kind(value, kind):
            return words
    return "an unknown type"
