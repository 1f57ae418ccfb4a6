"""Apicurio: a schema registry that speaks Confluent's API."""

from typing import Any

from reviewstream_testbed.installation.builder import class_path
from reviewstream_testbed.processes.free_ports import LOOPBACK
from reviewstream_testbed.services.readiness import answers
from reviewstream_testbed.services.server_process import Server

CONFLUENT_API = "/apis/ccompat/v7"
NATIVE_API = "/apis/registry/v2"


class SchemaRegistry(Server):
    """An in-memory registry: `restart` and `kill` lose all subjects, while topics persist."""

    name = "schema_registry"
    memory = 400
    port_count = 3

    @property
    def url(self) -> str:
        """The base URL of Confluent's API."""
        return f"{super().url}{CONFLUENT_API}"

    @property
    def client_config(self) -> dict[str, Any]:
        """A new dict of settings for confluent-kafka's `SchemaRegistryClient`."""
        return {"url": self.url}

    @property
    def native_url(self) -> str:
        """The base URL of Apicurio's own API, which its converter speaks."""
        return f"{super().url}{NATIVE_API}"

    def prepare(self) -> None:
        """Do nothing: the command line has all settings."""

    def arguments(self) -> list[str]:
        """Return the heap, the class path and the main class."""
        port, inner, management = self._ports
        home = self._installation.homes / "registry"
        return [
            "-Xmx384m",
            f"-Dquarkus.management.host={LOOPBACK}",
            f"-Dquarkus.management.port={management}",
            "-Dquarkus.http.access-log.enabled=false",
            "-cp",
            class_path(home / "front.jar", home / "quarkus-run.jar"),
            "reviewstream.registry.Main",
            LOOPBACK,
            str(port),
            str(inner),
        ]

    def is_ready(self) -> bool:
        """Report whether it answers a request for its subjects."""
        return answers(self.port, f"{CONFLUENT_API}/subjects")
