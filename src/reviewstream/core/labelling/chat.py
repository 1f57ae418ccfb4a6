"""One question to a language model and its answer, as plain values."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from msgspec import Struct

ResponseFormat: TypeAlias = Literal["json_schema", "json_object", "text"]
MaxTokensField: TypeAlias = Literal["max_completion_tokens", "max_tokens"]


class ChatOptions(Struct, frozen=True, kw_only=True):
    """How a request is made, beside its texts: what differs between endpoints and models.

    Attributes:
        response_format: How the answer's form is asked for: `json_schema` is strict structured
            output, `json_object` is JSON mode, `text` asks by the prompt alone.
        max_tokens_field: Name of the field that holds the ceiling of the answer.
        reasoning_effort: `none`, `minimal`, `low`, ...; None: not sent.
        temperature: 0 to 2; None: not sent.
        service_tier: `flex`, `default`, ...; None: not sent.
        hidden_tokens_per_label: Room in the ceiling for reasoning that the answer does not show.
        extra_body: Any other fields, verbatim.
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
        user: The data: never instructions.
        answer_schema: JSON schema that the answer must follow (strict).
        schema_name: Its name, `[a-zA-Z0-9_-]{1,64}`.
        max_output_tokens: Ceiling of the answer, hidden reasoning included.
        options: How it is made.
    """

    system: str
    user: str
    answer_schema: Mapping[str, Any]
    schema_name: str
    max_output_tokens: int
    options: ChatOptions = ChatOptions()


class RateLimits(Struct, frozen=True, kw_only=True):
    """What an endpoint allows, as far as it is known."""

    requests_per_minute: float | None = None
    tokens_per_minute: float | None = None


class ChatAnswer(Struct, frozen=True, kw_only=True):
    """What the model said, unread.

    Attributes:
        text: The content; empty if there was none.
        refusal: Why the model would not answer, or None.
        finish_reason: `stop`, `length`, `content_filter`, ... as the endpoint says.
        model: As the endpoint names it.
        request_id: The endpoint's id of the request, or None.
        prompt_tokens: Of the request, the cached ones included.
        completion_tokens: Of the answer, the reasoning included.
        cached_tokens: Prompt tokens that the endpoint had in its cache.
        written_tokens: Prompt tokens that it wrote to its cache, which some bill apart.
        reasoning_tokens: Completion tokens that the answer does not show.
        has_usage: Whether the endpoint reports the tokens; if not, the counts mean nothing.
        cost_micro_usd: Cost as the endpoint reports it, in millionths of a US dollar; None: it
            does not.
        service_tier: As the endpoint reports it; empty: it does not.
        limits: What the endpoint says that it allows, or None if it does not say.
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
