"""Real servers on loopback ports, for tests. Imports nothing from `reviewstream`.

The names here are looked up when they are first used: every run of pytest imports this package.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from reviewstream_testbed.names import Index, Subject, Topic
from reviewstream_testbed.testbed_error import TestbedError

if TYPE_CHECKING:
    from reviewstream_testbed.faults.link import Link
    from reviewstream_testbed.services.elasticsearch import Elasticsearch
    from reviewstream_testbed.services.kafka import Kafka
    from reviewstream_testbed.services.kafka_connect import KafkaConnect
    from reviewstream_testbed.services.review_server import ReviewServer
    from reviewstream_testbed.services.schema_registry import SchemaRegistry
    from reviewstream_testbed.services.server_process import Server
    from reviewstream_testbed.services.spark_cluster import SparkCluster
    from reviewstream_testbed.testbed import Testbed
else:
    _MODULES = {
        "Elasticsearch": "services.elasticsearch",
        "Kafka": "services.kafka",
        "KafkaConnect": "services.kafka_connect",
        "Link": "faults.link",
        "ReviewServer": "services.review_server",
        "SchemaRegistry": "services.schema_registry",
        "Server": "services.server_process",
        "SparkCluster": "services.spark_cluster",
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
