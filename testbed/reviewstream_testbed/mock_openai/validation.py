"""Refuses the requests that the real endpoint refuses, with its messages."""

from collections.abc import Collection, Mapping
from typing import Any, Final, NamedTuple

from reviewstream_testbed.mock_openai import models
from reviewstream_testbed.mock_openai.dialect_table import OPENAI
from reviewstream_testbed.mock_openai.error_bodies import ApiError, bad_request
from reviewstream_testbed.mock_openai.field_errors import (
    KINDS_OF_VALUES,
    check_names,
    is_of_kind,
    missing,
    mistyped,
    off_list,
)
from reviewstream_testbed.mock_openai.mock_dialects import FORMATS, LIMIT_FIELDS, MockDialect
from reviewstream_testbed.mock_openai.model_rules import check_model_rules
from reviewstream_testbed.mock_openai.request_rules import check_combinations, check_messages
from reviewstream_testbed.mock_openai.strict_schema import check_schema

CONTEXT_TOKENS: Final = 128_000


class Parameter(NamedTuple):
    """Type and range of a request field; null is always allowed."""

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


def check_request(
    body: object, dialect: MockDialect = OPENAI, known: Collection[str] = ()
) -> dict[str, Any]:
    """Return the body of a valid request without the fields that the endpoint ignores.

    Args:
        body: The request's body.
        dialect: Dialect of the endpoint.
        known: Additional models besides OpenAI's.

    Raises:
        ApiError: The real endpoint would refuse the request.
    """
    if not isinstance(body, dict):
        raise bad_request("We could not parse the JSON body of your request: expected an object.")
    taken = {name: value for name, value in body.items() if _is_taken(name, dialect)}
    for name, value in taken.items():
        _check_value(name, value, PARAMETERS[name])
    _check_model(taken.get("model"), dialect, known)
    check_messages(taken.get("messages"))
    _check_format(taken, dialect)
    check_combinations(taken)
    check_model_rules(taken, dialect)
    return taken


def check_key(header: str | None, accepted: str | None, dialect: MockDialect = OPENAI) -> None:
    """Refuse a request without a known key.

    Args:
        header: The request's `Authorization`.
        accepted: The only accepted key; None accepts all keys that begin with `sk-`, and any key in
            dialects other than OpenAI's.
        dialect: Dialect of the endpoint.

    Raises:
        ApiError: 401.
    """
    scheme, _, key = (header or "").partition(" ")
    is_given = scheme.lower() == "bearer" and bool(key.strip())
    if not is_given and accepted is None and not dialect.needs_key:
        return
    if not is_given:
        raise ApiError(
            401,
            "You didn't provide an API key. You need to provide your API key in an Authorization"
            " header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            cause="key",
        )
    is_known = key.startswith("sk-") or not dialect.knows_models
    if not (is_known if accepted is None else key == accepted):
        shown = f"{key[:4]}****{key[-2:]}" if len(key) > 8 else "****"
        raise ApiError(
            401,
            f"Incorrect API key provided: {shown}. You can find your API key at"
            " https://platform.openai.com/account/api-keys.",
            code="invalid_api_key",
            cause="key",
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
            cause="context",
        )


def _is_taken(name: str, dialect: MockDialect) -> bool:
    """Report whether a field takes effect.

    Raises:
        ApiError: The field is refused.
    """
    is_other_limit = name in LIMIT_FIELDS and name not in dialect.limit_fields
    is_known = name in PARAMETERS and not is_other_limit
    if name in dialect.refused or (not is_known and dialect.unknown == "refused"):
        raise bad_request(
            f"Unrecognized request argument supplied: {name}", param=name, cause="field"
        )
    return is_known and name not in dialect.ignored


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


def _check_model(model: object, dialect: MockDialect, known: Collection[str]) -> None:
    if not model:
        raise bad_request("you must provide a model parameter")
    if dialect.knows_models and model not in models.NAMES and model not in known:
        raise ApiError(
            404,
            f"The model `{model}` does not exist or you do not have access to it.",
            code="model_not_found",
            cause="model",
        )


def _check_format(body: Mapping[str, Any], dialect: MockDialect) -> None:
    wanted = body.get("response_format")
    if wanted is None:
        return
    if "type" not in wanted:
        raise missing("response_format.type")
    if wanted["type"] not in FORMATS:
        raise off_list("response_format.type", wanted["type"], FORMATS)
    if wanted["type"] not in dialect.formats:
        raise bad_request(
            f"Invalid parameter: 'response_format' of type '{wanted['type']}' is not supported with"
            " this model.",
            param="response_format",
            cause="format",
        )
    check_names("response_format", wanted, ("type", "json_schema"))
    if wanted["type"] == "json_schema":
        check_schema(wanted.get("json_schema"))
    if wanted["type"] == "json_object" and "json" not in str(body["messages"]).lower():
        raise bad_request(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of"
            " type 'json_object'.",
            param="messages",
        )
