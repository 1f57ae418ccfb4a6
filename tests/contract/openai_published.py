"""What OpenAI's published description of chat completions requires, as a table of our own.

Source: OpenAI's OpenAPI description, version 2.3.0 (github.com/openai/openai-openapi at f85dbe2, 21
August 2026): `CreateChatCompletionRequest`, `CreateChatCompletionResponse`,
`CreateChatCompletionStreamResponse`, `CompletionUsage`, `ErrorResponse`. It is reduced to what is
required of types, ranges, enumerations and presence; remarks are not taken over.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple


class Field(NamedTuple):
    """What a field may hold.

    Attributes:
        kind: Of JSON; "any" where the description names several.
        low: The least number.
        high: The largest.
        values: The only texts.
        is_nullable: It may be null.
        is_required: It may not be left out.
    """

    kind: str
    low: float | None = None
    high: float | None = None
    values: tuple[str, ...] = ()
    is_nullable: bool = True
    is_required: bool = False


TIERS: Final = ("auto", "default", "flex", "scale", "priority", "fast")
EFFORTS: Final = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
REASONS: Final = ("stop", "length", "tool_calls", "content_filter", "function_call")

# `CreateChatCompletionRequest`, with what it takes over from `ModelResponseProperties`.
REQUEST: Final[Mapping[str, Field]] = {
    "messages": Field("array", is_nullable=False, is_required=True),
    "model": Field("string", is_nullable=False, is_required=True),
    "audio": Field("object"),
    "frequency_penalty": Field("number", -2, 2),
    "function_call": Field("any", is_nullable=False),
    "functions": Field("array", is_nullable=False),
    "logit_bias": Field("object"),
    "logprobs": Field("boolean"),
    "max_completion_tokens": Field("integer"),
    "max_tokens": Field("integer"),
    "metadata": Field("object"),
    "modalities": Field("array"),
    "moderation": Field("object"),
    "n": Field("integer", 1, 128),
    "parallel_tool_calls": Field("boolean", is_nullable=False),
    "prediction": Field("object"),
    "presence_penalty": Field("number", -2, 2),
    "prompt_cache_key": Field("string"),
    "prompt_cache_options": Field("object"),
    "prompt_cache_retention": Field("string", values=("in_memory", "24h")),
    "reasoning_effort": Field("string", values=EFFORTS),
    "response_format": Field("object", is_nullable=False),
    "safety_identifier": Field("string"),
    "seed": Field("integer"),
    "service_tier": Field("string", values=TIERS),
    "stop": Field("any"),
    "store": Field("boolean"),
    "stream": Field("boolean"),
    "stream_options": Field("object"),
    "temperature": Field("number", 0, 2),
    "tool_choice": Field("any", is_nullable=False),
    "tools": Field("array", is_nullable=False),
    "top_logprobs": Field("integer", 0, 20),
    "top_p": Field("number", 0, 1),
    "user": Field("string", is_nullable=False),
    "verbosity": Field("string", values=("low", "medium", "high")),
    "web_search_options": Field("object", is_nullable=False),
}

NULLABLE_STRING: Final = {"type": ["string", "null"]}
COUNT: Final = {"type": "integer", "minimum": 0}
_TIER: Final = {"enum": [*TIERS, None]}
_LOGPROBS: Final = {"type": ["object", "null"], "required": ["content", "refusal"]}
_DETAILS: Final = {"type": "object", "additionalProperties": COUNT}
USAGE: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["prompt_tokens", "completion_tokens", "total_tokens"],
    "properties": {
        "prompt_tokens": COUNT,
        "completion_tokens": COUNT,
        "total_tokens": COUNT,
        "prompt_tokens_details": {
            **_DETAILS,
            "propertyNames": {
                "enum": [
                    *("audio_tokens", "cached_tokens", "text_tokens", "image_tokens"),
                    "cache_write_tokens",
                ]
            },
        },
        "completion_tokens_details": {
            **_DETAILS,
            "propertyNames": {
                "enum": [
                    *("accepted_prediction_tokens", "audio_tokens", "reasoning_tokens"),
                    *("text_tokens", "rejected_prediction_tokens"),
                ]
            },
        },
    },
    "additionalProperties": False,
}
_MESSAGE: Final = {
    "type": "object",
    "required": ["role", "content", "refusal"],
    "properties": {
        "role": {"const": "assistant"},
        "content": NULLABLE_STRING,
        "refusal": NULLABLE_STRING,
        "annotations": {"type": "array"},
    },
    "additionalProperties": False,
}
COMPLETION: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["choices", "created", "id", "model", "object"],
    "properties": {
        "id": {"type": "string"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "object": {"const": "chat.completion"},
        "service_tier": _TIER,
        "system_fingerprint": {"type": "string"},
        "usage": USAGE,
        "choices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["finish_reason", "index", "message", "logprobs"],
                "properties": {
                    "finish_reason": {"enum": [*REASONS]},
                    "index": COUNT,
                    "logprobs": _LOGPROBS,
                    "message": _MESSAGE,
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
CHUNK: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["choices", "created", "id", "model", "object"],
    "properties": {
        "id": {"type": "string"},
        "created": {"type": "integer"},
        "model": {"type": "string"},
        "object": {"const": "chat.completion.chunk"},
        "obfuscation": {"type": "string"},
        "service_tier": _TIER,
        "system_fingerprint": {"type": "string"},
        "usage": {"anyOf": [USAGE, {"type": "null"}]},
        "choices": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["delta", "finish_reason", "index"],
                "properties": {
                    "index": COUNT,
                    "finish_reason": {"enum": [*REASONS, None]},
                    "logprobs": _LOGPROBS,
                    "delta": {
                        "type": "object",
                        "properties": {
                            "role": {"const": "assistant"},
                            "content": NULLABLE_STRING,
                            "refusal": NULLABLE_STRING,
                        },
                        "additionalProperties": False,
                    },
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
}
ERROR: Final[Mapping[str, Any]] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["type", "message", "param", "code"],
            "properties": {
                "type": {"type": "string"},
                "message": {"type": "string", "minLength": 1},
                "param": NULLABLE_STRING,
                "code": NULLABLE_STRING,
            },
        }
    },
}
