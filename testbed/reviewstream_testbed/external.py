"""External servers: used by their address; what the tests create on them is removed."""

import base64
import json
import urllib.error
import urllib.request
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, ClassVar, NoReturn
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from reviewstream_testbed.installation.builder import CONVERTER, SINK
from reviewstream_testbed.mock_openai import OpenAIEndpoint
from reviewstream_testbed.providers import OPENAI_API_KEY, VARIABLES
from reviewstream_testbed.services.elasticsearch import Elasticsearch
from reviewstream_testbed.services.kafka import Kafka
from reviewstream_testbed.services.kafka_connect import KafkaConnect
from reviewstream_testbed.services.schema_registry import CONFLUENT_API, NATIVE_API, SchemaRegistry
from reviewstream_testbed.services.server_process import Server
from reviewstream_testbed.services.service import Service
from reviewstream_testbed.testbed_error import TestbedError

_PATIENCE = 10.0  # seconds for one answer
# A connector recreates topics and indices, so it is removed first.
_REMOVAL = ("kafka_connect", "kafka", "schema_registry", "elasticsearch")


class _NotOurs:
    name: ClassVar[str]

    def kill(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        _refuse(self.name)

    def stop(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        _refuse(self.name)

    def restart(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        _refuse(self.name)

    def pause(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        _refuse(self.name)

    def resume(self) -> None:
        """Raise TestbedError: the testbed does not control an external server."""
        _refuse(self.name)

    def logs(self) -> str:
        """Raise TestbedError: the log of an external server is not accessible."""
        _refuse(self.name)


class External(_NotOurs, Server):
    """An external server: it cannot be stopped or paused, and its log cannot be read."""

    def __init__(self, address: str) -> None:  # has no process and no folder
        self._address = address.rstrip("/")

    @property
    def url(self) -> str:
        """The address as configured."""
        return self._address

    @property
    def address(self) -> str:
        """The address as configured."""
        return self._address

    @property
    def port(self) -> int:
        """The port in the address, or the default port of its scheme."""
        return _port(self._address)

    @property
    def pid(self) -> None:
        """Always None: the process may be on another machine."""
        return

    @abstractmethod
    def remove(self, prefix: str) -> None:
        """Remove every object that has this name prefix.

        Raises:
            TestbedError: The server does not answer, or refuses.
        """

    def start(self) -> None:
        """Check that the server answers.

        Raises:
            TestbedError: It does not answer.
        """
        if not self.is_ready():
            raise TestbedError(
                f"the external {self.name} does not answer: see {VARIABLES[self.name]}"
            )

    def close(self) -> None:
        """Do nothing: the server keeps running."""


class _ExternalHttp(External):
    ready_path = "/"

    def is_ready(self) -> bool:
        """Report whether it answers a request that any user may make."""
        try:
            return self._call("GET", self.ready_path) is not None
        except TestbedError:
            return False

    def _call(self, method: str, path: str) -> Any:  # noqa: ANN401 - any JSON
        """Return the answer, or None if it is 404."""
        return _ask(method, self._address, path, self.name)


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
            return [*self._admin().list_topics(timeout=_PATIENCE).topics]
        except KafkaException as error:
            raise TestbedError(f"kafka: {error}") from error

    def _admin(self) -> AdminClient:
        # An unavailable broker is reported by our error, not by librdkafka's log.
        return AdminClient({"bootstrap.servers": self._address, "log_level": 0})


class ExternalSchemaRegistry(_ExternalHttp, SchemaRegistry):
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


class ExternalKafkaConnect(_ExternalHttp, KafkaConnect):
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


class ExternalElasticsearch(_ExternalHttp, Elasticsearch):
    """An external Elasticsearch cluster of any kind."""

    def remove(self, prefix: str) -> None:
        """Delete the indices and the index templates."""
        for index in self._call("GET", f"/{prefix}*?expand_wildcards=all") or {}:
            self._call("DELETE", f"/{quote(index, safe='')}")
        found = self._call("GET", f"/_index_template/{prefix}*") or {"index_templates": []}
        for template in found["index_templates"]:
            self._call("DELETE", f"/_index_template/{quote(template['name'], safe='')}")


class ExternalOpenAI(_NotOurs, OpenAIEndpoint):
    """An endpoint with OpenAI's API; it has no request log and cannot inject faults."""

    name = "openai_endpoint"
    here = frozenset()

    def __init__(self, base_url: str, *, api_key: str | None) -> None:
        super().__init__(api_key=api_key)
        self._address = base_url.rstrip("/")

    @property
    def base_url(self) -> str:
        """The address as configured."""
        return self._address

    @property
    def url(self) -> str:
        """The address without `/v1`."""
        return self._address.removesuffix("/v1")

    @property
    def port(self) -> int:
        """The port in the address, or the default port of its scheme."""
        return _port(self._address)

    @property
    def pid(self) -> None:
        """Always None: the process may be on another machine."""
        return

    def start(self) -> None:
        """Do nothing: the first request shows whether the endpoint answers."""

    def close(self) -> None:
        """Do nothing: the server keeps running."""

    def _call(self, path: str, body: Mapping[str, Any] | None = None) -> NoReturn:  # noqa: ARG002
        _refuse(self.name)  # only the mock has a control API


def connect(
    part: str,
    address: str,
    registry: Callable[[], SchemaRegistry],
    environ: Mapping[str, str],
) -> Service:
    """Return the external server for this part; sends no request."""
    match part:
        case "kafka":
            return ExternalKafka(address)
        case "schema_registry":
            return ExternalSchemaRegistry(address)
        case "kafka_connect":
            return ExternalKafkaConnect(address, registry=registry)
        case "openai_endpoint":
            return ExternalOpenAI(address, api_key=environ.get(OPENAI_API_KEY))
        case _:
            return ExternalElasticsearch(address)


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


def _port(address: str) -> int:
    parts = urlsplit(address)
    return parts.port or {"https": 443}.get(parts.scheme, 80)


def _ask(method: str, base: str, path: str, name: str) -> Any:  # noqa: ANN401 - any JSON
    """Send a request to a server directly, ignoring the environment's proxies.

    Returns:
        The JSON of the response ({} if it is empty), or None for 404.

    Raises:
        TestbedError: Any other error status, or no response; contains no credentials.
    """
    parts = urlsplit(base)
    host = parts.netloc.rpartition("@")[2]
    url = urlunsplit((parts.scheme, host, parts.path, "", "")) + path
    request = urllib.request.Request(url, method=method)  # noqa: S310 - http or https, see providers
    if parts.username:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_header("Authorization", f"Basic {base64.b64encode(pair).decode()}")
    try:
        with _opener.open(request, timeout=_PATIENCE) as answer:
            return json.loads(answer.read() or b"{}")
    except urllib.error.HTTPError as error:
        with error:
            if error.code == 404:
                return None
            raise TestbedError(f"{name}: {method} {path} answered {error.code}") from error
    except (OSError, ValueError) as error:
        raise TestbedError(f"{name}: {method} {path}: {error}") from error


_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _refuse(name: str) -> NoReturn:
    raise TestbedError(
        f"{name} is external: it cannot be stopped, looked into or made to fail from here"
        " (unset its address, or use --testbed=embedded)"
    )
