"""Response bodies: completions, and the completions of a misbehaving model."""

import itertools
import json
import time
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Final, NamedTuple

from reviewstream_testbed.mock_openai import models, prompt_reviews
from reviewstream_testbed.mock_openai.bill import Tokens
from reviewstream_testbed.mock_openai.mock_dialects import MockDialect, UsageShape

COUNTS: Final = ("prompt_tokens", "completion_tokens", "total_tokens")
MICRO: Final = 1_000_000
_WRONG: Final[Mapping[str, Callable[[int], object]]] = {
    "usage_zero": lambda _: 0,
    "usage_negative": lambda count: -1 - count,
    "usage_huge": lambda count: 10**30 + count,
    "usage_strings": str,
    "usage_floats": float,
}
# Faults that report less usage than is billed, or a different one.
UNTRUE: Final = frozenset(
    {"usage_zero", "usage_negative", "usage_huge", "usage_absent", "usage_strings"}
)
THOUGHT: Final = "The user wants labels. "  # reasoning text, in dialects that show it
_WRAPPED: Final[Mapping[str, str]] = {
    "not_json": "Sure! Here it is:\n```json\n{}\n```",
    "fence": "```json\n{}\n```",
    "fence_bare": "```\n{}\n```",
    "fence_upper": "```JSON\n{}\n```",
    "fence_crlf": "```json\r\n{}\r\n```",
    "fence_no_newline": "```json\n{}```",
    "think_block": "<think>\nOkay, the user wants {{labels}}.\n</think>\n\n{}",
    "bom": "\ufeff{}",
}
_ids = itertools.count(1)


