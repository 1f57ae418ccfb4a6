"""External servers: used by their address; what the tests create on them is removed."""

from collections.abc import Callable, Mapping

from reviewstream_testbed.external.external_openai import ExternalOpenAI
from reviewstream_testbed.external.external_server import External
from reviewstream_testbed.providers import OPENAI_API_KEY
from reviewstream_testbed.services.schema_registry import SchemaRegistry
from reviewstream_testbed.services.service import Service
from reviewstream_testbed.testbed_error import TestbedError

# A connector recreates topics and indices, so it is removed first.
_REMOVAL = ("kafka_connect", "kafka", "schema_registry", "elasticsearch")


def connect(
    part: str,
    address: str,
    registry: Callable[[], SchemaRegistry],
    environ: Mapping[str, str],
) -> Service:
    """Return the external server for this part; sends no request."""
    if part == ExternalOpenAI.name:
        return ExternalOpenAI(address, api_key=environ.get(OPENAI_API_KEY))
    from reviewstream_testbed.external import external_services  # noqa: PLC0415 - imports Kafka's client

    match part:
        case "kafka":
            return external_services.ExternalKafka(address)
        case "schema_registry":
            return external_services.ExternalSchemaRegistry(address)
        case "kafka_connect":
            return external_services.ExternalKafkaConnect(address, registry=registry)
        case _:
            return external_services.ExternalElasticsearch(address)


def remove_all(servers: Mapping[str, Service], prefix: str) -> None:
    """Remove every object with this name prefix, from each server that permits it.

    Raises:
        TestbedError: Some objects could not be removed.
    """
    failures = []
    for name in _REMOVAL:
        try:
            if isinstance(server := servers.get(name), External):
                server.remove(prefix)
        except TestbedError as error:
            failures.append(str(error))
    if failures:
        raise TestbedError(f"what is named {prefix}... was not removed: {'; '.join(failures)}")
