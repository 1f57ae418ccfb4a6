"""Parser for model answers: returns a label for each id, or describes what is wrong."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import msgspec
from msgspec import Struct

from reviewstream.core.labelling.chat import ChatAnswer
from reviewstream.core.labelling.endpoint.completion import REASONING_FIELDS
from reviewstream.core.records.json_values import NOT_JSON, as_number, decoded
from reviewstream.core.records.outcomes import Ok, Rejected
from reviewstream.core.records.reviews import Reason, Sentiment

MAX_QUOTE = 80  # characters of the answer quoted in an error detail
MAX_PROBLEM = 160  # characters of an error detail
MAX_ID = 1 << 63  # exclusive upper bound of an id written as a number
MAX_MARK = 40  # characters of a special token such as `<|im_end|>`
MAX_MARKS = 20  # special tokens removed from the end of an answer
MAX_FENCES = 200  # code blocks examined

_FENCES: Final = ("```", "~~~")
_LANGUAGE: Final = re.compile(r"[`~]*[ \t]*[A-Za-z0-9_+.-]{0,20}\s*")
_SPECIAL: Final = re.compile(r"<\|\w+\|>\Z")
_MARKS: Final = ("</s>", "<eos>", "<end_of_turn>", "[EOS]")
_THOUGHTS: Final = ("</think>", "</thinking>")
_SENTIMENTS: Final = {one.value: one for one in Sentiment}


class Label(Struct, frozen=True, kw_only=True):
    """A label that the model gives to one review.

    Attributes:
        confidence: 0.0 to 1.0; None if the answer has none.
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


class _BadAnswer(ValueError):
    """Raised when an answer cannot be parsed."""


def read_answer(answer: ChatAnswer, ids: Sequence[str]) -> Ok[Mapping[str, Label]] | Rejected:
    """Parse the labels in an answer, in time linear in the length of the answer.

    Accepts a JSON object with `labels`, or the bare array. Either may be inside a code fence, with
    or without surrounding text, if it is the only fenced JSON. A leading reasoning block (up to
    `</think>`) and trailing special tokens (`<|im_end|>`, `</s>`) are dropped. A sentiment may be
    in any case, an id may be a number, and a confidence may be a number in a string. Unknown fields
    are ignored.

    Args:
        answer: The model's answer.
        ids: Ids in the request; the answer must contain each exactly once, and no others.

    Returns:
        A label for every id, or the first error in the answer. Never raises.
    """
    if (refused := _unfinished(answer)) is not None:
        return refused
    try:
        labels = _labels(answer.text)
    except _BadAnswer as err:
        # The message may quote a label of any length.
        return _bad(f"{_cut(str(err), MAX_PROBLEM)}: {_quote(answer.text)}", answer)
    wrong = _wrong_ids(labels, ids) or _wrong_confidence(labels)
    if wrong:
        return _bad(wrong, answer)
    return Ok({one.id: Label(sentiment=one.sentiment, confidence=one.confidence) for one in labels})


def _unfinished(answer: ChatAnswer) -> Rejected | None:
    """Return a rejection for a refused, truncated or empty answer, else None."""
    finish = answer.finish_reason
    if answer.refusal or finish == "content_filter":
        why = answer.refusal or "the endpoint's content filter"
        return _rejected(Reason.MODEL_REFUSED, f"the model refused: {_quote(why)}", answer)
    if finish == "length":
        return _bad("the answer is cut short (finish_reason: length)", answer)
    if answer.text.strip():
        return None
    if finish in REASONING_FIELDS:
        return _bad(f"the answer is empty: all of it is in {finish}, not in content", answer)
    return _bad(f"the answer is empty (finish_reason: {_quote(finish)})", answer)


def _labels(text: str) -> Sequence[_Item]:
    """Return the labels of an answer, with or without wrapping.

    Raises:
        _BadAnswer: There are no labels, or one of them is malformed.
    """
    try:
        return _decoder.decode(text).labels
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass  # not the requested form; the slower path below accepts other wrappings
    value = decoded(text)
    if value is NOT_JSON:
        value = _unwrapped(text)
    if isinstance(value, dict):
        value = value.get("labels")
    if not isinstance(value, list):
        raise _BadAnswer("$.labels: there is no array of labels")
    return [_item(one, f"$.labels[{number}]") for number, one in enumerate(value)]


