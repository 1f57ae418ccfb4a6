"""Apicurio: a schema registry that speaks Confluent's API."""

from typing import Any

from reviewstream_testbed.ports import LOOPBACK
from reviewstream_testbed.readiness import answers
from reviewstream_testbed.server import Server

CONFLUENT_API = "/apis/ccompat/v7"
NATIVE_API = "/apis/registry/v2"


class SchemaRegistry(Server):
    """A registry in memory: `restart` and `kill` forget every subject, while topics stay."""

    name = "schema_registry"
    memory = 400
    port_count = 2

    @property
    def url(self) -> str:
        """The base URL of Confluent's API."""
        return f"{super().url}{CONFLUENT_API}"

    @property
    def client_config(self) -> dict[str, Any]:
        """What confluent-kafka's `SchemaRegistryClient` takes; yours to change and add to."""
        return {"url": self.url}

    @property
    def native_url(self) -> str:
        """The base URL of Apicurio's own API, which its converter speaks."""
        return f"{super().url}{NATIVE_API}"

    def prepare(self) -> None:
        """Do nothing: all of it is on the command line."""

    def arguments(self) -> list[str]:
        """Return the heap, the class path and the main class."""
        port, management = self._ports
        return [
            "-Xmx384m",
            f"-Dquarkus.http.host={LOOPBACK}",
            f"-Dquarkus.http.port={port}",
            f"-Dquarkus.management.host={LOOPBACK}",
            f"-Dquarkus.management.port={management}",
            # With it, one in a thousand requests for a path that Apicurio lacks is never answered;
            # Confluent's clients ask for `/associations`, and wait for ever.
            "-Dquarkus.http.access-log.enabled=false",
            "-jar",
            str(self._installation.homes / "registry" / "quarkus-run.jar"),
        ]

    def is_ready(self) -> bool:
        """Ask for the subjects."""
        return answers(self.port, f"{CONFLUENT_API}/subjects")
