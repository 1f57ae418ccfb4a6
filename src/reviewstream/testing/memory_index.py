"""A search index in memory."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

import msgspec

from reviewstream.core.index.mapping import mapping_drift
from reviewstream.core.index.searching import HIGHLIGHT
from reviewstream.errors import ConfigError, PermanentError

T = TypeVar("T")


class MemoryIndex:
    """`SearchIndex` that supports only the searches of `reviewstream search`.

    Words are compared exactly, without stemming. Documents become visible after `refresh`.

    Attributes:
        mapping: The last argument of `setup`, or None.
    """

    def __init__(self) -> None:
        self.mapping: Mapping[str, Any] | None = None
        self._written: dict[str, tuple[int, Mapping[str, Any]]] = {}
        self._documents: dict[str, tuple[int, Mapping[str, Any]]] = {}

    def put(self, document: Mapping[str, Any], version: int) -> None:
        """Store a document under its `review_id`, unless a higher version is stored."""
        name = document["review_id"]
        if version >= self._written.get(name, (0, {}))[0]:
            self._written[name] = (version, document)

    def delete(self, name: str) -> None:
        """Remove a document."""
        del self._written[name]

    def setup(self, mapping: Mapping[str, Any]) -> None:
        """See `SearchIndex.setup`."""
        drift = mapping_drift(mapping, self.mapping or mapping)
        if conflicts := [line for line in drift if "is not in the" not in line]:
            raise ConfigError("; ".join(conflicts))
        self.mapping = mapping

    def refresh(self) -> None:
        """See `SearchIndex.refresh`."""
        self._there()
        self._documents = {**self._written}

    def count(self) -> int:
        """See `SearchIndex.count`."""
        self._there()
        return len(self._documents)

    def versions(self) -> Iterator[tuple[str, int]]:
        """See `SearchIndex.versions`."""
        self._there()
        yield from [(name, version) for name, (version, _) in self._documents.items()]

    def search(self, body: Mapping[str, Any], kind: type[T]) -> T:
        """See `SearchIndex.search`."""
        self._there()
        conditions = body["query"]["bool"]
        words = [
            word
            for each in conditions["must"]
            for word in re.findall(r"\w+", each["simple_query_string"]["query"])
        ]
        found = [
            (document, fragment)
            for _, document in self._documents.values()
            if all(_fits(document, condition) for condition in conditions["filter"])
            and ((fragment := _marked(document["text"], words)) or not words)
        ]
        found.sort(key=lambda pair: (pair[1].count(HIGHLIGHT[0]), pair[0]["written_at"]))
        hits = [
            {"_id": document["review_id"], "_score": 1.0, "_source": document}
            | ({"highlight": {"text": [fragment]}} if fragment else {})
            for document, fragment in reversed(found)
        ]
        answer = {"hits": {"total": {"value": len(hits)}, "hits": hits[: body["size"]]}}
        return msgspec.convert(answer, kind)

    def _there(self) -> None:
        if self.mapping is None:
            raise PermanentError("there is no such index: run `reviewstream index setup`")


def _fits(document: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    if term := condition.get("term"):
        return all(document[name] == value for name, value in term.items())
    if terms := condition.get("terms"):
        return all(document[name] in values for name, values in terms.items())
    ((name, bounds),) = condition["range"].items()
    low, high = bounds.get("gte", -(2**63)), bounds.get("lt", 2**63)
    return bool(low <= document[name] < high)


def _marked(text: str, words: Sequence[str]) -> str:
    """Return the text with the words highlighted; empty if it contains none of them."""
    if not words:
        return ""
    pattern = rf"\b({'|'.join(map(re.escape, words))})\b"
    marked = re.sub(pattern, rf"{HIGHLIGHT[0]}\1{HIGHLIGHT[1]}", text, flags=re.IGNORECASE)
    return marked if marked != text else ""
