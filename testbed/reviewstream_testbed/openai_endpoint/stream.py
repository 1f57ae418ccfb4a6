"""An answer in pieces: server-sent events, as the API's streams are.

Source: OpenAI, "API reference", "Chat completions", "Streaming"; WHATWG, "Server-sent events".
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from reviewstream_testbed.openai_endpoint.completions import Completion, Said
from reviewstream_testbed.openai_endpoint.errors import ApiError

PIECE: Final = 16  # characters of an answer in one event
DONE: Final = b"data: [DONE]\n\n"
_ERROR: Final = ApiError(
    500, "The server had an error while processing your request.", type="server_error"
)
# What comes in place of the second half.
_ENDS: Final[Mapping[str, Callable[[bytes], list[bytes]]]] = {
    "cut": lambda _: [],
    "stall": lambda _: [],
    "stream_error": lambda _: [event(_ERROR.body())],
    "truncated_json": lambda following: [following[: len(following) // 2] + b"\n\n"],
}


def event(payload: Mapping[str, Any]) -> bytes:
    """Return one event."""
    return b"data: " + json.dumps(payload, ensure_ascii=False).encode() + b"\n\n"


def chunks(completion: Completion, options: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Return the chunks that make up a completion.

    Args:
        completion: What is answered.
        options: The request's `stream_options`.
    """
    told = {"usage": None} if options.get("include_usage") else {}
    is_padded = options.get("include_obfuscation") is not False
    frame = {**completion.frame(), "object": "chat.completion.chunk"}
    if not completion.choices:
        yield {**frame, "choices": [], **told}
    for number in range(completion.choices):
        for delta, finish_reason in _deltas(completion.said):
            choice = {"index": number, "delta": delta, "logprobs": None}
            padding = {"obfuscation": _padding(delta)} if is_padded else {}
            choices = [{**choice, "finish_reason": finish_reason}]
            yield {**frame, "choices": choices, **told, **padding}
    if told and completion.usage is not None:
        yield {**frame, "choices": [], "usage": completion.usage}


def spoilt(events: list[bytes], fault: str) -> list[bytes]:
    """Return the events of a stream that a fault breaks off in its midst."""
    if fault not in _ENDS:
        return events
    middle = len(events) // 2
    return [*events[:middle], *_ENDS[fault](events[middle])]


def _deltas(said: Said) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Return what each event adds, and how the answer stopped."""
    field, text = ("content", said.text) if said.text is not None else ("refusal", said.refusal)
    first = {"role": "assistant", "content": "" if field == "content" else None, "refusal": None}
    yield first, None
    text = text or ""
    for at in range(0, len(text), PIECE):
        yield {field: text[at : at + PIECE]}, None
    yield {}, said.finish_reason


def _padding(delta: Mapping[str, Any]) -> str:
    """Return what makes an event as long as any other."""
    return "0" * (PIECE - len(delta.get("content") or delta.get("refusal") or ""))
