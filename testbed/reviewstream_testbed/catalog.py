"""All services that a testbed may start, by name."""

from collections.abc import Collection

import psutil

from reviewstream_testbed.mock_openai.process import OpenAIEndpoint
from reviewstream_testbed.services.elasticsearch import Elasticsearch
from reviewstream_testbed.services.kafka import Kafka
from reviewstream_testbed.services.kafka_connect import KafkaConnect
from reviewstream_testbed.services.schema_registry import SchemaRegistry
from reviewstream_testbed.services.service import Service
from reviewstream_testbed.services.spark_cluster import SparkCluster
from reviewstream_testbed.testbed_error import TestbedError

SERVICES: dict[str, type[Service]] = {
    part.name: part
    for part in (
        Kafka,
        SchemaRegistry,
        KafkaConnect,
        Elasticsearch,
        OpenAIEndpoint,
        SparkCluster,
    )
}
DEFAULT = tuple(name for name in SERVICES if name != SparkCluster.name)  # only started on request


def check_names(names: Collection[str]) -> None:
    """Check that the names are parts.

    Raises:
        TestbedError: A name is not a part.
    """
    if unknown := {*names} - {*SERVICES}:
        raise TestbedError(f"no such part: {', '.join(unknown)} (there are {', '.join(SERVICES)})")


def check_enough_memory(parts: Collection[str]) -> None:
    """Check that the available memory suffices for the parts.

    Raises:
        TestbedError: It does not suffice.
    """
    needed = sum(SERVICES[name].memory for name in parts)
    available = psutil.virtual_memory().available >> 20
    if available < needed:
        raise TestbedError(
            f"{', '.join(parts)} need about {needed} MB of memory, {available} MB are available:"
            " close other programs, or start fewer parts"
        )
