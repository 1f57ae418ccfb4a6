"""Values for one request to a language model and its answer."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

ResponseFormat: TypeAlias = Literal["json_schema", "json_object", "text"]
MaxTokensField: TypeAlias = Literal["max_completion_tokens", "max_tokens"]


class ChatOptions(Struct, frozen=True, kw_only=True):
    """Options of a request that differ between endpoints and models.

    Attributes:
        response_format: `json_schema` is strict structured output, `json_object` is JSON mode,
            `text` specifies the format by the prompt alone.
        max_tokens_field: Name of the field for the answer's token ceiling.
        reasoning_effort: `none`, `minimal`, `low`, ...; None: not sent.
        temperature: 0 to 2; None: not sent.
        service_tier: `flex`, `default`, ...; None: not sent.
        hidden_tokens_per_label: Tokens per label added to the ceiling for hidden reasoning.
        extra_body: Additional fields, sent verbatim.
    """

    response_format: ResponseFormat = "json_schema"
    max_tokens_field: MaxTokensField = "max_completion_tokens"
    reasoning_effort: str | None = None
    temperature: float | None = None
    service_tier: str | None = None
    hidden_tokens_per_label: int = 0
    extra_body: Mapping[str, Any] = {}


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One structured-output request.

    Attributes:
        system: Our instructions.
        user: The data; contains no instructions.
        answer_schema: JSON schema that the answer must follow (strict).
        schema_name: Name of the schema, `[a-zA-Z0-9_-]{1,64}`.
        max_output_tokens: Ceiling of the answer, hidden reasoning included.
        options: Options of the request.
    """

    system: str
    user: str
    answer_schema: Mapping[str, Any]
    schema_name: str
    max_output_tokens: int
    options: ChatOptions = ChatOptions()


class RateLimits(Struct, frozen=True, kw_only=True):
    """Rate limits of an endpoint; None where unknown."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class ChatAnswer(Struct, frozen=True, kw_only=True):
    """The model's answer, not yet parsed.

    Attributes:
        text: The content; empty if there was none.
        refusal: The model's reason for refusing, or None.
        finish_reason: `stop`, `length`, `content_filter`, ... as the endpoint reports it.
        model: Name of the model as the endpoint reports it.
        request_id: The endpoint's id of the request, or None.
        prompt_tokens: Tokens of the request, cached ones included.
        completion_tokens: Tokens of the answer, reasoning included.
        cached_tokens: Prompt tokens read from the endpoint's cache.
        written_tokens: Prompt tokens written to the endpoint's cache; some endpoints bill them
            separately.
        reasoning_tokens: Completion tokens that the answer does not show.
        has_usage: Whether the endpoint reports token counts; if False, the counts are meaningless.
        cost_micro_usd: Reported cost in millionths of a US dollar; None if not reported.
        service_tier: Reported service tier; empty if not reported.
        limits: Reported rate limits, or None if not reported.
    """

    text: str
    refusal: str | None = None
    finish_reason: str = "stop"
    model: str = ""
    request_id: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    written_tokens: int = 0
    reasoning_tokens: int = 0
    has_usage: bool = True
    cost_micro_usd: int | None = None
    service_tier: str = ""
    limits: RateLimits | None = None
