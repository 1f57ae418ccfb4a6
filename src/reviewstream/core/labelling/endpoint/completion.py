"""Parser for the responses of a chat-completions endpoint.

It never raises. It is strict about the answer and lenient about other fields, because a complete
answer is paid for even if its `usage` is malformed. It parses the bytes instead of using a client's
models, because those accept an HTML page, a choice without a message, or a number as text.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct, structs

from reviewstream.core.labelling.chat import ChatAnswer
from reviewstream.core.labelling.endpoint.billed import read_usage
from reviewstream.core.labelling.endpoint.dialects import Dialect
from reviewstream.core.labelling.endpoint.http_limits import lower_case, rate_limits
from reviewstream.core.labelling.endpoint.refusals import MAX_WORDS, Refused, error_of, refusal
from reviewstream.core.records.json_values import NOT_JSON, as_mapping, decoded, kept

MAX_NAME: Final = 200  # characters of a model's name or a request id
NO_CHOICE: Final = "the endpoint returned no choice"

# Fields for the reasoning. If one has text and `content` has none, its name becomes the answer's
# `finish_reason`: the text is not an answer, but a rejection can name the field.
REASONING_FIELDS: Final = ("reasoning_content", "reasoning")

_REQUEST_IDS: Final = ("x-request-id", "request-id", "apim-request-id")
_TEXT_PARTS: Final = ("text", "output_text", None)
_FINISHES: Final = {
    name: meaning
    for meaning, names in {
        "stop": "completed end_turn eos eos_token stop stop_sequence",
        "length": "length max_output_tokens max_tokens model_length model_context_window_exceeded",
        "content_filter": (
            "blocklist content-filter content_filter content_filtered guardrail_intervened"
            " image_safety prohibited_content recitation refusal safety sensitive spii"
        ),
    }.items()
    for name in names.split()
}
_FAILED: Final = {  # the endpoint aborted the answer
    "abort": 502,
    "aborted": 502,
    "error": 502,
    "insufficient_system_resource": 503,
    "network_error": 502,
}


class NotACompletion(Struct, frozen=True, kw_only=True):
    """A body of HTTP 200 that is not a completion.

    Attributes:
        why: The error, and the beginning of the body.
        is_json: Whether the body is complete JSON, and so a bad answer. Otherwise (truncated, HTML)
            it is an outage, and the request may have been billed.
    """

    why: str
    is_json: bool = False


class _Said(Struct, frozen=True, kw_only=True):
    text: str
    refusal: str | None
    finish: str


def read_completion(
    body: bytes, headers: Mapping[str, str], dialect: Dialect
) -> ChatAnswer | Refused | NotACompletion:
    """Parse the body of HTTP 200. Never raises."""
    value = decoded(body)
    if value is NOT_JSON:
        return _no_completion("the body is not JSON", body)
    top = _first_object(value)
    choice = _first_object(top.get("choices"))
    error = _failure(top, choice)
    if error is not None:
        refused = refusal(None, error, headers, dialect, body=body)
        return structs.replace(refused, billed=_billed(top, headers, dialect))
    said = _said(top, choice)
    if isinstance(said, str):
        return _no_completion(said, body, is_json=True)
    return _answer(said, top, headers, dialect)


def _billed(
    top: Mapping[str, Any], headers: Mapping[str, str], dialect: Dialect
) -> ChatAnswer | None:
    """Return the usage reported by a failed completion, or None if it reports none."""
    answer = _answer(_Said(text="", refusal=None, finish="error"), top, headers, dialect)
    return answer if answer.has_usage or answer.cost_micro_usd is not None else None


def _failure(top: Mapping[str, Any], choice: Mapping[str, Any]) -> object:
    """Return the error inside a body, or None if there is no error."""
    raw = choice.get("finish_reason")
    status = _FAILED.get(raw.lower()) if isinstance(raw, str) else None
    if choice.get("error"):
        return choice
    error = error_of(top)
    if status is not None:
        return error or {"message": f"finish_reason is {raw}", "code": status}
    return None if _text(as_mapping(choice.get("message")).get("content")) else error


def _said(top: Mapping[str, Any], choice: Mapping[str, Any]) -> _Said | str:
    """Return the model's message, or the error in the completion."""
    finish, message = _finish(choice), choice.get("message")
    if not choice and _is_without_choice(top):
        return _Said(text="", refusal=NO_CHOICE, finish=finish)
    if not isinstance(message, dict):
        if finish == "content_filter":
            return _Said(text="", refusal=None, finish=finish)
        return "the body has no choice with a message"
    text = _text(message.get("content"))
    if text is None:
        return "the message's content is not text"
    if not text.strip() and finish == "stop":
        finish = next((name for name in REASONING_FIELDS if _is_text(message.get(name))), finish)
    return _Said(text=text, refusal=_refusal(message), finish=finish)


