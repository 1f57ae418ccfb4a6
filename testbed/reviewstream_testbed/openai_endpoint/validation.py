"""Refuses the requests that the real endpoint refuses, in its words."""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from reviewstream_testbed.openai_endpoint.combinations import check_combinations
from reviewstream_testbed.openai_endpoint.errors import ApiError, bad_request
from reviewstream_testbed.openai_endpoint.messages import check_messages
from reviewstream_testbed.openai_endpoint.refusals import (
    KINDS_OF_VALUES,
    check_names,
    is_of_kind,
    missing,
    mistyped,
    off_list,
)
from reviewstream_testbed.openai_endpoint.strict_schema import check_schema

CONTEXT_TOKENS: Final = 128_000
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
    check_messages(body.get("messages"))
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
    if not is_of_kind(value, allowed.kind):
        raise mistyped(name, KINDS_OF_VALUES[allowed.kind][0], value)
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


def _check_format(body: Mapping[str, Any]) -> None:
    wanted = body.get("response_format")
    if wanted is None:
        return
    if "type" not in wanted:
        raise missing("response_format.type")
    if wanted["type"] not in FORMATS:
        raise off_list("response_format.type", wanted["type"], FORMATS)
    check_names("response_format", wanted, ("type", "json_schema"))
    if wanted["type"] == "json_schema":
        check_schema(wanted.get("json_schema"))
    if wanted["type"] == "json_object" and "json" not in str(body["messages"]).lower():
        raise bad_request(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of"
            " type 'json_object'.",
            param="messages",
        )
