"""Ceilings of what a request can use: what a budget reserves, and what an endpoint may report."""

from typing import Final

from msgspec import structs

from reviewstream.core.labelling.chat import ChatAnswer, ChatRequest

FRAME: Final = 1_000  # tokens that the endpoint itself adds: roles, separators, the answer's schema
NEARLY: Final = 0.9  # of the ceiling: endpoints differ in what they count
MAX_OVER: Final = 200_000  # tokens that an endpoint may report over a ceiling; more is nonsense


def prompt_ceiling(request: ChatRequest) -> int:
    """Return the most tokens that a request can have: none is shorter than a byte of UTF-8."""
    schema = str(request.answer_schema)
    return _bytes(request.system) + _bytes(request.user) + _bytes(schema) + FRAME


def clamp_usage(answer: ChatAnswer, request: ChatRequest) -> ChatAnswer:
    """Return the answer with no more tokens than it can have used.

    What an endpoint reports is what it bills: some add a prompt of their own, ignore the ceiling,
    or do not count hidden reasoning against it. But nonsense must not drain a budget.
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
    """Say whether an answer was cut short as hidden reasoning has used up its room.

    An endpoint that cuts it sooner has a limit of its own: smaller packs fit it.
    """
    said = answer.completion_tokens
    is_early = answer.has_usage and said < NEARLY * request.max_output_tokens
    if answer.finish_reason != "length" or is_early:
        return False
    return 2 * answer.reasoning_tokens > said or not answer.text.strip()


def _bytes(text: str) -> int:
    return len(text.encode(errors="replace"))
