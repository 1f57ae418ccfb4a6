"""Errors as endpoints are documented or reported to send them, and whose fault each is."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from reviewstream.core.labelling.endpoint.blame import Blame


class Error(NamedTuple):
    """One HTTP answer.

    Attributes:
        body: JSON, or text that is sent as it is.
        says: What the words that are kept hold.
        field: The field of the request that is named.
    """

    status: int
    body: Any
    blame: Blame
    says: str
    field: str = ""
    headers: Mapping[str, str] = MappingProxyType({})


ERRORS: Final = {
    "openai-billing-hard-limit": Error(
        400,
        {
            "error": {
                "message": "Billing hard limit has been reached",
                "type": "invalid_request_error",
                "param": None,
                "code": "billing_hard_limit_reached",
            }
        },
        Blame.QUOTA,
        "Billing hard limit",
    ),
    "openai-insufficient-quota": Error(
        429,
        {
            "error": {
                "message": "You exceeded your current quota, please check your plan.",
                "type": "insufficient_quota",
                "param": None,
                "code": "insufficient_quota",
            }
        },
        Blame.QUOTA,
        "exceeded your current quota",
        headers={"retry-after": "1"},
    ),
    "openai-flex-without-capacity": Error(
        429,
        {"error": {"message": "Resource unavailable.", "code": "resource_unavailable"}},
        Blame.CAPACITY,
        "Resource unavailable",
    ),
    "openai-context-length": Error(
        400,
        {
            "error": {
                "message": "This model's maximum context length is 128000 tokens.",
                "type": "invalid_request_error",
                "param": "messages",
                "code": "context_length_exceeded",
            }
        },
        Blame.TEXT,
        "maximum context length",
    ),
    "openai-unsupported-value": Error(
        400,
        {
            "error": {
                "message": "Unsupported value: 'minimal' is not supported with this model.",
                "type": "invalid_request_error",
                "param": "reasoning.effort",
                "code": "unsupported_value",
            }
        },
        Blame.UNCLEAR,
        "Unsupported value",
        field="reasoning_effort",
    ),
    "openai-unsupported-parameter": Error(
        400,
        {
            "error": {
                "message": "Use 'max_completion_tokens' instead.",
                "param": "max_tokens",
                "code": "unsupported_parameter",
            }
        },
        Blame.UNCLEAR,
        "instead",
        field="max_tokens",
    ),
    "openai-wrong-key": Error(
        401,
        {"error": {"message": "Incorrect API key provided: sk-***.", "code": "invalid_api_key"}},
        Blame.ACCOUNT,
        "Incorrect API key",
    ),
    "openai-no-such-model": Error(
        404,
        {"error": {"message": "The model `m` does not exist", "code": "model_not_found"}},
        Blame.REQUEST,
        "does not exist",
        field="model",
    ),
    "azure-content-filter": Error(
        400,
        {
            "error": {
                "message": "The response was filtered.",
                "type": None,
                "param": "prompt",
                "code": "content_filter",
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
        Blame.MODERATED,
        "was filtered",
    ),
    "azure-inner-error-alone": Error(
        400,
        {
            "error": {
                "message": "Filtered.",
                "innererror": {"code": "ResponsibleAIPolicyViolation"},
            }
        },
        Blame.MODERATED,
        "Filtered",
    ),
    "deepseek-no-json-schema": Error(
        400,
        {
            "error": {
                "message": "This response_format type is unavailable now",
                "type": "invalid_request_error",
                "param": None,
                "code": "invalid_request_error",
            }
        },
        Blame.UNCLEAR,
        "unavailable now",
        field="response_format",
    ),
    "deepseek-no-balance": Error(
        402,
        {"error": {"message": "Insufficient Balance", "type": "unknown_error"}},
        Blame.QUOTA,
        "Insufficient Balance",
    ),
    "gemini-wrong-key": Error(
        400,
        [
            {
                "error": {
                    "code": 400,
                    "message": "API key not valid.",
                    "status": "INVALID_ARGUMENT",
                    "details": [{"reason": "API_KEY_INVALID"}],
                }
            }
        ],
        Blame.ACCOUNT,
        "API key not valid",
    ),
    "gemini-throttled": Error(
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "Resource has been exhausted (e.g. check quota).",
                    "status": "RESOURCE_EXHAUSTED",
                }
            }
        ],
        Blame.RATE,
        "has been exhausted",
    ),
    "gemini-limit-of-a-minute": Error(
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota. Please retry in 37s.",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [
                        {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProject"}]},
                        {"@type": "google.rpc.RetryInfo", "retryDelay": "37s"},
                    ],
                }
            }
        ],
        Blame.RATE,
        "retry in 37s",
    ),
    "gemini-limit-of-a-day": Error(
        429,
        [
            {
                "error": {
                    "code": 429,
                    "message": "You exceeded your current quota. Please retry in 37s.",
                    "status": "RESOURCE_EXHAUSTED",
                    "details": [
                        {"violations": [{"quotaId": "GenerateRequestsPerDayPerProject-FreeTier"}]},
                        {"@type": "google.rpc.RetryInfo", "retryDelay": "37s"},
                    ],
                }
            }
        ],
        Blame.QUOTA,
        "exceeded your current quota",
    ),
    "groq-bad-json-of-the-model": Error(
        400,
        {
            "error": {
                "message": "Failed to generate JSON.",
                "type": "invalid_request_error",
                "code": "json_validate_failed",
                "failed_generation": '{"labels": [',
            }
        },
        Blame.ANSWER,
        "Failed to generate JSON",
    ),
    "groq-498": Error(
        498, {"error": {"message": "capacity exceeded"}}, Blame.CAPACITY, "capacity exceeded"
    ),
    "groq-424": Error(
        424, {"error": {"message": "capacity exceeded"}}, Blame.ENDPOINT, "capacity exceeded"
    ),
    "litellm-budget": Error(
        400,
        {
            "error": {
                "message": "Budget has been exceeded! Current cost: 10.02, Max budget: 10.0",
                "type": "budget_exceeded",
                "param": None,
                "code": "400",
            }
        },
        Blame.QUOTA,
        "Budget has been exceeded",
    ),
    "mistral-without-capacity": Error(
        429,
        {
            "object": "error",
            "message": "Service tier capacity exceeded for this model.",
            "type": "service_tier_capacity_exceeded",
            "code": "3505",
        },
        Blame.CAPACITY,
        "capacity exceeded",
    ),
    "moonshot-quota": Error(
        429,
        {
            "error": {
                "message": "Your account is suspended due to insufficient balance",
                "type": "exceeded_current_quota_error",
            }
        },
        Blame.QUOTA,
        "insufficient balance",
    ),
    "xai-no-credits": Error(
        403,
        {
            "code": "The caller does not have permission to execute the specified operation",
            "error": "Your team has either used all available credits or reached its limit.",
        },
        Blame.QUOTA,
        "all available credits",
    ),
    "together-throttled": Error(
        429,
        {
            "error": {
                "message": "You have been rate limited. Your rate limit is 60 queries per minute.",
                "type": "credit_limit",
                "param": None,
                "code": None,
            }
        },
        Blame.RATE,
        "60 queries per minute",
    ),
    "openrouter-moderation": Error(
        403,
        {
            "error": {
                "code": 403,
                "message": "Your chosen model requires moderation and your input was flagged",
                "metadata": {"reasons": ["violence"], "flagged_input": "They kill..."},
            }
        },
        Blame.MODERATED,
        "was flagged",
    ),
    "openrouter-data-policy": Error(
        404,
        {
            "error": {
                "message": "No endpoints found matching your data policy. See settings/privacy",
                "code": 404,
            }
        },
        Blame.REQUEST,
        "matching your data policy",
    ),
    "openrouter-provider": Error(
        429,
        {
            "error": {
                "message": "Provider returned error",
                "code": 429,
                "metadata": {"raw": '{"error": {"message": "m is rate-limited upstream"}}'},
            }
        },
        Blame.RATE,
        "Provider returned error: m is rate-limited upstream",
    ),
    "openrouter-provider-text": Error(
        502,
        {"error": {"message": "Provider returned error", "metadata": {"raw": "Bad gateway"}}},
        Blame.ENDPOINT,
        "Provider returned error: Bad gateway",
    ),
    "tgi-error-is-text": Error(
        400,
        {"error": "Input validation error: inputs must have less", "error_type": "validation"},
        Blame.UNCLEAR,
        "inputs must have less",
    ),
    "fastapi-detail-is-text": Error(
        403, {"detail": "Not authenticated"}, Blame.UNCLEAR, "Not authenticated"
    ),
    "fastapi-detail-is-a-list": Error(
        422,
        {
            "detail": [
                {
                    "loc": ["body", "response_format", "type"],
                    "msg": "Input should be 'text' or 'json_object'",
                    "type": "literal_error",
                }
            ]
        },
        Blame.UNCLEAR,
        "body.response_format.type: Input should be",
        field="response_format",
    ),
    "vllm-top-level": Error(
        400,
        {"object": "error", "message": "temperature must be at most 2", "type": "BadRequestError"},
        Blame.UNCLEAR,
        "temperature must be at most 2",
        field="temperature",
    ),
    "nginx-too-large": Error(
        413,
        "<html><head><title>413 Request Entity &amp; Too Large</title></head><body>x</body></html>",
        Blame.TEXT,
        "413 Request Entity & Too Large",
    ),
    "page-without-a-title": Error(
        503, "<h1>Service</h1>\n<p>down</p>", Blame.ENDPOINT, "Service down"
    ),
    "page-with-an-empty-title": Error(503, "<title> </title><p>gone</p>", Blame.ENDPOINT, "gone"),
    "plain-text": Error(500, "upstream\n connect  error", Blame.ENDPOINT, "upstream connect error"),
    "nothing-at-all": Error(500, "", Blame.ENDPOINT, ""),
    "json-without-words": Error(400, {"ok": False}, Blame.UNCLEAR, '{"ok": false}'),
    "throttled-for-hours": Error(
        429,
        {"error": {"message": "Rate limit reached: requests per day (RPD)"}},
        Blame.QUOTA,
        "requests per day",
        headers={"Retry-After": "7200"},
    ),
    "quota-by-words": Error(
        429, {"error": {"message": "Quota exceeded."}}, Blame.QUOTA, "Quota exceeded"
    ),
    "quota-words-with-a-short-wait": Error(
        429,
        {"error": {"message": "Quota exceeded."}},
        Blame.RATE,
        "Quota exceeded",
        headers={"retry-after-ms": "2500"},
    ),
    "quota-words-under-another-status": Error(
        400, {"error": {"message": "insufficient balance"}}, Blame.UNCLEAR, "insufficient balance"
    ),
    "redirect": Error(302, "", Blame.REQUEST, ""),
    "firewall": Error(403, "<title>Access denied</title>", Blame.UNCLEAR, "Access denied"),
    "no-such-method": Error(405, {"detail": "Method Not Allowed"}, Blame.REQUEST, "Not Allowed"),
    "teapot": Error(418, "", Blame.UNCLEAR, ""),
    "time-out": Error(408, "", Blame.ENDPOINT, ""),
    "overloaded": Error(529, "", Blame.ENDPOINT, ""),
    "quota-name-of-a-broken-endpoint": Error(
        500, {"error": {"message": "x", "code": "insufficient_quota"}}, Blame.ENDPOINT, "x"
    ),
}
