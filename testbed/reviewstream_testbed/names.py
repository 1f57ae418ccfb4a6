"""Unique names of topics, subjects and indices for a test; creates nothing by itself."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import uuid4

if TYPE_CHECKING:  # keeps the import fast: every run of pytest imports this module
    from reviewstream_testbed.services.servers import Servers

_WORDS = 60  # characters of a test's name


def _no_servers() -> "Servers":
    raise TypeError("this name was made without servers: use the fixture, or give `servers`")


@dataclass(frozen=True, slots=True)
class _Named:
    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class Topic(_Named):
    """A Kafka topic that does not exist yet. Its methods start the servers that they need.

    Attributes:
        servers: Returns the servers; called when one is first needed.
    """

    servers: "Callable[[], Servers]" = field(default=_no_servers, repr=False, compare=False)

    def create(self, partitions: int = 1) -> None:
        """Create the topic, and wait until it exists."""
        from reviewstream_testbed import records  # noqa: PLC0415 - imports Kafka's client

        records.create(self.servers().kafka, self.name, partitions)

    def produce(self, *values: bytes | None) -> None:
        """Write values, and wait until Kafka acknowledges them.

        Raises:
            TestbedError: Kafka does not acknowledge them.
        """
        from reviewstream_testbed import records  # noqa: PLC0415 - see above

        records.produce(self.servers().kafka, self.name, values)

    def consume(self, count: int) -> list[bytes | None]:
        """Return the first `count` values, in order within each partition.

        Raises:
            TestbedError: They do not arrive.
        """
        from reviewstream_testbed import records  # noqa: PLC0415 - see above

        return records.consume(self.servers().kafka, self.name, count)

    def produce_avro(self, schema: str, *values: Any) -> None:  # noqa: ANN401 - depends on the schema
        """Write records as Avro in Confluent's wire format; registers the schema.

        Raises:
            TestbedError: Kafka does not acknowledge them.
        """
        from reviewstream_testbed import records  # noqa: PLC0415 - see above

        self.produce(*records.encoded(self.servers().schema_registry, self.name, schema, values))

    def consume_avro(self, count: int) -> list[Any]:
        """Return the first `count` records, decoded with the registry's schemas.

        Raises:
            TestbedError: They do not arrive.
        """
        from reviewstream_testbed import records  # noqa: PLC0415 - see above

        values = self.consume(count)
        return records.decoded(self.servers().schema_registry, self.name, values)


class Subject(_Named):
    """A subject of the Schema Registry; registering its first schema creates it."""

    __slots__ = ()


class Index(_Named):
    """An Elasticsearch index; the test creates it."""

    __slots__ = ()


def new_prefix() -> str:
    """Return a name prefix that is unique to one run."""
    return f"testbed-{uuid4().hex[:8]}-"


def unique_name(prefix: str, test: str) -> str:
    """Return a unique name that contains the test's name, so that server logs are readable."""
    words = "".join(c if c.isascii() and c.isalnum() else "-" for c in test.lower())
    return f"{prefix}{words[:_WORDS].strip('-')}-{uuid4().hex[:8]}"
