"""The servers of a testbed, as its other parts see them."""

from typing import Protocol

from reviewstream_testbed.installation.homes import Installation
from reviewstream_testbed.services.kafka import Kafka
from reviewstream_testbed.services.schema_registry import SchemaRegistry


class Servers(Protocol):
    """Servers that others of the same testbed connect to."""

    @property
    def kafka(self) -> Kafka:
        """The broker."""

    @property
    def schema_registry(self) -> SchemaRegistry:
        """The registry."""

    @property
    def installation(self) -> Installation:
        """The downloaded and built files."""
