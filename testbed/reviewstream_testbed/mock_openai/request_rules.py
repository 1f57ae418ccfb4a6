"""Refuses messages and parameter combinations that the real endpoint refuses.

Parameters that the mock does not support are refused too.
"""

from collections.abc import Mapping
from typing import Any, Final

from reviewstream_testbed.mock_openai.error_bodies import ApiError, bad_request
from reviewstream_testbed.mock_openai.field_errors import (
    check_names,
    empty,
    is_of_kind,
    missing,
    mistyped,
    off_list,
)

# Fields of a message of each role, besides its role; required fields come first.
_FIELDS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "system": (("content",), ("name",)),
    "assistant": ((), ("content", "refusal", "name", "audio", "tool_calls", "function_call")),
    "user": (("content",), ("name",)),
    "function": (("content", "name"), ()),
    "tool": (("content", "tool_call_id"), ()),
    "developer": (("content",), ("name",)),
}
ROLES: Final = tuple(_FIELDS)
MAX_STOPS: Final = 4
STREAM_OPTIONS: Final = ("include_usage", "include_obfuscation")
# String parameters with a fixed set of values.
_LISTED: Final[Mapping[str, tuple[str, ...]]] = {
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast"),
    "prompt_cache_retention": ("in_memory", "24h"),
    "verbosity": ("low", "medium", "high"),
}
# The real endpoint supports these; refusing them is better than ignoring them.
UNKNOWN_HERE: Final = (
    *("audio", "functions", "logprobs", "moderation", "prediction", "tools", "web_search_options"),
)
_NEEDS: Final = {
    "tool_choice": "tools",
    "parallel_tool_calls": "tools",
    "function_call": "functions",
}


def check_messages(messages: Any) -> None:  # noqa: ANN401 - any JSON
    """Refuse invalid messages.

    Args:
        messages: The request's `messages`, or None.

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


def check_combinations(body: Mapping[str, Any]) -> None:
    """Refuse what the real endpoint refuses, then what only the mock refuses.

    Args:
        body: The request; each parameter has the right type.

    Raises:
        ApiError: 400.
    """
    _check_limits(body)
    _check_stream_options(body)
    _check_stop(body.get("stop"))
    _check_tools(body)
    _check_maps(body)
    for name, listed in _LISTED.items():
        if body.get(name) is not None and body[name] not in listed:
            raise off_list(name, body[name], listed)
    if body.get("top_logprobs") is not None and not body.get("logprobs"):
        raise _refused("'top_logprobs' is only allowed when 'logprobs' is true.", "top_logprobs")
    for name in UNKNOWN_HERE:
        if body.get(name):
            raise bad_request(
                f"This mock endpoint does not know '{name}'.",
                param=name,
                code="unsupported_parameter",
            )


def _check_limits(body: Mapping[str, Any]) -> None:
    if body.get("max_tokens") is not None and body.get("max_completion_tokens") is not None:
        raise bad_request(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )


def _check_stream_options(body: Mapping[str, Any]) -> None:
    options = body.get("stream_options")
    if options is None:
        return
    if not body.get("stream"):
        raise _refused(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            "stream_options",
        )
    check_names("stream_options", options, STREAM_OPTIONS)
    for name, value in options.items():
        if value is not None and not isinstance(value, bool):
            raise mistyped(f"stream_options.{name}", "a boolean", value)


def _check_stop(stop: object) -> None:
    stops = stop if isinstance(stop, list) else [] if stop is None else [stop]
    for one in stops:
        if not isinstance(one, str):
            raise mistyped("stop", "one of a string or array of strings", one)
    if len(stops) > MAX_STOPS:
        raise bad_request(
            f"Invalid 'stop': array too long. Expected an array with maximum length {MAX_STOPS},"
            f" but got an array with length {len(stops)} instead.",
            param="stop",
            code="array_above_max_length",
        )


def _check_tools(body: Mapping[str, Any]) -> None:
    for name in ("tools", "functions"):
        if body.get(name) == []:
            raise empty(name)
    for name, needed in _NEEDS.items():
        if body.get(name) is not None and body.get(needed) is None:
            raise _refused(
                f"Invalid value for '{name}': '{name}' is only allowed when '{needed}' are"
                " specified.",
                name,
            )


def _check_maps(body: Mapping[str, Any]) -> None:
    for name, value in (body.get("metadata") or {}).items():
        if not isinstance(value, str):
            raise mistyped(f"metadata.{name}", "a string", value)
    for name, value in (body.get("logit_bias") or {}).items():
        if not is_of_kind(value, "integer"):
            raise mistyped(f"logit_bias.{name}", "an integer", value)


def _refused(message: str, param: str) -> ApiError:
    return bad_request(message, param=param)
