"""What a test may make on a server: names of its own, and nothing made yet."""

from dataclasses import dataclass
from uuid import uuid4

_WORDS = 60  # characters of a test's name


@dataclass(frozen=True, slots=True)
class _Named:
    name: str

    def __str__(self) -> str:
        return self.name


class Topic(_Named):
    """A Kafka topic; making it is up to the test."""

    __slots__ = ()


class Subject(_Named):
    """A subject of the Schema Registry; the first schema that is registered makes it."""

    __slots__ = ()


class Index(_Named):
    """An index of Elasticsearch; making it is up to the test."""

    __slots__ = ()


def new_prefix() -> str:
    """Return what every name of one run begins with, and no other run's."""
    return f"testbed-{uuid4().hex[:8]}-"


def unique_name(prefix: str, test: str) -> str:
    """Name something after a test, so that a server's log is readable."""
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in test.lower())
    return f"{prefix}{words[:_WORDS].strip('-')}-{uuid4().hex[:8]}"
