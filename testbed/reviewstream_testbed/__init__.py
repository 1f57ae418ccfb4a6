"""Real servers on loopback ports, for tests. Imports nothing from `reviewstream`.

The names here are looked up when they are first used: every run of pytest imports this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from reviewstream_testbed.errors import TestbedError
from reviewstream_testbed.names import Index, Subject, Topic

if TYPE_CHECKING:
    from reviewstream_testbed.elasticsearch import Elasticsearch
    from reviewstream_testbed.kafka import Kafka
    from reviewstream_testbed.kafka_connect import KafkaConnect
    from reviewstream_testbed.link import Link
    from reviewstream_testbed.review_server import ReviewServer
    from reviewstream_testbed.schema_registry import SchemaRegistry
    from reviewstream_testbed.server import Server
    from reviewstream_testbed.spark_cluster import SparkCluster
    from reviewstream_testbed.testbed import Testbed
else:
    _MODULES = {
        "Elasticsearch": "elasticsearch",
        "Kafka": "kafka",
        "KafkaConnect": "kafka_connect",
        "Link": "link",
        "ReviewServer": "review_server",
        "SchemaRegistry": "schema_registry",
        "Server": "server",
        "SparkCluster": "spark_cluster",
        "Testbed": "testbed",
    }

    def __getattr__(name: str) -> object:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


__all__ = [
    "Elasticsearch",
    "Index",
    "Kafka",
    "KafkaConnect",
    "Link",
    "ReviewServer",
    "SchemaRegistry",
    "Server",
    "SparkCluster",
    "Subject",
    "Testbed",
    "TestbedError",
    "Topic",
]
