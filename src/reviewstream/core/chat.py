"""One question to a language model and its answer, as plain values."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct


class ChatRequest(Struct, frozen=True, kw_only=True):
    """One structured-output request.

    Attributes:
        system: Our instructions.
        user: The data: never instructions.
        answer_schema: JSON schema that the answer must follow (strict).
        schema_name: Its name, `[a-zA-Z0-9_-]{1,64}`.
        max_output_tokens: Ceiling of the answer.
    """

    system: str
    user: str
    answer_schema: Mapping[str, Any]
    schema_name: str
    max_output_tokens: int


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
        limits: What the endpoint says that it allows, or None if it does not say.
    """

    text: str
    refusal: str | None = None
    finish_reason: str = "stop"
    model: str = ""
    request_id: str | None = None
    prompt_tokens: int = 0
    completion_tokens: int = 0
    limits: RateLimits | None = None
