"""The "model": reads the reviews out of a request and says what a judge thinks of them.

It knows one request format: the last user message is a JSON object `{"reviews": [{"id": ...,
"text": ...}, ...]}`. Any other message counts as one review with the id "0". Answers depend on the
texts only: the same request is always answered alike.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from reviewstream_testbed.openai_endpoint.errors import bad_request
from reviewstream_testbed.openai_endpoint.judges import Judge
from reviewstream_testbed.openai_endpoint.writer import Judged, Unwritable, written

BYTES_PER_TOKEN: Final = 4  # of UTF-8; no tokenizer's exact count, but one that anybody can repeat
TOKENS_PER_MESSAGE: Final = 3  # what the real endpoint adds for role and separators


class Review(NamedTuple):
    """One text that is asked about."""

    id: str
    text: str


def reviews_of(messages: Sequence[Mapping[str, Any]]) -> list[Review]:
    """Return the reviews in a request."""
    asked = [text_of(one) for one in messages if one["role"] == "user"]
    text = asked[-1] if asked else ""
    try:
        found = json.loads(text)["reviews"]
        return [Review(_sendable(str(one["id"])), str(one["text"])) for one in found]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return [Review("0", text)]


def _sendable(name: str) -> str:
    """Return a name that can be sent back: a lone surrogate becomes a question mark."""
    return name if name.isascii() else name.encode(errors="replace").decode()


def text_of(message: Mapping[str, Any]) -> str:
    """Return a message's content as one string."""
    content = message.get("content") or ""
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


def count_tokens(text: str) -> int:
    """Return ceil(bytes of UTF-8 / 4)."""
    return math.ceil(len(text.encode(errors="replace")) / BYTES_PER_TOKEN)


def prompt_tokens(messages: Sequence[Mapping[str, Any]]) -> int:
    """Return how many tokens a request takes."""
    return sum(count_tokens(text_of(one)) + TOKENS_PER_MESSAGE for one in messages)


def answer_of(body: Mapping[str, Any], reviews: Sequence[Review], judge: Judge) -> str:
    """Return the text that answers a request, in the format that it asks for.

    Raises:
        ApiError: this mock cannot think of a value that follows the schema.
    """
    judged = [Judged(one.id, judge(one.text)) for one in reviews]
    wanted = body.get("response_format") or {"type": "text"}
    if wanted["type"] == "json_schema" and wanted["json_schema"].get("schema"):
        return _structured(wanted["json_schema"]["schema"], judged)
    if wanted["type"] == "text":
        return "\n".join(one.opinion.sentiment for one in judged)
    return json.dumps({"labels": [{"id": one.id, **one.opinion._asdict()} for one in judged]})


def _structured(schema: Mapping[str, Any], judged: Sequence[Judged]) -> str:
    try:
        return json.dumps(written(schema, judged), ensure_ascii=False)
    except Unwritable as err:
        raise bad_request(
            f"This mock endpoint cannot answer with this schema: {err}", param="response_format"
        ) from err
