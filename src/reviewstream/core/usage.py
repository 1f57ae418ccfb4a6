"""What an answer can have used at most: an endpoint that errs must not drain a budget."""

from typing import Final

from msgspec import structs

from reviewstream.core.chat import ChatAnswer, ChatRequest

FRAME: Final = 1_000  # tokens that the endpoint itself adds: roles, separators, the answer's schema


def believed(answer: ChatAnswer, request: ChatRequest) -> ChatAnswer:
    """Return the answer with no more tokens than it can have used.

    No token is shorter than a byte of UTF-8. An answer has its ceiling in the request, hidden
    reasoning included; an endpoint that ignores it has used at most a token for each byte more.
    """
    schema = str(request.answer_schema)
    asked = _bytes(request.system) + _bytes(request.user) + _bytes(schema) + FRAME
    said = request.max_output_tokens + _bytes(answer.text) + _bytes(answer.refusal or "")
    return structs.replace(
        answer,
        prompt_tokens=min(answer.prompt_tokens, asked),
        completion_tokens=min(answer.completion_tokens, said),
    )


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))
