"""Reads a model's answer: every label under its own id, or what is wrong with it."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct

from reviewstream.core.chat import ChatAnswer
from reviewstream.core.outcomes import Ok, Rejected
from reviewstream.core.records import Reason, Sentiment

MAX_QUOTE = 80  # characters of the answer that are shown to a person
MAX_PROBLEM = 160  # characters of what is wrong with it

_FENCED = re.compile(r"\A\s*```(?:json)?[ \t]*\n(.*)\n\s*```\s*\Z", re.DOTALL)


class Label(Struct, frozen=True, kw_only=True):
    """The model's opinion of one review.

    Attributes:
        confidence: 0.0 to 1.0; None if the model does not say.
    """

    sentiment: Sentiment
    confidence: float | None = None


class _Item(Struct, frozen=True):
    id: str
    sentiment: Sentiment
    confidence: float | None = None


class _Answer(Struct, frozen=True):
    labels: list[_Item]


_decoder = msgspec.json.Decoder(_Answer)


def read_answer(answer: ChatAnswer, ids: Sequence[str]) -> Ok[Mapping[str, Label]] | Rejected:
    """Read the labels of a request.

    Args:
        answer: Whatever came back.
        ids: What was asked about; each must be answered exactly once, and nothing else.

    Returns:
        A label for every id, or the first thing wrong with the answer. Never raises.
    """
    if answer.refusal or answer.finish_reason == "content_filter":
        why = answer.refusal or "the endpoint's content filter"
        return _rejected(Reason.MODEL_REFUSED, f"the model refused: {_quote(why)}", answer)
    if answer.finish_reason == "length":
        return _bad("the answer is cut short (finish_reason: length)", answer)
    try:
        labels = _decoder.decode(_unfenced(answer.text)).labels
    except (msgspec.MsgspecError, ValueError, RecursionError) as err:
        # The decoder's sentence may hold a label as long as the model pleased to make it.
        return _bad(f"{_cut(str(err), MAX_PROBLEM)}: {_quote(answer.text)}", answer)
    wrong = _wrong_ids(labels, ids) or _wrong_confidence(labels)
    if wrong:
        return _bad(wrong, answer)
    return Ok({one.id: Label(sentiment=one.sentiment, confidence=one.confidence) for one in labels})


def _wrong_ids(labels: Sequence[_Item], ids: Sequence[str]) -> str | None:
    times = Counter(one.id for one in labels)
    foreign = sorted(times.keys() - set(ids))
    if foreign:
        return f"$.labels: nobody asked about id {_quote(foreign[0])}"
    wrong = [(name, times[name]) for name in ids if times[name] != 1]
    return f"$.labels: id {wrong[0][0]!r} is answered {wrong[0][1]} times" if wrong else None


def _wrong_confidence(labels: Sequence[_Item]) -> str | None:
    for one in labels:
        # Written so that NaN, which compares false with everything, is caught too.
        if one.confidence is not None and not 0 <= one.confidence <= 1:
            return f"$.labels: confidence of id {one.id!r} is {one.confidence} (0 to 1)"
    return None


def _unfenced(text: str) -> str:
    """Drop the code fence that models without structured output put around JSON."""
    fenced = _FENCED.match(text)
    return fenced[1] if fenced else text


def _bad(detail: str, answer: ChatAnswer) -> Rejected:
    return _rejected(Reason.MODEL_BAD_ANSWER, detail, answer)


def _rejected(reason: Reason, detail: str, answer: ChatAnswer) -> Rejected:
    return Rejected(reason=reason, detail=detail, raw=answer.text.encode(errors="replace"))


def _quote(text: str) -> str:
    return repr(_cut(text, MAX_QUOTE))


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"
