"""Ports in memory: each passes the contract that the real adapter passes."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from zlib import crc32

from reviewstream.core.mapping import mapping_drift
from reviewstream.errors import ConfigError, IncompatibleSchemaError, PermanentError
from reviewstream.pipeline.search import HIGHLIGHT
from reviewstream.ports import ConnectorStatus, OutgoingRecord, StoredRecord
from reviewstream.wire.compatibility import incompatibilities

_LEVELS = ("NONE", "BACKWARD", "FORWARD", "FULL")
LEVELS = {*_LEVELS, *(f"{level}_TRANSITIVE" for level in _LEVELS[1:])}


class MemoryRegistry:
    """`SchemaRegistry`."""

    def __init__(self) -> None:
        self._ids: list[str] = []
        self._versions: dict[str, list[int]] = {}
        self._levels: dict[str, str] = {}

    def subjects(self) -> Sequence[str]:
        return sorted(self._versions)

    def register(self, subject: str, schema: str) -> int:
        known = self.find(subject, schema)
        if known is not None:
            return known
        if problem := self._problem(subject, schema):
            raise IncompatibleSchemaError(f"subject {subject}: {problem}")
        canonical = _canonical(schema)
        if canonical not in self._ids:
            self._ids.append(canonical)
        schema_id = self._ids.index(canonical) + 1
        self._versions.setdefault(subject, []).append(schema_id)
        return schema_id

    def find(self, subject: str, schema: str) -> int | None:
        ids = self._versions.get(subject, [])
        return next((i for i in ids if self._ids[i - 1] == _canonical(schema)), None)

    def schema(self, schema_id: int) -> str:
        if not 1 <= schema_id <= len(self._ids):
            raise PermanentError(f"no schema {schema_id}")
        return self._ids[schema_id - 1]

    def versions(self, subject: str) -> Sequence[tuple[int, str]]:
        ids = self._versions.get(subject, [])
        return tuple((number, self._ids[i - 1]) for number, i in enumerate(ids, 1))

    def compatibility(self, subject: str) -> str:
        return self._levels.get(subject, "NONE")

    def set_compatibility(self, subject: str, level: str) -> None:
        if level not in LEVELS:
            raise PermanentError(f"no such level: {level}")
        self._levels[subject] = level

    def _problem(self, subject: str, new: str) -> str | None:
        level = self.compatibility(subject)
        older = [text for _, text in self.versions(subject)]
        for old in older if level.endswith("TRANSITIVE") else older[-1:]:
            if level.startswith(("BACKWARD", "FULL")):
                for problem in incompatibilities(reader=new, writer=old):
                    return problem
            if level.startswith(("FORWARD", "FULL")):
                for problem in incompatibilities(reader=old, writer=new):
                    return problem
        return None


class MemoryLog:
    """`RecordLog`; `sink` gives a `RecordSink` into it."""

    def __init__(self, partitions: int = 3) -> None:
        self._partitions = partitions
        self._topics: dict[str, list[list[StoredRecord]]] = {}

    def sink(self) -> "MemorySink":
        return MemorySink(self)

    def ensure(self, topics: Sequence[str]) -> Sequence[str]:
        missing = [topic for topic in topics if topic not in self._topics]
        for topic in missing:
            self._topics[topic] = [[] for _ in range(self._partitions)]
        return missing

    def end_offsets(self, topic: str) -> Mapping[int, int]:
        return {number: len(records) for number, records in enumerate(self._of(topic))}

    def read_all(self, topic: str) -> Iterator[StoredRecord]:
        yield from [record for records in self._of(topic) for record in records]

    def append(self, record: OutgoingRecord) -> None:
        partitions = self._of(record.topic)
        number = crc32(record.key) % self._partitions
        partitions[number].append(
            StoredRecord(
                topic=record.topic,
                partition=number,
                offset=len(partitions[number]),
                key=record.key,
                value=record.value,
                headers=record.headers,
            )
        )

    def _of(self, topic: str) -> list[list[StoredRecord]]:
        if topic not in self._topics:
            raise PermanentError(f"topic {topic} does not exist")
        return self._topics[topic]


class MemorySink:
    """`RecordSink` into a `MemoryLog`."""

    LIMIT = 1_000_000

    def __init__(self, log: MemoryLog) -> None:
        self._log = log
        self._queue: list[OutgoingRecord] = []

    def write(self, record: OutgoingRecord) -> None:
        size = len(record.key) + len(record.value)
        if size > self.LIMIT:
            raise PermanentError(f"topic {record.topic}: {size:,} bytes (limit {self.LIMIT:,})")
        self._queue.append(record)

    def flush(self) -> int:
        queue, self._queue = self._queue, []
        for record in queue:
            self._log.append(record)
        return len(queue)


class MemoryConnect:
    """`ConnectCluster` that knows one class of connector, and its `connection.url`."""

    CLASS = "MemorySink"

    def __init__(self) -> None:
        self.configs: dict[str, Mapping[str, str]] = {}
        self._states: dict[str, str] = {}

    def apply(self, name: str, config: Mapping[str, str]) -> None:
        if problems := self.validate(config):
            raise ConfigError(f"connector {name}: {problems}")
        self.configs[name] = dict(config)
        self._states.setdefault(name, "RUNNING")

    def validate(self, config: Mapping[str, str]) -> Mapping[str, str]:
        if config.get("connector.class") != self.CLASS:
            return {"connector.class": "is not installed"}
        if "write.method" in config and config["write.method"] != "INSERT":
            return {"write.method": "must be INSERT"}
        return {}

    def status(self, name: str) -> ConnectorStatus | None:
        if name not in self._states:
            return None
        state = self._states[name]
        return ConnectorStatus(name=name, state=state, tasks=(state,))

    def pause(self, name: str) -> None:
        self._known(name)
        self._states[name] = "PAUSED"

    def resume(self, name: str) -> None:
        self._known(name)
        self._states[name] = "RUNNING"

    def restart(self, name: str) -> None:
        self._known(name)

    def delete(self, name: str) -> None:
        self._states.pop(name, None)
        self.configs.pop(name, None)

    def _known(self, name: str) -> None:
        if name not in self._states:
            raise PermanentError(f"no connector {name}")


class MemoryIndex:
    """`SearchIndex` that understands the bodies of `pipeline.search.search_body`."""

    def __init__(self) -> None:
        self.mapping: Mapping[str, Any] | None = None
        self._documents: dict[str, tuple[int, Mapping[str, Any]]] = {}

    def put(self, document: Mapping[str, Any], version: int) -> None:
        name = document["review_id"]
        if version >= self._documents.get(name, (0, {}))[0]:
            self._documents[name] = (version, document)

    def setup(self, mapping: Mapping[str, Any]) -> None:
        drift = mapping_drift(mapping, self.mapping or mapping)
        if conflicts := [line for line in drift if "is not in the" not in line]:
            raise ConfigError("; ".join(conflicts))
        self.mapping = mapping

    def refresh(self) -> None:
        self._there()

    def count(self) -> int:
        self._there()
        return len(self._documents)

    def ids(self) -> Iterator[str]:
        self._there()
        yield from list(self._documents)

    def search(self, body: Mapping[str, Any]) -> Mapping[str, Any]:
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
        return {"hits": {"total": {"value": len(hits)}, "hits": hits[: body["size"]]}}

    def _there(self) -> None:
        if self.mapping is None:
            raise PermanentError("there is no such index: run `reviewstream index setup`")


def _fits(document: Mapping[str, Any], condition: Mapping[str, Any]) -> bool:
    if term := condition.get("term"):
        return all(document[name] == value for name, value in term.items())
    ((name, bounds),) = condition["range"].items()
    low, high = bounds.get("gte", -(2**63)), bounds.get("lt", 2**63)
    return bool(low <= document[name] < high)


def _marked(text: str, words: Sequence[str]) -> str:
    """Return the text with the words marked; empty if it has none of them."""
    if not words:
        return ""
    pattern = rf"\b({'|'.join(map(re.escape, words))})\b"
    marked = re.sub(pattern, rf"{HIGHLIGHT[0]}\1{HIGHLIGHT[1]}", text, flags=re.IGNORECASE)
    return marked if marked != text else ""


def _canonical(schema: str) -> str:
    return json.dumps(json.loads(schema), sort_keys=True)
