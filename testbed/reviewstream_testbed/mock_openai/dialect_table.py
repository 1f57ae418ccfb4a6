"""The dialects, one entry each, from public documentation and public reports.

No entry was recorded against the endpoint itself. docs/reference/openai-endpoint.md lists the
sources with dates. Undocumented behaviour is the same as OpenAI's.
"""

from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

from reviewstream_testbed.mock_openai import error_bodies
from reviewstream_testbed.mock_openai.mock_dialects import (
    LimitHeaders,
    MockDialect,
    UsageShape,
    Words,
    changed,
)

HALF: Final = Fraction(1, 2)
_BARE = UsageShape(has_details=False, cached="nowhere")
_FILTERED = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}
_AZURE_FILTER = Words(
    400,
    "The response was filtered due to the prompt triggering the content management policy.",
    "",
    "content_filter",
    {
        "status": 400,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": {"violence": {"filtered": True, "severity": "medium"}},
        },
    },
)
_RISK = Words(400, "Content Exists Risk", None, "invalid_request_error")
_XAI_FIELD = "Client specified an invalid argument"
_XAI_SPENT = "The caller does not have permission to execute the specified operation"

OPENAI: Final = MockDialect(
    name="openai",
    words={"field": Words(has_param=False)},
    knows_models=True,
    has_model_rules=True,
    flex=HALF,
    tier="default",
)
AZURE = MockDialect(
    name="azure",
    words={
        "key": Words(
            401,
            "Access denied due to invalid subscription key or wrong API endpoint.",
            "",
            "401",
        ),
        "model": Words(
            404,
            "The API deployment for this resource does not exist.",
            "",
            "DeploymentNotFound",
        ),
        "rate": Words(429, None, "", "429"),
        "moderation": _AZURE_FILTER,
        "filter": _AZURE_FILTER,
    },
    has_model_rules=True,
    flex=HALF,
    tier="default",
    choice={"content_filter_results": _FILTERED},
    answer={"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _FILTERED}]},
)
OPENROUTER = MockDialect(
    name="openrouter",
    shape=error_bodies.with_metadata,
    words={
        "key": Words(401, "No auth credentials found"),
        "quota": Words(402, "Insufficient credits. Add more using the credits page."),
        "moderation": Words(
            403,
            "Your chosen model requires moderation and your input was flagged",
            more={"reasons": ["violence"], "provider_name": "Mock"},
        ),
        "model": Words(400, "{model} is not a valid model ID"),
        "rate": Words(429, "Provider returned error", more={"raw": "Too Many Requests"}),
        "capacity": Words(503, "There is no available model provider for this request."),
    },
    instead={"500": "error_200_502", "503": "finish_error", "quota_429": "quota_402"},
    usage=UsageShape(has_cost=True),
    limits=None,
    unknown="ignored",
    ignored=frozenset({"service_tier", "store", "metadata"}),
    efforts=("none", "minimal", "low", "medium", "high", "xhigh"),
    reasoning_field="reasoning",
    choice={"native_finish_reason": "stop"},
    answer={"provider": "Mock"},
)
GEMINI = MockDialect(
    name="gemini",
    shape=error_bodies.in_array,
    words={
        "key": Words(
            400,
            "API key not valid. Please pass a valid API key.",
            more={"reason": "API_KEY_INVALID"},
        ),
        "quota": Words(
            429, "You exceeded your current quota, please check your plan and billing details."
        ),
        "rate": Words(429, "Resource has been exhausted (e.g. check quota)."),
        "field": Words(
            400, "Invalid JSON payload received. Unknown name '{param}': Cannot find field."
        ),
        "model": Words(
            404, "models/{model} is not found for API version v1main, or is not supported."
        ),
        "context": Words(400, "The input token count exceeds the maximum number of tokens."),
        "overloaded": Words(503, "The model is overloaded. Please try again later."),
    },
    instead={"moderation_403": "empty_choices", "content_filter_400": "empty_choices"},
    usage=UsageShape("beside", has_details=False, cached="nowhere"),
    limits=None,
    refused=frozenset(
        {"frequency_penalty", "logit_bias", "metadata", "prompt_cache_key", "seed", "service_tier"}
        | {"store", "web_search_options"}
    ),
    efforts=("none", "minimal", "low", "medium", "high"),
)
MISTRAL = MockDialect(
    name="mistral",
    shape=error_bodies.flat,
    words={
        "key": Words(401, "Unauthorized"),
        "rate": Words(429, "Rate limit exceeded", "rate_limited", "1300"),
        "quota": Words(402, "Payment Required", "payment_required", ""),
        "field": Words(422, "Extra inputs are not permitted"),
        "model": Words(400, "Invalid model: {model}", "invalid_model", "1500"),
        "context": Words(400, None, None, "3051"),
        "effort": Words(400, None, "invalid_request_invalid_args", "3051"),
    },
    usage=_BARE,
    limits=LimitHeaders("req-minute", "tokens-minute"),
    limit_fields=("max_tokens",),
    refused=frozenset({"logit_bias", "seed", "service_tier", "store", "stream_options", "user"}),
    efforts=("none", "high"),
    content="parts",
)
GROQ = MockDialect(
    name="groq",
    shape=error_bodies.without_param,
    words={
        "key": Words(401, "Invalid API Key"),
        "field": Words(400, "property '{param}' is unsupported"),
        "too_large": Words(413),
        "capacity": Words(
            498, "Flex tier capacity exceeded.", "capacity_exceeded", "capacity_exceeded"
        ),
        "context": Words(400, "Please reduce the length of the messages or completion."),
    },
    usage=UsageShape(more={"queue_time": 0.018, "prompt_time": 0.004, "total_time": 0.31}),
    limits=LimitHeaders(requests_minutes=24 * 60),
    refused=frozenset({"logit_bias", "logprobs", "store", "web_search_options"}),
    efforts=("none", "default", "low", "medium", "high"),
    reasoning_field="reasoning",
    flex=Fraction(1),
    tier="on_demand",
    answer={"x_groq": {"id": "req_mock"}},
)
DEEPSEEK = MockDialect(
    name="deepseek",
    words={
        "key": Words(
            401,
            "Authentication Fails, Your api key is invalid",
            "authentication_error",
            "invalid_request_error",
        ),
        "quota": Words(402, "Insufficient Balance", "unknown_error", "invalid_request_error"),
        "moderation": _RISK,
        "filter": _RISK,
        "model": Words(400, "Model Not Exist", None, "invalid_request_error"),
        "format": Words(
            400, "This response_format type is unavailable now", None, "invalid_request_error"
        ),
        "context": Words(400, None, None, "invalid_request_error"),
    },
    usage=UsageShape(cached="hit"),
    limits=None,
    limit_fields=("max_tokens",),
    formats=("text", "json_object"),
    unknown="ignored",
    ignored=frozenset({"reasoning_effort", "seed", "service_tier", "store", "metadata"}),
    reasoning_field="reasoning_content",
)
XAI = MockDialect(
    name="xai",
    shape=error_bodies.as_text,
    words={
        "key": Words(400, "Incorrect API key provided: wr***ng.", code=_XAI_FIELD),
        "quota": Words(403, "Your team has used all available credits.", code=_XAI_SPENT),
        "moderation": Words(403, "Content violates usage guidelines.", code=_XAI_SPENT),
        "rate": Words(429, "Too many requests.", code="Some resource has been exhausted"),
        "model": Words(
            404,
            "The model {model} does not exist or your team has no access to it.",
            code="Some requested entity was not found",
        ),
        "context": Words(400, None, code=_XAI_FIELD),
        "effort": Words(
            400, "Argument not supported on this model: reasoningEffort", code=_XAI_FIELD
        ),
    },
    usage=UsageShape("beside"),
    unknown="ignored",
    ignored=frozenset({"service_tier", "store", "metadata"}),
    efforts=("low", "medium", "high"),
    reasoning_field="reasoning_content",
)
VLLM = MockDialect(
    name="vllm",
    shape=error_bodies.with_number,
    words={
        "key": Words(401, "Unauthorized", "Unauthorized"),
        "model": Words(404, "The model `{model}` does not exist.", "NotFoundError"),
        "context": Words(400, None, "BadRequestError"),
        "format": Words(400, None, "BadRequestError"),
    },
    usage=_BARE,
    limits=None,
    needs_key=False,
    unknown="ignored",
    ignored=frozenset({"service_tier", "store", "metadata", "prompt_cache_key"}),
    efforts=("none", "minimal", "low", "medium", "high", "xhigh", "max"),
    reasoning_field="reasoning_content",
)
OLLAMA = MockDialect(
    name="ollama",
    words={
        "model": Words(404, 'model "{model}" not found, try pulling it first', "api_error", ""),
        "effort": Words(
            400, 'invalid reasoning value (must be "high", "medium", "low", or "none")', code=""
        ),
    },
    usage=_BARE,
    limits=None,
    needs_key=False,
    limit_fields=("max_tokens",),
    unknown="ignored",
    ignored=frozenset({"service_tier", "store", "metadata", "user", "n", "logit_bias"}),
    efforts=("none", "low", "medium", "high"),
    reasoning_field="reasoning",
)
LITELLM = MockDialect(
    name="litellm",
    shape=error_bodies.with_digits,
    words={
        "key": Words(
            401,
            "Authentication Error, Invalid proxy server token passed.",
            "token_not_found_in_db",
        ),
        "quota": Words(
            400,
            "Budget has been exceeded! Current cost: 10.02, Max budget: 10.0",
            "budget_exceeded",
        ),
        "rate": Words(429, "litellm.RateLimitError: {message}", "throttling_error"),
        "moderation": Words(400, "litellm.ContentPolicyViolationError: {message}"),
        "filter": Words(400, "litellm.ContentPolicyViolationError: {message}"),
        "context": Words(400, "litellm.ContextWindowExceededError: {message}"),
        "field": Words(400, "litellm.BadRequestError: {message}"),
        "model": Words(400, "litellm.BadRequestError: Invalid model name passed in model={model}"),
        "effort": Words(400, "litellm.UnsupportedParamsError: {message}"),
    },
    has_model_rules=True,
    flex=HALF,
    tier="default",
)
_ALL: Final = (
    *(OPENAI, AZURE, OPENROUTER, GEMINI, MISTRAL, GROQ, DEEPSEEK),
    *(XAI, VLLM, OLLAMA, LITELLM),
)
DIALECTS: Final[Mapping[str, MockDialect]] = MappingProxyType({one.name: one for one in _ALL})


def dialect_of(fields: Any) -> MockDialect:  # noqa: ANN401 - comes from JSON
    """Return the dialect that `{"dialect": NAME}` names, changed by the object's other fields.

    Raises:
        ValueError: The dialect does not exist, or a field is invalid.
    """
    changes = dict(fields)
    name = str(changes.pop("dialect", None))
    if name not in DIALECTS:
        raise ValueError(f"there is no dialect {name!r}; there are {', '.join(DIALECTS)}")
    return changed(DIALECTS[name], changes)
