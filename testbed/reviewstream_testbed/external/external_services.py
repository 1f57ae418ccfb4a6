"""External servers of each kind; what the tests create on them can be removed."""

from collections.abc import Callable
from functools import cached_property
from urllib.parse import quote, urlsplit

from reviewstream_testbed.external.external_server import External, ExternalHttp
from reviewstream_testbed.installation.builder import CONVERTER, SINK
from reviewstream_testbed.services.elasticsearch import Elasticsearch
from reviewstream_testbed.services.kafka import Kafka
from reviewstream_testbed.services.kafka_connect import KafkaConnect
from reviewstream_testbed.services.schema_registry import CONFLUENT_API, NATIVE_API, SchemaRegistry
from reviewstream_testbed.testbed_error import TestbedError
from reviewstream_testbed.testbed_extras import named_extras

with named_extras():
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import AdminClient

PATIENCE = 10.0  # seconds for one answer of the brokers


class ExternalKafka(External, Kafka):
    """A Kafka cluster without security. Topics are removed; consumer groups expire on their own."""

    @property
    def bootstrap_servers(self) -> str:
        """The address as configured."""
        return self._address

    @property
    def port(self) -> int:
        """The port of the first broker."""
        return urlsplit(f"//{self._address.split(',')[0]}").port or 9092

    def is_ready(self) -> bool:
        """Report whether it answers a request for its topics."""
        try:
            self._topics()
        except TestbedError:
            return False
        return True

    def remove(self, prefix: str) -> None:
        """Delete the topics."""
        topics = [topic for topic in self._topics() if topic.startswith(prefix)]
        admin = self._admin()  # closing it cancels its pending requests
        try:
            for deleted in admin.delete_topics(topics).values() if topics else ():
                deleted.result()
        except KafkaException as error:
            raise TestbedError(f"kafka: {error}") from error

    def _topics(self) -> list[str]:
        try:
            return [*self._admin().list_topics(timeout=PATIENCE).topics]
        except KafkaException as error:
            raise TestbedError(f"kafka: {error}") from error

    def _admin(self) -> AdminClient:
        # An unavailable broker is reported by our error, not by librdkafka's log.
        return AdminClient({"bootstrap.servers": self._address, "log_level": 0})


class ExternalSchemaRegistry(ExternalHttp, SchemaRegistry):
    """An external registry with Confluent's API."""

    ready_path = "/subjects"

    @property
    def native_url(self) -> str:
        """The base URL of Apicurio's own API.

        Raises:
            TestbedError: The registry is not Apicurio, and has Confluent's API only.
        """
        root, api, _ = self._address.partition(CONFLUENT_API)
        if api:
            return f"{root}{NATIVE_API}"
        raise TestbedError(
            "the embedded Connect reads Avro through the embedded registry only:"
            " set REVIEWSTREAM_TEST_CONNECT too, or leave REVIEWSTREAM_TEST_SCHEMA_REGISTRY out"
        )

    def remove(self, prefix: str) -> None:
        """Delete the subjects permanently, referring subjects before those they refer to."""
        subjects = self._call("GET", "/subjects?deleted=true")
        left = {subject for subject in subjects if subject.startswith(prefix)}
        while left:
            refusals = {subject: error for subject in left if (error := self._refusal(subject))}
            if len(refusals) == len(left):
                raise next(iter(refusals.values()))
            left = {*refusals}

    def _refusal(self, subject: str) -> TestbedError | None:
        """Delete a subject; return the error if the registry refuses, else None."""
        path = f"/subjects/{quote(subject, safe='')}"
        try:
            self._call("DELETE", path)
            self._call("DELETE", f"{path}?permanent=true")
        except TestbedError as error:
            return error
        return None


class ExternalKafkaConnect(ExternalHttp, KafkaConnect):
    """Workers with the Elasticsearch sink and Avro converter of Confluent or of the testbed."""

    ready_path = "/connectors"

    def __init__(self, address: str, *, registry: Callable[[], SchemaRegistry]) -> None:
        super().__init__(address)
        self._registry = registry

    @cached_property
    def sink_connector_class(self) -> str:  # type: ignore[override] # read once from the workers
        """The class of the Elasticsearch sink that the workers have."""
        return self._plugin("io.confluent.connect.elasticsearch.ElasticsearchSinkConnector", SINK)

    @cached_property
    def value_converter(self) -> str:
        """The class of the Avro converter that the workers have."""
        return self._plugin("io.confluent.connect.avro.AvroConverter", CONVERTER)

    @property
    def value_converter_config(self) -> dict[str, str]:
        """The converter's settings, without the prefix `value.converter.`."""
        if self.value_converter == CONVERTER:
            return super().value_converter_config
        return {"schema.registry.url": self._registry().url}

    def _plugin(self, usual: str, testbeds: str) -> str:
        plugins = self._call("GET", "/connector-plugins?connectorsOnly=false") or ()
        return testbeds if testbeds in {each["class"] for each in plugins} else usual

    def remove(self, prefix: str) -> None:
        """Delete the connectors."""
        for connector in self._call("GET", "/connectors"):
            if connector.startswith(prefix):
                self._call("DELETE", f"/connectors/{quote(connector, safe='')}")


class ExternalElasticsearch(ExternalHttp, Elasticsearch):
    """An external Elasticsearch cluster of any kind."""

    def remove(self, prefix: str) -> None:
        """Delete the indices and the index templates."""
        for index in self._call("GET", f"/{prefix}*?expand_wildcards=all") or {}:
            self._call("DELETE", f"/{quote(index, safe='')}")
        found = self._call("GET", f"/_index_template/{prefix}*") or {"index_templates": []}
        for template in found["index_templates"]:
            self._call("DELETE", f"/_index_template/{quote(template['name'], safe='')}")
