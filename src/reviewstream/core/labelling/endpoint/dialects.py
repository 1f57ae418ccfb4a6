"""Differences of endpoints from OpenAI's chat completions, as data.

As of 30 November 2026. Sources: each provider's API reference (errors, rate limits, structured
outputs), the error lists of OpenRouter and Groq, the documentation of vLLM, Ollama and LiteLLM, and
public bug reports. Not verified with any provider: the recorded cases of the tests come from these
sources.

The error names of all dialects apply to every endpoint, because gateways pass them on; the rest
applies to its endpoint only. A header is listed only if its window is known.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, Literal

from msgspec import Struct

from reviewstream.core.labelling.chat import MaxTokensField, ResponseFormat
from reviewstream.core.labelling.endpoint.reasoning import manners_of
from reviewstream.errors import ConfigError

__all__ = [
    "ACCOUNT_NAMES",
    "BAD_ANSWER_NAMES",
    "CAPACITY_NAMES",
    "DIALECTS",
    "KNOWN_NAMES",
    "MINUTE",
    "MODERATION_NAMES",
    "QUOTA_NAMES",
    "TOO_LONG_NAMES",
    "Dialect",
    "LimitHeader",
    "dialect_of",
    "least_effort",
]

MINUTE: Final = 60  # seconds
DAY: Final = 86_400  # seconds


class LimitHeader(Struct, frozen=True):
    """A response header that holds a rate limit.

    Attributes:
        name: Name in lower case.
        of: Unit of the limit.
        window_seconds: Period of the limit.
    """

    name: str
    of: Literal["requests", "tokens"]
    window_seconds: int = MINUTE


class Dialect(Struct, frozen=True, kw_only=True):
    """Request options, error names and limit headers of an endpoint.

    Attributes:
        hosts: Suffixes of host names, or `:port` of local servers, that select the dialect.
        provider: Id of the endpoint in genai-prices, or None.
        max_tokens_field: Name of the field for the answer's token ceiling.
        response_formats: Accepted formats, strictest first.
        reasoning_efforts: Accepted values of `reasoning_effort`; True: those of the model; False:
            the field is refused.
        limit_headers: Rate-limit headers.
        quota: Error names: credit, a budget or a quota is spent.
        account: Error names: the key. Without names such as `permission_denied`, which may be about
            a text.
        moderation: Error names: a content filter.
        too_long: Error names: the request does not fit the model's context.
        bad_answer: Error names: the model's answer did not follow the schema.
        capacity: Error names: no capacity for the service tier at present.
        flex_factor: Price of the flex tier relative to the standard tier.
    """

    name: str
    hosts: tuple[str, ...] = ()
    provider: str | None = None
    max_tokens_field: MaxTokensField = "max_tokens"
    response_formats: tuple[ResponseFormat, ...] = ("json_schema", "json_object", "text")
    reasoning_efforts: bool | tuple[str, ...] = True
    limit_headers: tuple[LimitHeader, ...] = ()
    quota: frozenset[str] = frozenset()
    account: frozenset[str] = frozenset()
    moderation: frozenset[str] = frozenset()
    too_long: frozenset[str] = frozenset()
    bad_answer: frozenset[str] = frozenset()
    capacity: frozenset[str] = frozenset()
    flex_factor: float = 0.5


def _named(names: str) -> frozenset[str]:
    return frozenset(names.split())


_REQUESTS: Final = LimitHeader("x-ratelimit-limit-requests", "requests")
_TOKENS: Final = LimitHeader("x-ratelimit-limit-tokens", "tokens")
_MINUTES: Final = (  # these name their window
    LimitHeader("x-ratelimit-limit-req-minute", "requests"),
    LimitHeader("x-ratelimit-limit-requests-minute", "requests"),
    LimitHeader("x-ratelimit-limit-tokens-minute", "tokens"),
)

_ALL: Final = (
    Dialect(
        name="openai",
        hosts=("api.openai.com",),
        provider="openai",
        max_tokens_field="max_completion_tokens",
        limit_headers=(_REQUESTS, _TOKENS),
        quota=_named("insufficient_quota billing_hard_limit_reached billing_not_active"),
        account=_named(
            "invalid_api_key account_deactivated access_terminated invalid_organization"
            " mismatched_organization mismatched_project ip_not_authorized"
            " unsupported_country_region_territory"
        ),
        # `invalid_prompt`: a reasoning model found that the text violates the usage policy.
        moderation=_named("content_policy_violation invalid_prompt"),
        too_long=_named("context_length_exceeded string_above_max_length"),
        capacity=_named("resource_unavailable"),
    ),
    Dialect(
        name="azure",
        hosts=(
            "openai.azure.com",
            "cognitiveservices.azure.com",
            "services.ai.azure.com",
            "azure-api.net",
        ),
        provider="azure",
        max_tokens_field="max_completion_tokens",
        limit_headers=(_REQUESTS, _TOKENS),
        quota=_named("quotaexceeded"),
        account=_named("invalidauthenticationtoken"),
        moderation=_named("content_filter responsibleaipolicyviolation"),
        capacity=_named("nocapacity"),
    ),
    Dialect(
        name="openrouter",
        hosts=("openrouter.ai",),
        provider="openrouter",
        quota=_named("payment_required insufficient_credits"),
        account=_named("authentication"),
        moderation=_named("content_policy_violation flagged_input"),
        too_long=_named("context_length_exceeded string_too_long payload_too_large"),
    ),
    Dialect(
        name="gemini",
        hosts=("googleapis.com",),
        provider="google",
        quota=_named("billing_disabled"),
        account=_named(
            "api_key_invalid api_key_expired api_key_service_blocked consumer_suspended"
            " service_disabled unauthenticated"
        ),
        moderation=_named("prohibited_content safety blocklist spii"),
    ),
    Dialect(
        name="mistral",
        hosts=("mistral.ai",),
        provider="mistral",
        reasoning_efforts=("none", "high"),
        limit_headers=_MINUTES,
        capacity=_named("service_tier_capacity_exceeded"),
    ),
    Dialect(
        name="groq",
        hosts=("groq.com",),
        provider="groq",
        max_tokens_field="max_completion_tokens",
        limit_headers=(LimitHeader("x-ratelimit-limit-requests", "requests", DAY), _TOKENS),
        quota=_named("blocked_api_access"),
        account=_named("organization_restricted invalid_api_key"),
        bad_answer=_named("json_validate_failed"),
        capacity=_named("capacity_exceeded"),
        flex_factor=1.0,
    ),
    Dialect(
        name="deepseek",
        hosts=("deepseek.com",),
        provider="deepseek",
        response_formats=("json_object", "text"),
        reasoning_efforts=("low", "high", "max"),
        quota=_named("insufficient_balance"),
    ),
    Dialect(name="xai", hosts=("x.ai",), provider="x-ai", limit_headers=(_REQUESTS, _TOKENS)),
    Dialect(name="vllm"),
    Dialect(
        name="ollama",
        hosts=(":11434", "ollama.com"),
        reasoning_efforts=("none", "low", "medium", "high"),
    ),
    Dialect(
        name="litellm",
        hosts=(":4000",),
        limit_headers=(_REQUESTS, _TOKENS),
        quota=_named("budget_exceeded"),
        account=_named(
            "expired_key key_model_access_denied team_model_access_denied token_not_found_in_db"
            " user_model_access_denied"
        ),
    ),
    Dialect(
        name="together",
        hosts=("together.xyz", "together.ai"),
        provider="together",
        limit_headers=(
            LimitHeader("x-ratelimit-limit", "requests", 1),
            LimitHeader("x-tokenlimit-limit", "tokens", 1),
        ),
    ),
    # Its error names are those of endpoints without a dialect: Moonshot, Alibaba's DashScope,
    # ByteDance's Ark, gateways such as One API, Anthropic.
    Dialect(
        name="generic",
        max_tokens_field="max_completion_tokens",
        limit_headers=(_REQUESTS, _TOKENS, *_MINUTES),
        quota=_named(
            "exceeded_current_quota_error insufficient_user_quota quota_exceeded arrearage"
            " accountoverdueerror allocationquota.freetieronly billing_error"
        ),
        account=_named("invalid_authentication_error authentication_error"),
        moderation=_named(
            "data_inspection_failed datainspectionfailed sensitivecontentdetected"
            " inputtextsensitivecontentdetected content_policy"
        ),
    ),
)
DIALECTS: Final[Mapping[str, Dialect]] = MappingProxyType({one.name: one for one in _ALL})


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


QUOTA_NAMES: Final = _union(one.quota for one in _ALL)
ACCOUNT_NAMES: Final = _union(one.account for one in _ALL)
MODERATION_NAMES: Final = _union(one.moderation for one in _ALL)
TOO_LONG_NAMES: Final = _union(one.too_long for one in _ALL)
BAD_ANSWER_NAMES: Final = _union(one.bad_answer for one in _ALL)
CAPACITY_NAMES: Final = _union(one.capacity for one in _ALL)
KNOWN_NAMES: Final = _union(
    (
        QUOTA_NAMES,
        ACCOUNT_NAMES,
        MODERATION_NAMES,
        TOO_LONG_NAMES,
        BAD_ANSWER_NAMES,
        CAPACITY_NAMES,
    )
)


def dialect_of(base_url: str, name: str = "auto") -> Dialect:
    """Return a dialect by name, or by the address if the name is `auto`.

    Raises:
        ConfigError: There is no such dialect; the message lists the known ones.
    """
    if name == "auto":
        host, port = _host_and_port(base_url)
        chosen = (one for one in _ALL if any(_is_of(host, port, suffix) for suffix in one.hosts))
        return next(chosen, DIALECTS["generic"])
    if name not in DIALECTS:
        raise ConfigError(
            f"openai.dialect (REVIEWSTREAM_OPENAI__DIALECT) is {name!r}: there are auto,"
            f" {', '.join(DIALECTS)}"
        )
    return DIALECTS[name]


def least_effort(model: str, dialect: Dialect) -> str | None:
    """Return the least `reasoning_effort` that a model accepts at an endpoint; None: send none."""
    least, taken = manners_of(model).least_effort, dialect.reasoning_efforts
    if least is None or isinstance(taken, bool):
        return least if taken else None
    return least if least in taken else None


def _is_of(host: str, port: str, suffix: str) -> bool:
    if suffix.startswith(":"):
        return port == suffix[1:]
    return host == suffix or host.endswith(f".{suffix}")


def _host_and_port(url: str) -> tuple[str, str]:
    """Return the host and the port of a URL, empty if absent."""
    authority = url.strip().lower().partition("://")[2] or url.strip().lower()
    for end in "/?#":
        authority = authority.partition(end)[0]
    authority = authority.rpartition("@")[2]
    host, _, port = authority.rpartition(":")
    return (host, port) if port.isdigit() else (authority, "")
