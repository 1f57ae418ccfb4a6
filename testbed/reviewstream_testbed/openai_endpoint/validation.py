"""Refuses the requests that the real endpoint refuses, in its words."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from reviewstream_testbed.openai_endpoint.combinations import check_combinations
from reviewstream_testbed.openai_endpoint.errors import ApiError, bad_request
from reviewstream_testbed.openai_endpoint.strict_schema import check_schema

CONTEXT_TOKENS: Final = 128_000
ROLES: Final = ("system", "assistant", "user", "function", "tool", "developer")
FORMATS: Final = ("text", "json_object", "json_schema")
MODELS: Final[Mapping[str, str]] = {  # as it is asked for -> as the answer names it
    "gpt-4o-mini": "gpt-4o-mini-2024-07-18",
    "gpt-4o": "gpt-4o-2024-08-06",
    "gpt-4.1": "gpt-4.1-2025-04-14",
    "gpt-4.1-mini": "gpt-4.1-mini-2025-04-14",
    "gpt-4.1-nano": "gpt-4.1-nano-2025-04-14",
}


class Parameter(NamedTuple):
    """What a field of the request may hold; null is always allowed."""

    kind: str
    low: float | None = None
    high: float | None = None


PARAMETERS: Final[Mapping[str, Parameter]] = {
    "messages": Parameter("array"),
    "model": Parameter("string"),
    "audio": Parameter("object"),
    "frequency_penalty": Parameter("number", -2, 2),
    "function_call": Parameter("any"),
    "functions": Parameter("array"),
    "logit_bias": Parameter("object"),
    "logprobs": Parameter("boolean"),
    "max_completion_tokens": Parameter("integer", 1),
    "max_tokens": Parameter("integer", 1),
    "metadata": Parameter("object"),
    "modalities": Parameter("array"),
    "moderation": Parameter("object"),
    "n": Parameter("integer", 1, 128),
    "parallel_tool_calls": Parameter("boolean"),
    "prediction": Parameter("object"),
    "presence_penalty": Parameter("number", -2, 2),
    "prompt_cache_key": Parameter("string"),
    "prompt_cache_options": Parameter("object"),
    "prompt_cache_retention": Parameter("string"),
    "reasoning_effort": Parameter("string"),
    "response_format": Parameter("object"),
    "safety_identifier": Parameter("string"),
    "seed": Parameter("integer"),
    "service_tier": Parameter("string"),
    "stop": Parameter("any"),
    "store": Parameter("boolean"),
    "stream": Parameter("boolean"),
    "stream_options": Parameter("object"),
    "temperature": Parameter("number", 0, 2),
    "tool_choice": Parameter("any"),
    "tools": Parameter("array"),
    "top_logprobs": Parameter("integer", 0, 20),
    "top_p": Parameter("number", 0, 1),
    "user": Parameter("string"),
    "verbosity": Parameter("string"),
    "web_search_options": Parameter("object"),
}

_KINDS: Final[Mapping[str, tuple[str, tuple[type, ...]]]] = {
    "array": ("an array", (list,)),
    "boolean": ("a boolean", (bool,)),
    "integer": ("an integer", (int,)),
    "number": ("a decimal", (int, float)),
    "object": ("an object", (dict,)),
    "string": ("a string", (str,)),
}


def check_request(body: object) -> dict[str, Any]:
    """Return the body of a request that the real endpoint would answer.

    Raises:
        ApiError: it would not.
    """
    if not isinstance(body, dict):
        raise bad_request("We could not parse the JSON body of your request: expected an object.")
    for name, value in body.items():
        if name not in PARAMETERS:
            raise bad_request(f"Unrecognized request argument supplied: {name}")
        _check_value(name, value, PARAMETERS[name])
    _check_model(body.get("model"))
    _check_messages(body.get("messages"))
    _check_format(body)
    check_combinations(body)
    return body


def check_key(header: str | None, accepted: str | None) -> None:
    """Refuse a request without a known key.

    Args:
        header: The request's `Authorization`.
        accepted: The only key that is known; None: all that begin with `sk-`.

    Raises:
        ApiError: 401.
    """
    scheme, _, key = (header or "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise ApiError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization"
            " header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
        )
    if not (key.startswith("sk-") if accepted is None else key == accepted):
        shown = f"{key[:4]}****{key[-2:]}" if len(key) > 8 else "****"
        raise ApiError(
            401,
            f"Incorrect API key provided: {shown}. You can find your API key at"
            " https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
        )


def check_context(tokens: int) -> None:
    """Refuse a prompt that does not fit the model's context.

    Raises:
        ApiError: 400.
    """
    if tokens > CONTEXT_TOKENS:
        raise bad_request(
            f"This model's maximum context length is {CONTEXT_TOKENS} tokens. However, your"
            f" messages resulted in {tokens} tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        )


def _check_value(name: str, value: object, allowed: Parameter) -> None:
    if value is None or allowed.kind == "any":
        return
    expected, types = _KINDS[allowed.kind]
    if not isinstance(value, types) or (isinstance(value, bool) and allowed.kind != "boolean"):
        raise bad_request(
            f"Invalid type for '{name}': expected {expected}, but got {_kind(value)} instead.",
            param=name,
            code="invalid_type",
        )
    if isinstance(value, int | float):
        _check_range(name, value, allowed)


def _check_range(name: str, value: float, allowed: Parameter) -> None:
    kind = "integer" if allowed.kind == "integer" else "decimal"
    if allowed.low is not None and value < allowed.low:
        side, sign, limit = "below_min", ">=", allowed.low
    elif allowed.high is not None and value > allowed.high:
        side, sign, limit = "above_max", "<=", allowed.high
    else:
        return
    words = "below minimum" if side == "below_min" else "above maximum"
    raise bad_request(
        f"Invalid '{name}': {kind} {words} value. Expected a value {sign} {limit:g}, but got"
        f" {value} instead.",
        param=name,
        code=f"{kind}_{side}_value",
    )


def _check_model(model: object) -> None:
    if not model:
        raise bad_request("you must provide a model parameter")
    if model not in MODELS and model not in MODELS.values():
        raise ApiError(
            404,
            f"The model `{model}` does not exist or you do not have access to it.",
            code="model_not_found",
        )


def _check_messages(messages: Any) -> None:  # noqa: ANN401 - a request may hold anything
    if messages is None:
        raise _missing("messages")
    if not messages:
        raise bad_request(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an"
            " empty array instead.",
            param="messages",
            code="empty_array",
        )
    for number, message in enumerate(messages):
        _check_message(f"messages[{number}]", message)


def _check_message(path: str, message: object) -> None:
    if not isinstance(message, dict):
        raise _mistyped(path, "an object", message)
    role = message.get("role")
    if role is None:
        raise _missing(f"{path}.role")
    if role not in ROLES:
        raise _off_list(f"{path}.role", role, ROLES)
    content = message.get("content")
    if content is None and role != "assistant":
        raise _missing(f"{path}.content")
    if isinstance(content, list):
        for number, part in enumerate(content):
            _check_part(f"{path}.content[{number}]", part)
    elif content is not None and not isinstance(content, str):
        raise _mistyped(f"{path}.content", "one of a string or array of objects", content)


def _check_part(path: str, part: object) -> None:
    if not isinstance(part, dict):
        raise _mistyped(path, "an object", part)
    if part.get("type") != "text":
        raise _off_list(f"{path}.type", part.get("type"), ("text",))
    if not isinstance(part.get("text"), str):
        raise _mistyped(f"{path}.text", "a string", part.get("text"))


def _check_format(body: Mapping[str, Any]) -> None:
    wanted = body.get("response_format")
    if wanted is None:
        return
    if "type" not in wanted:
        raise _missing("response_format.type")
    if wanted["type"] not in FORMATS:
        raise _off_list("response_format.type", wanted["type"], FORMATS)
    if wanted["type"] == "json_schema":
        check_schema(wanted.get("json_schema"))
    if wanted["type"] == "json_object" and "json" not in str(body["messages"]).lower():
        raise bad_request(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of"
            " type 'json_object'.",
            param="messages",
        )


def _missing(path: str) -> ApiError:
    return bad_request(
        f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter"
    )


def _mistyped(path: str, expected: str, value: object) -> ApiError:
    return bad_request(
        f"Invalid type for '{path}': expected {expected}, but got {_kind(value)} instead.",
        param=path,
        code="invalid_type",
    )


def _off_list(path: str, value: object, allowed: tuple[str, ...]) -> ApiError:
    names = ", ".join(f"'{one}'" for one in allowed)
    return bad_request(
        f"Invalid value: '{value}'. Supported values are: {names}.",
        param=path,
        code="invalid_value",
    )


def _kind(value: object) -> str:
    if value is None:
        return "null"
    for name, (words, types) in _KINDS.items():
        if isinstance(value, types) and (name == "boolean" or not isinstance(value, bool)):
            return words
    return "an unknown type"
