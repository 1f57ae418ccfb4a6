"""Real servers on loopback ports, for tests. Imports nothing from `reviewstream`."""

from reviewstream_testbed.elasticsearch import Elasticsearch
from reviewstream_testbed.errors import TestbedError
from reviewstream_testbed.kafka import Kafka
from reviewstream_testbed.kafka_connect import KafkaConnect
from reviewstream_testbed.schema_registry import SchemaRegistry
from reviewstream_testbed.server import Server
from reviewstream_testbed.testbed import Testbed

__all__ = [
    "Elasticsearch",
    "Kafka",
    "KafkaConnect",
    "SchemaRegistry",
    "Server",
    "Testbed",
    "TestbedError",
]
