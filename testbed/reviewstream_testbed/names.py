"""What a test may make on a server: names of its own, and nothing made yet."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:  # every run of pytest imports this module
    from reviewstream_testbed.testbed import Testbed

_WORDS = 60  # characters of a test's name


def _no_servers() -> "Testbed":
    raise TypeError("this name was made without servers: use the fixture, or give `servers`")


@dataclass(frozen=True, slots=True)
class _Named:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Topic(_Named):
    """A Kafka topic, not made yet. Its methods start the servers that they need.

    Attributes:
        servers: Asked for when one is needed, and not before.
    """

    servers: "Callable[[], Testbed]" = field(default=_no_servers, repr=False, compare=False)

    def create(self, partitions: int = 1) -> None:
        """Make it, and wait until it is there."""
        from reviewstream_testbed import records  # noqa: PLC0415 - it needs Kafka's client

        records.create(self.servers().kafka, self.name, partitions)

    def produce(self, *values: bytes | None) -> None:
        """Write values, and wait until Kafka has them.

        Raises:
            TestbedError: It does not take them.
        """
        from reviewstream_testbed import records  # noqa: PLC0415 - see above

        records.produce(self.servers().kafka, self.name, values)

    def consume(self, count: int) -> list[bytes | None]:
        """Return the first `count` values; those of one partition are in order.

        Raises:
            TestbedError: They do not come.
        """
        from reviewstream_testbed import records  # noqa: PLC0415 - see above

        return records.consume(self.servers().kafka, self.name, count)

    def produce_avro(self, schema: str, *values: Any) -> None:  # noqa: ANN401 - what the schema says
        """Write records in Avro, framed as Confluent does; the schema is registered.

        Raises:
            TestbedError: Kafka does not take them.
        """
        from reviewstream_testbed import records  # noqa: PLC0415 - see above

        self.produce(*records.encoded(self.servers().schema_registry, self.name, schema, values))

    def consume_avro(self, count: int) -> list[Any]:
        """Return the first `count` records, read by the schemas that the registry has.

        Raises:
            TestbedError: They do not come.
        """
        from reviewstream_testbed import records  # noqa: PLC0415 - see above

        values = self.consume(count)
        return records.decoded(self.servers().schema_registry, self.name, values)


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
