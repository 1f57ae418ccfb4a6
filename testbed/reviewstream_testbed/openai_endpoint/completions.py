"""Bodies of answers: a completion, and what a misbehaving model makes of it."""

import itertools
import json
import time
from collections.abc import Mapping
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

    def spoilt(self, fault: str) -> "Said":
        """Return what a misbehaving model says instead."""
        text = self.text or ""
        if fault == "refusal":
            return Said(None, refusal="I'm sorry, I can't assist with that request.")
        if fault == "length":
            return Said(text[: len(text) // 2], "length")
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
            case _:
                return text
    except (ValueError, AttributeError, StopIteration, IndexError, TypeError, KeyError):
        return text
    return json.dumps(answer, ensure_ascii=False)


def said(body: Mapping[str, Any], answer: str, fault: str) -> Said:
    """Return what the model says to a request under a fault (`ok`: none)."""
    return Said(answer).cut(_limit(body)).spoilt(fault)


def most_tokens(body: Mapping[str, Any]) -> int:
    """Return how many tokens an answer may take, as far as the request says."""
    return (_limit(body) or 0) * (body.get("n") or 1)


def _limit(body: Mapping[str, Any]) -> int | None:
    return body.get("max_completion_tokens") or body.get("max_tokens")


def completion(name: str, said: Said, prompt_tokens: int, choices: int) -> dict[str, Any]:
    """Return a completion with every field that the API promises, null or not."""
    message = {"role": "assistant", "content": said.text, "refusal": said.refusal}
    choice: dict[str, Any] = {
        "message": {**message, "annotations": []},
        "logprobs": None,
        "finish_reason": said.finish_reason,
    }
    return {
        "id": f"chatcmpl-{next(_ids):029d}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": validation.MODELS.get(name, name),
        "choices": [{"index": number, **choice} for number in range(choices)],
        "usage": _usage(prompt_tokens, said.tokens),
        "service_tier": "default",
        "system_fingerprint": "fp_reviewstream",
    }


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
