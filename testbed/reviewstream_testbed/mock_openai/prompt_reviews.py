"""Reads the reviews from a request, and counts tokens.

One request format is supported: the last user message is a JSON object `{"reviews": [{"id": ...,
"text": ...}, ...]}`. Any other message counts as one review with the id "0". Answers depend only
on the texts, so equal requests get equal answers.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

BYTES_PER_TOKEN: Final = 4  # UTF-8 bytes; not a tokenizer's exact count, but easy to reproduce
TOKENS_PER_MESSAGE: Final = 3  # as the real endpoint adds for role and separators


class PromptReview(NamedTuple):
    """One text to label."""

    id: str
    text: str


def reviews_of(messages: Sequence[Mapping[str, Any]]) -> list[PromptReview]:
    """Return the reviews in a request."""
    asked = [text_of(one) for one in messages if one["role"] == "user"]
    text = asked[-1] if asked else ""
    try:
        found = json.loads(text)["reviews"]
        return [PromptReview(_sendable(str(one["id"])), str(one["text"])) for one in found]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return [PromptReview("0", text)]


def instructions(messages: Sequence[Mapping[str, Any]]) -> str:
    """Return the text of all messages except the user's."""
    return "\n".join(text_of(one) for one in messages if one["role"] != "user")


def _sendable(name: str) -> str:
    """Return a name that can be encoded as UTF-8: a lone surrogate becomes a question mark."""
    return name if name.isascii() else name.encode(errors="replace").decode()


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message's content as one string."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def count_tokens(text: str) -> int:
    """Return ceil(bytes of UTF-8 / 4)."""
    return math.ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def prompt_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return the number of prompt tokens of a request."""
    return sum(count_tokens(text_of(one)) + TOKENS_PER_MESSAGE for one in messages)
