"""Refuses parameters that do not go together, and those that this mock does not know."""

from collections.abc import Mapping
from typing import Any, Final

from reviewstream_testbed.openai_endpoint.errors import ApiError, bad_request
from reviewstream_testbed.openai_endpoint.refusals import (
    check_names,
    empty,
    is_of_kind,
    mistyped,
    off_list,
)

MAX_STOPS: Final = 4
STREAM_OPTIONS: Final = ("include_usage", "include_obfuscation")
# Texts that may be one of a few only.
_LISTED: Final[Mapping[str, tuple[str, ...]]] = {
    "service_tier": ("auto", "default", "flex", "scale", "priority", "fast"),
    "prompt_cache_retention": ("in_memory", "24h"),
    "verbosity": ("low", "medium", "high"),
}
# The real endpoint knows them; an answer that pretends to would be worse than none.
UNKNOWN_HERE: Final = (
    *("audio", "functions", "logprobs", "moderation", "prediction", "tools", "web_search_options"),
)
_NEEDS: Final = {
    "tool_choice": "tools",
    "parallel_tool_calls": "tools",
    "function_call": "functions",
}


def check_combinations(body: Mapping[str, Any]) -> None:
    """Refuse what the real endpoint refuses, then what only this one does.

    Args:
        body: A request; each parameter is of the right type.

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
