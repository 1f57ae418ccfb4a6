"""Exchanges with a real endpoint, recorded once and replayed for equal questions.

Two questions are equal if they have the same model, instructions (all messages except the user's,
and the response format) and texts. The texts' ids and order do not matter, because packs differ
between runs. A replayed answer gets the ids of the current request.

A file contains one exchange: these parts of the request, and the answer's status, body and a few
headers. Possible secrets are not written: no key, no organisation, no cookie.
"""

import hashlib
import json
import os
import re
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from reviewstream_testbed.mock_openai import prompt_reviews
from reviewstream_testbed.mock_openai.prompt_reviews import PromptReview

KEPT: Final = ("content-type", "retry-after", "retry-after-ms", "x-should-retry")  # headers
LIMITS: Final = "x-ratelimit-"
HIDDEN: Final = "***"
MIN_SECRET: Final = 4  # characters: shorter ones are words
_SECRETS = re.compile(
    r"\b(?:sk|gsk|xai|pplx|AIza|org|proj|user|acct|req|key)[-_][\w*-]{4,}|\bAIza[\w-]{10,}"
)
_PRIVATE: Final = frozenset({"user_id", "organization", "organization_id", "project"})
_ID = re.compile(r'("id"\s*:\s*)("(?:[^"\\]|\\.)*"|-?\d+)')


class RecordedQuestion(NamedTuple):
    """A request without the parts that differ between runs."""

    model: str
    instructions: str
    response_format: Any
    reviews: tuple[PromptReview, ...]

    @property
    def key(self) -> str:
        """A digest that is the same for equal questions."""
        texts = sorted(_digest(one.text) for one in self.reviews)
        parts = [self.model, self.instructions, self.response_format, texts]
        return _digest(json.dumps(parts, sort_keys=True))

    def ids(self) -> list[tuple[str, str]]:
        """Return a map from the digest of each text to its id."""
        return [(_digest(one.text), one.id) for one in self.reviews]


class RecordedAnswer(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: Mapping[str, str]
    body: Any


def question_of(body: Mapping[str, Any]) -> RecordedQuestion:
    """Return the question in a request.

    Raises:
        ValueError: The request is not a valid question.
    """
    try:
        messages = body["messages"]
        return RecordedQuestion(
            str(body["model"]),
            prompt_reviews.instructions(messages),
            body.get("response_format"),
            tuple(prompt_reviews.reviews_of(messages)),
        )
    except (KeyError, TypeError, AttributeError) as err:
        raise ValueError("there is no model, or there are no messages") from err


class Recorded(NamedTuple):
    """An answer and its ids, each with the digest of its text."""

    ids: list[tuple[str, str]]
    answer: RecordedAnswer


class Cassette:
    """The recorded exchanges in a folder.

    Args:
        folder: Folder of the recordings.

    Raises:
        ValueError: The folder does not exist, or a file in it is not an exchange.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        if not folder.is_dir():
            raise ValueError(f"there is no cassette {folder}")
        self._known: defaultdict[str, list[Recorded]] = defaultdict(list)
        self._given: Counter[str] = Counter()
        for file in sorted(folder.glob("*.json")):
            key, recorded = _read(file)
            self._known[key].append(recorded)

    def __len__(self) -> int:
        return sum(map(len, self._known.values()))

    def find(self, question: RecordedQuestion) -> RecordedAnswer | None:
        """Return the next answer to a question, with its ids; after the last one, repeat it."""
        key = question.key
        found = self._known.get(key)
        if not found:
            return None
        recorded = found[min(self._given[key], len(found) - 1)]
        self._given[key] += 1
        ids = _pairs(recorded.ids, question.ids())
        return recorded.answer._replace(body=_renamed(recorded.answer.body, ids))

    def rewind(self) -> None:
        """Start again with the first answer of each question."""
        self._given.clear()

    def add(
        self, question: RecordedQuestion, answer: RecordedAnswer, secrets: Iterable[str]
    ) -> None:
        """Write an exchange atomically.

        Args:
            question: The question.
            answer: Its answer.
            secrets: Texts to remove wherever they occur.
        """
        hidden = sorted({one for one in secrets if len(one) >= MIN_SECRET}, key=len, reverse=True)
        kept = RecordedAnswer(answer.status, _kept(answer.headers), _without(answer.body, hidden))
        kept = kept._replace(body=_masked(kept.body))
        key, ids = question.key, question.ids()
        self._known[key].append(Recorded(ids, kept))
        texts = [
            {"id": one.id, "digest": digest, "text": one.text}
            for one, (digest, _) in zip(question.reviews, ids, strict=True)
        ]
        asked = _without({**question._asdict(), "reviews": texts}, hidden)
        file = self._folder / f"{key[:16]}-{len(self._known[key]):04d}.json"
        _write(file, {"key": key, "question": asked, "answer": kept._asdict()})


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _read(file: Path) -> tuple[str, Recorded]:
    try:
        fields = json.loads(file.read_text(encoding="utf-8"))
        ids = [(str(one["digest"]), str(one["id"])) for one in fields["question"]["reviews"]]
        return str(fields["key"]), Recorded(ids, RecordedAnswer(**fields["answer"]))
    except (ValueError, KeyError, TypeError) as err:
        raise ValueError(f"{file} is no recorded exchange: {err!r}") from err


def _write(file: Path, fields: Mapping[str, Any]) -> None:
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as out:
            json.dump(fields, out, ensure_ascii=False, indent=1)
            out.write("\n")
        Path(name).replace(file)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: value for name, value in lower.items() if name in KEPT or name.startswith(LIMITS)}


def _without(value: Any, secrets: list[str]) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON with these texts removed."""
    if isinstance(value, dict):
        return {name: _without(one, secrets) for name, one in value.items()}
    if isinstance(value, list):
        return [_without(one, secrets) for one in value]
    if isinstance(value, str):
        for secret in secrets:
            value = value.replace(secret, HIDDEN)
    return value


def _masked(value: Any) -> Any:  # noqa: ANN401 - any JSON
    """Return JSON with possible keys and accounts masked, except in the model's text."""
    if isinstance(value, dict):
        return {
            name: HIDDEN if name in _PRIVATE else one if name == "choices" else _masked(one)
            for name, one in value.items()
        }
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return _SECRETS.sub(HIDDEN, value) if isinstance(value, str) else value


def _pairs(before: list[tuple[str, str]], now: list[tuple[str, str]]) -> dict[str, str]:
    """Return a map from each recorded id to the current id of the same text."""
    waiting: defaultdict[str, list[str]] = defaultdict(list)
    for digest, name in reversed(now):
        waiting[digest].append(name)
    return {name: waiting[digest].pop() for digest, name in before}


def _renamed(value: Any, ids: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    """Replace ids in the texts of a completion's choices, all in one pass."""
    if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
        return value
    return {**value, "choices": _replaced(value["choices"], ids)}


def _replaced(value: Any, ids: Mapping[str, str]) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(value, dict):
        return {name: _replaced(one, ids) for name, one in value.items()}
    if isinstance(value, list):
        return [_replaced(one, ids) for one in value]
    if not isinstance(value, str):
        return value

    def present(found: re.Match[str]) -> str:
        written = found[2]
        name = json.loads(written) if written.startswith('"') else written
        if name not in ids:
            return found[0]
        renamed = ids[name]
        is_number = not written.startswith('"') and re.fullmatch(r"-?\d+", renamed)
        return found[1] + (renamed if is_number else json.dumps(renamed, ensure_ascii=False))

    return _ID.sub(present, value)
