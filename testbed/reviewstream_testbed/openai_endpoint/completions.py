"""Bodies of answers: a completion, and what a misbehaving model makes of it."""

import itertools
import json
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from reviewstream_testbed.openai_endpoint import model, validation

_ids = itertools.count(1)


class Said(NamedTuple):
    """What the model says, and how it stopped."""

    text: str | None
    finish_reason: str = "stop"
    refusal: str | None = None

    @property
    def tokens(self) -> int:
        """How many tokens were said."""
        return model.count_tokens(self.text or self.refusal or "")

    def cut(self, limit: int | None) -> "Said":
        """Stop at a number of tokens, as a real model does."""
        text = self.text or ""
        if limit is None or model.count_tokens(text) <= limit:
            return self
        kept = text.encode()[: limit * model.BYTES_PER_TOKEN].decode(errors="ignore")
        return self._replace(text=kept, finish_reason="length")

    def stopped(self, stop: str | list[str] | None) -> "Said":
        """Stop before the first of the words that a request says to stop at."""
        text = self.text or ""
        stops = [stop] if isinstance(stop, str) else stop or []
        ends = [text.index(one) for one in stops if one and one in text]
        return self._replace(text=text[: min(ends)]) if ends else self

    def spoilt(self, fault: str) -> "Said":
        """Return what a misbehaving model says instead."""
        text = self.text or ""
        match fault:
            case "refusal":
                return Said(None, refusal="I'm sorry, I can't assist with that request.")
            case "length" | "content_filter":
                return Said(text[: len(text) // 2], fault)
            case "not_json":
                return self._replace(text=f"Sure! Here it is:\n```json\n{text}\n```")
            case _:
                return self._replace(text=_spoilt_labels(text, fault))


def _spoilt_labels(text: str, fault: str) -> str:
    """Spoil the first array of objects in an answer; a text of another form stays as it is."""
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


def said(body: Mapping[str, Any], answer: str, fault: str) -> Said:
    """Return what the model says to a request under a fault (`ok`: none)."""
    limit = _limit(body)
    return Said(answer).stopped(body.get("stop")).cut(limit).spoilt(fault)


def most_tokens(body: Mapping[str, Any]) -> int:
    """Return how many tokens an answer may take, as far as the request says."""
    return (_limit(body) or 0) * (body.get("n") or 1)


def _limit(body: Mapping[str, Any]) -> int | None:
    return body.get("max_completion_tokens") or body.get("max_tokens")


class Completion:
    """An answer, ready to be sent whole or in pieces.

    Args:
        name: The model, as it was asked for.
        said: What it says, in each choice.
        choices: How many.
        prompt_tokens: What the request took.
        fault: A key of `KINDS`.

    Attributes:
        usage: What is said about tokens; None: nothing.
        completion_tokens: What all choices took, whatever is said.
    """

    def __init__(self, name: str, said: Said, choices: int, prompt_tokens: int, fault: str) -> None:
        self.said = said
        self.choices = 0 if fault == "empty_choices" else choices
        self.completion_tokens = said.tokens * choices
        self.usage = spoilt_usage(_usage(prompt_tokens, self.completion_tokens), fault)
        self._name = name
        self._id = f"chatcmpl-{next(_ids):029d}"
        self._created = int(time.time())

    def frame(self) -> dict[str, Any]:
        """Return what is said of the answer as such."""
        return {
            "id": self._id,
            "object": "chat.completion",
            "created": self._created,
            "model": validation.MODELS.get(self._name, self._name),
            "service_tier": "default",
            "system_fingerprint": "fp_reviewstream",
        }

    def whole(self) -> dict[str, Any]:
        """Return a completion with every field that the API promises, null or not."""
        message = {"role": "assistant", "content": self.said.text, "refusal": self.said.refusal}
        choice: dict[str, Any] = {
            "message": {**message, "annotations": []},
            "logprobs": None,
            "finish_reason": self.said.finish_reason,
        }
        choices = [{"index": number, **choice} for number in range(self.choices)]
        usage = {} if self.usage is None else {"usage": self.usage}
        return {**self.frame(), "choices": choices, **usage}


def spoilt_usage(usage: dict[str, Any], fault: str) -> dict[str, Any] | None:
    """Return what is said about tokens under a fault; None: nothing."""
    counts = ("prompt_tokens", "completion_tokens", "total_tokens")
    wrong: dict[str, Callable[[int], object]] = {
        "usage_zero": lambda _: 0,
        "usage_negative": lambda count: -1 - count,
        "usage_huge": lambda count: 10**30 + count,
        "usage_strings": str,
    }
    if fault == "usage_absent":
        return None
    if fault not in wrong:
        return usage
    return usage | {name: wrong[fault](usage[name]) for name in counts}


def _usage(prompt: int, completion: int) -> dict[str, Any]:
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }
