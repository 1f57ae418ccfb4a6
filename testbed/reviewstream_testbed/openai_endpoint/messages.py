"""Refuses messages that the real endpoint refuses."""

from collections.abc import Mapping
from typing import Any, Final

from reviewstream_testbed.openai_endpoint.refusals import (
    check_names,
    empty,
    is_of_kind,
    missing,
    mistyped,
    off_list,
)

# What a message of each role may hold, besides its role; what it must, comes first.
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "system": (("content",), ("name",)),
    "assistant": ((), ("content", "refusal", "name", "audio", "tool_calls", "function_call")),
    "user": (("content",), ("name",)),
    "function": (("content", "name"), ()),
    "tool": (("content", "tool_call_id"), ()),
    "developer": (("content",), ("name",)),
}
ROLES: Final = tuple(_FIELDS)


def check_messages(messages: Any) -> None:  # noqa: ANN401 - a request may hold anything
    """Refuse messages.

    Args:
        messages: An array, or nothing.

    Raises:
        ApiError: 400.
    """
    if messages is None:
        raise missing("messages")
    if not messages:
        raise empty("messages")
    for number, message in enumerate(messages):
        _check_message(f"messages[{number}]", message)


def _check_message(path: str, message: object) -> None:
    if not isinstance(message, dict):
        raise mistyped(path, "an object", message)
    role = message.get("role")
    if role is None:
        raise missing(f"{path}.role")
    if role not in ROLES:
        raise off_list(f"{path}.role", role, ROLES)
    needed, more = _FIELDS[role]
    for name in needed:
        if message.get(name) is None:
            raise missing(f"{path}.{name}")
    check_names(path, message, ("role", *needed, *more))
    for name in ("name", "tool_call_id", "refusal"):
        value = message.get(name)
        if value is not None and not is_of_kind(value, "string"):
            raise mistyped(f"{path}.{name}", "a string", value)
    _check_content(f"{path}.content", message.get("content"))


def _check_content(path: str, content: object) -> None:
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise mistyped(path, "one of a string or array of objects", content)
    for number, part in enumerate(content):
        _check_part(f"{path}[{number}]", part)


def _check_part(path: str, part: object) -> None:
    if not isinstance(part, dict):
        raise mistyped(path, "an object", part)
    if part.get("type") != "text":
        raise off_list(f"{path}.type", part.get("type"), ("text",))
    if not isinstance(part.get("text"), str):
        raise mistyped(f"{path}.text", "a string", part.get("text"))
