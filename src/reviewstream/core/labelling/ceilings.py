"""Upper bounds of a request's usage: for budget reservations and for checking reported usage."""

from typing import Final

from msgspec import structs

from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest

FRAME: Final = 1_000  # tokens that the endpoint adds: roles, separators, the answer's schema
NEARLY: Final = 0.9  # share of the ceiling; endpoints count tokens differently
MAX_OVER: Final = 200_000  # tokens above a ceiling that are still accepted as reported


def prompt_ceiling(request: ChatRequest) -> int:
    """Return an upper bound of a request's prompt tokens: one token for each byte of UTF-8."""
    schema = str(request.answer_schema)
    return _bytes(request.system) + _bytes(request.user) + _bytes(schema) + FRAME


def clamp_usage(answer: ChatAnswer, request: ChatRequest) -> ChatAnswer:
    """Return the answer with its token counts limited to plausible values.

    Reported usage is what the endpoint bills: some endpoints add a prompt, ignore the ceiling, or
    do not count hidden reasoning against it. The limits keep an implausible report from draining a
    budget.
    """
    said = request.max_output_tokens + _bytes(answer.text) + _bytes(answer.refusal or "")
    said += MAX_OVER
    prompt = min(answer.prompt_tokens, prompt_ceiling(request) + MAX_OVER)
    return structs.replace(
        answer,
        prompt_tokens=prompt,
        cached_tokens=min(answer.cached_tokens, prompt),
        written_tokens=min(answer.written_tokens, prompt),
        completion_tokens=min(answer.completion_tokens, said),
    )


def is_used_up(answer: ChatAnswer, request: ChatRequest) -> bool:
    """Say whether an answer was truncated because hidden reasoning used up its tokens.

    Returns False if the endpoint truncates well below the requested ceiling: it then applies a
    lower limit, which smaller packs fit.
    """
    said = answer.completion_tokens
    is_early = answer.has_usage and said < NEARLY * request.max_output_tokens
    if answer.finish_reason != "length" or is_early:
        return False
    return 2 * answer.reasoning_tokens > said or not answer.text.strip()


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))