def _unwrapped(text: str) -> Any:  # noqa: ANN401
    """Return the JSON value inside an answer that is not JSON as a whole.

    Raises:
        _BadAnswer: The answer contains no JSON value, or several.
    """
    rest = _without_marks(_without_thoughts(text))
    value = decoded(rest)
    if value is not NOT_JSON:
        return value
    fenced = list(_fenced(rest))
    if len(fenced) != 1:
        raise _BadAnswer("the answer is not JSON")
    return fenced[0]


def _without_thoughts(text: str) -> str:
    """Drop the reasoning block; some chat templates put its opening tag in the prompt."""
    ends = (text.rfind(mark) + len(mark) for mark in _THOUGHTS if mark in text)
    return text[max(ends, default=0) :]


def _without_marks(text: str) -> str:
    """Drop the special tokens that some servers leave at the end."""
    for _ in range(MAX_MARKS):
        text = text.rstrip()
        found = next((mark for mark in _MARKS if text.endswith(mark)), "")
        if not found and (special := _SPECIAL.search(text, max(len(text) - MAX_MARK, 0))):
            found = special[0]
        if not found:
            break
        text = text.removesuffix(found)
    return text


def _fenced(text: str) -> Iterator[Any]:
    """Yield the JSON objects and arrays in the code blocks."""
    fence = min(_FENCES, key=lambda one: text.find(one) % (len(text) + 1))  # occurs first
    for block in text.split(fence, MAX_FENCES)[1::2]:
        start = _LANGUAGE.match(block)
        inner = block[start.end() :].strip(fence[0]) if start else ""
        value = decoded(inner) if inner.startswith(("{", "[")) else NOT_JSON
        if value is not NOT_JSON:
            yield value


def _item(value: object, path: str) -> _Item:
    """Return one label.

    Raises:
        _BadAnswer: The label is malformed.
    """
    if not isinstance(value, dict):
        raise _BadAnswer(f"{path}: is not an object")
    name, said, sure = value.get("id"), value.get("sentiment"), value.get("confidence")
    if isinstance(name, int) and not isinstance(name, bool) and 0 <= name < MAX_ID:
        name = str(name)
    if not isinstance(name, str):
        raise _BadAnswer(f"{path}.id: is neither text nor a whole number")
    sentiment = _SENTIMENTS.get(said.strip().upper()) if isinstance(said, str) else None
    if sentiment is None:
        shown = _quote(said) if isinstance(said, str) else "missing, or not text"
        raise _BadAnswer(f"{path}.sentiment: is {shown} (one of {', '.join(_SENTIMENTS)})")
    confidence = as_number(sure)
    if sure is not None and confidence is None:
        raise _BadAnswer(f"{path}.confidence: is not a number (0 to 1)")
    return _Item(id=name, sentiment=sentiment, confidence=confidence)


def _wrong_ids(labels: Sequence[_Item], ids: Sequence[str]) -> str | None:
    times = Counter(one.id for one in labels)
    foreign = sorted(times.keys() - set(ids))
    if foreign:
        return f"$.labels: nobody asked about id {_quote(foreign[0])}"
    wrong = [(name, times[name]) for name in ids if times[name] != 1]
    return f"$.labels: id {wrong[0][0]!r} is answered {wrong[0][1]} times" if wrong else None


def _wrong_confidence(labels: Sequence[_Item]) -> str | None:
    for one in labels:
        # This form also rejects NaN, for which every comparison is false.
        if one.confidence is not None and not 0 <= one.confidence <= 1:
            return f"$.labels: confidence of id {one.id!r} is {one.confidence} (0 to 1)"
    return None


def _bad(detail: str, answer: ChatAnswer) -> Rejected:
    return _rejected(Reason.MODEL_BAD_ANSWER, detail, answer)


def _rejected(reason: Reason, detail: str, answer: ChatAnswer) -> Rejected:
    return Rejected(reason=reason, detail=detail, raw=answer.text.encode(errors="replace"))


def _quote(text: str) -> str:
    return repr(_cut(text, MAX_QUOTE))


def _cut(text: str, size: int) -> str:
    return text if len(text) <= size else text[: size - 1] + "…"