def _answer(
    said: _Said, top: Mapping[str, Any], headers: Mapping[str, str], dialect: Dialect
) -> ChatAnswer:
    headers = lower_case(headers)
    model, tier = top.get("model"), top.get("service_tier")
    request_id = next((headers[name] for name in _REQUEST_IDS if headers.get(name)), None)
    used = read_usage(top.get("usage"), has_text=_is_text(said.text))
    return ChatAnswer(
        text=said.text,
        refusal=said.refusal,
        finish_reason=said.finish,
        model=kept(model, MAX_NAME) if isinstance(model, str) else "",
        request_id=None if request_id is None else kept(request_id, MAX_NAME),
        prompt_tokens=used.prompt_tokens,
        completion_tokens=used.completion_tokens,
        cached_tokens=used.cached_tokens,
        written_tokens=used.written_tokens,
        reasoning_tokens=used.reasoning_tokens,
        has_usage=used.is_known,
        cost_micro_usd=used.cost_micro_usd,
        service_tier=kept(tier, MAX_NAME) if isinstance(tier, str) else "",
        limits=rate_limits(headers, dialect),
    )


def _no_completion(why: str, body: bytes, *, is_json: bool = False) -> NotACompletion:
    begins = kept(" ".join(body[:MAX_WORDS].decode(errors="replace").split()), MAX_WORDS)
    shown = f"{why}: {begins!r}" if begins else "the body is empty"
    return NotACompletion(why=shown, is_json=is_json)


def _first_object(value: object) -> Mapping[str, Any]:
    """Return the first item of a list of objects, or the object itself; else an empty mapping."""
    return as_mapping(value[0] if isinstance(value, list) and value else value)


def _is_without_choice(top: Mapping[str, Any]) -> bool:
    """Say whether a completion is complete but has no choice; Gemini blocks prompts this way."""
    choices = top.get("choices")
    is_completion = "choices" in top or top.get("object") == "chat.completion"
    return is_completion and (choices is None or choices == [])


def _finish(choice: Mapping[str, Any]) -> str:
    """Return the finish reason, mapped to OpenAI's values where known."""
    raw = choice.get("finish_reason")
    if not isinstance(raw, str) or not raw.strip():
        return "stop"
    return _FINISHES.get(raw.strip().lower(), kept(raw, MAX_NAME))


def _refusal(message: Mapping[str, Any]) -> str | None:
    """Return the model's refusal, from the field `refusal` or from a part of the content."""
    declined = message.get("refusal")
    content = message.get("content")
    for part in content if isinstance(content, list) else []:
        if as_mapping(part).get("type") == "refusal":
            declined = declined or part.get("refusal")
    return kept(declined, MAX_WORDS) if isinstance(declined, str) and declined.strip() else None


def _is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _text(content: object) -> str | None:
    """Return the text of a `content`: text, parts, or JSON that a gateway has decoded.

    Returns:
        Empty if there is no text; None if the type is unknown.
    """
    if content is None or isinstance(content, str):
        return content or ""
    if isinstance(content, list) and all(_is_part(part) for part in content):
        return "".join(map(_part_text, content))
    if isinstance(content, dict) and "type" in content:
        return _part_text(content)
    return msgspec.json.encode(content).decode() if isinstance(content, dict | list) else None


def _is_part(part: object) -> bool:
    return isinstance(part, str) or bool(as_mapping(part).keys() & {"type", "text"})


def _part_text(part: object) -> str:
    """Return the text of a part; empty for a part with reasoning or a refusal."""
    if isinstance(part, str):
        return part
    inner = as_mapping(part)
    text = inner.get("text")
    is_said = inner.get("type") in _TEXT_PARTS
    return text if is_said and isinstance(text, str) else ""