class Said(NamedTuple):
    """The model's text and its finish reason.

    Attributes:
        hidden: Reasoning tokens before the text.
    """

    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None
    hidden: int = 0

    @property
    def tokens(self) -> int:
        """Number of tokens of the text."""
        return prompt_reviews.count_tokens(self.text or self.refusal or "")

    def cut(self, limit: int | None) -> "Said":
        """Truncate to a number of tokens; as with real models, reasoning tokens count too."""
        text = self.text or ""
        if limit is None or self.hidden + self.tokens <= limit:
            return self
        hidden = min(self.hidden, limit)
        left = (limit - hidden) * prompt_reviews.BYTES_PER_TOKEN
        kept = text.encode()[:left].decode(errors="ignore")
        return self._replace(text=kept, finish_reason="length", hidden=hidden)

    def stopped(self, stop: str | list[str] | None) -> "Said":
        """Truncate before the first stop sequence of the request."""
        text = self.text or ""
        stops = [stop] if isinstance(stop, str) else stop or []
        ends = [text.index(one) for one in stops if one and one in text]
        return self._replace(text=text[: min(ends)]) if ends else self

    def spoilt(self, fault: str) -> "Said":
        """Return the output of a model with this fault."""
        text = self.text or ""
        match fault:
            case "refusal":
                words = "I'm sorry, I can't assist with that request."
                return self._replace(text=None, finish_reason="stop", refusal=words)
            case "length" | "content_filter":
                return self._replace(text=text[: len(text) // 2], finish_reason=fault)
            case "finish_error":
                return self._replace(text=text[: len(text) // 2], finish_reason="error")
            case _ if fault in _WRAPPED:
                return self._replace(text=_WRAPPED[fault].format(text))
            case _:
                return self._replace(text=_spoilt_labels(text, fault))


def _spoilt_labels(text: str, fault: str) -> str:
    """Apply a fault to the first array of objects in an answer; leave other texts unchanged."""
    try:
        answer = json.loads(text)
        labels = next(part for part in answer.values() if isinstance(part, list))
        last = labels[-1]
        match fault:
            case "off_list_label":
                last["sentiment"] = "ECSTATIC"
            case "wrong_id":
                last["id"] = f"{last['id']}-not"
            case "missing_id":
                labels.pop()
            case "extra_id":
                labels.append({**last, "id": f"{last['id']}-more"})
            case "doubled_id":
                labels.append(last)
            case _:
                return text
    except (ValueError, AttributeError, StopIteration, IndexError, TypeError, KeyError):
        return text
    return json.dumps(answer, ensure_ascii=False)


def said(body: Mapping[str, Any], answer: str, fault: str, hidden: int = 0) -> Said:
    """Return the model's output for a request, with a fault applied.

    Args:
        body: The request.
        answer: Output without a fault.
        fault: Kind of the fault; `ok` for no fault.
        hidden: Reasoning tokens before the text.
    """
    whole = Said(answer, hidden=hidden).stopped(body.get("stop"))
    return whole.cut(_limit(body)).spoilt(fault)


def most_tokens(body: Mapping[str, Any]) -> int:
    """Return the output token limit of a request over all choices; 0 if it sets none."""
    return (_limit(body) or 0) * (body.get("n") or 1)


def _limit(body: Mapping[str, Any]) -> int | None:
    return body.get("max_completion_tokens") or body.get("max_tokens")


class Completion:
    """A completion, to be sent whole or as a stream.

    Args:
        body: The request.
        said: The model's output, the same in each choice.
        prompt: Number of prompt tokens.
        cached_share: Share of the prompt tokens that is cached.
        dialect: Dialect of the endpoint.
        fault: A key of `KINDS`.

    Attributes:
        tokens: Billed tokens, even if the reported usage differs.
        tier: Billed tier.
        cost: Cost in micro-dollars if the dialect reports it, else None.
    """

    def __init__(  # noqa: PLR0913 - the parts of an answer
        self,
        body: Mapping[str, Any],
        said: Said,
        *,
        prompt: int,
        cached_share: Fraction,
        dialect: MockDialect,
        fault: str,
    ) -> None:
        count = body.get("n") or 1
        self.said = said
        self.choices = 0 if fault == "empty_choices" else count
        cached = 0 if dialect.usage.cached == "nowhere" else int(prompt * cached_share)
        answers = min(count, self.choices)  # a blocked prompt has no billed answer
        self.tokens = Tokens(prompt, cached, said.tokens * answers, said.hidden * answers)
        self.cost: int | None = None
        is_flex = body.get("service_tier") == "flex" and dialect.flex is not None
        self.tier = "flex" if is_flex else "default"
        self._dialect = dialect
        self._fault = fault
        self._name = body["model"]
        self._id = f"chatcmpl-{next(_ids):029d}"
        self._created = int(time.time())

    @property
    def usage(self) -> dict[str, Any] | None:
        """The `usage` field of the answer, or None if the fault removes it."""
        beside = self._fault == "usage_beside"
        shape = self._dialect.usage._replace(reasoning="beside") if beside else self._dialect.usage
        return spoilt_usage(shown_usage(self.tokens, shape, self.cost), self._fault)

    def frame(self) -> dict[str, Any]:
        """Return the fields that the completion and its chunks share."""
        usual = self._dialect.tier
        tier = {"service_tier": "flex" if self.tier == "flex" else usual} if usual else {}
        is_openai = self._dialect.has_model_rules
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": models.dated(self._name) if is_openai else self._name,
            **tier,
            "system_fingerprint": "fp_reviewstream",
        }

    def whole(self) -> dict[str, Any]:
        """Return a completion with every field that the API guarantees, null or not."""
        choice: dict[str, Any] = {
            "message": self.message(),
            "logprobs": None,
            "finish_reason": self.said.finish_reason,
            **self._dialect.choice,
        }
        if self.said.finish_reason == "error":
            choice["error"] = {"code": 502, "message": "Upstream error"}
        choices = [{"index": number, **choice} for number in range(self.choices)]
        used = self.usage
        told = {} if used is None else {"usage": used}
        return {**self.frame(), "choices": choices, **told, **self._dialect.answer}

    def message(self) -> dict[str, Any]:
        """Return the message in the dialect's format."""
        text, thought = self.said.text, THOUGHT if self.said.hidden else ""
        message: dict[str, Any] = {"role": "assistant", "content": text}
        message["refusal"] = self.said.refusal
        if self._fault == "reasoning_content":
            return {**message, "content": None, "reasoning_content": text, "annotations": []}
        in_parts = self._dialect.content == "parts" and bool(thought)
        if (in_parts or self._fault == "content_parts") and text is not None:
            message["content"] = _parts(text)
        elif thought and self._dialect.reasoning_field:
            message[self._dialect.reasoning_field] = thought
        return {**message, "annotations": []}


def _parts(text: str) -> list[dict[str, Any]]:
    """Return the content as parts, like Mistral's reasoning models."""
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": THOUGHT}]}
    return [thinking, {"type": "text", "text": text}]


def shown_usage(tokens: Tokens, shape: UsageShape, cost: int | None) -> dict[str, Any]:
    """Return the `usage` field of an answer.

    Args:
        tokens: Billed tokens.
        shape: Usage shape of the dialect.
        cost: Cost to report in micro-dollars, or None.
    """
    beside = shape.reasoning == "beside"
    told: dict[str, Any] = {
        "prompt_tokens": tokens.prompt,
        "completion_tokens": tokens.visible if beside else tokens.completion,
        "total_tokens": tokens.prompt + tokens.completion,
    }
    if shape.has_details:
        told["prompt_tokens_details"] = {"cached_tokens": tokens.cached, "audio_tokens": 0}
        told["completion_tokens_details"] = {
            "reasoning_tokens": tokens.hidden,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        }
    if shape.cached == "hit":
        told["prompt_cache_hit_tokens"] = tokens.cached
        told["prompt_cache_miss_tokens"] = tokens.prompt - tokens.cached
    if shape.has_cost and cost is not None:
        told["cost"] = cost / MICRO  # exact, with six decimal places
    return {**told, **shape.more}


def spoilt_usage(usage: dict[str, Any], fault: str) -> dict[str, Any] | None:
    """Return the `usage` field with a fault applied, or None if the fault removes it."""
    if fault == "usage_absent":
        return None
    if fault not in _WRONG:
        return usage
    return usage | {name: _WRONG[fault](usage[name]) for name in COUNTS}
