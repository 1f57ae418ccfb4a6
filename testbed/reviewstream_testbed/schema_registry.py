"""Apicurio: a schema registry that speaks Confluent's API."""

import http.client

from reviewstream_testbed.ports import LOOPBACK
from reviewstream_testbed.readiness import answers, status
from reviewstream_testbed.server import Server

_CONFLUENT_API = "/apis/ccompat/v7"
_PATIENCE = 1.0  # seconds


class SchemaRegistry(Server):
    """A registry in memory: `restart` and `kill` forget every subject, while topics stay."""

    name = "schema_registry"
    memory = 400
    port_count = 2

    @property
    def url(self) -> str:
        """The base URL of Confluent's API."""
        return f"{super().url}{_CONFLUENT_API}"

    @property
    def native_url(self) -> str:
        """The base URL of Apicurio's own API, which its converter speaks."""
        return f"{super().url}/apis/registry/v2"

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
            "-jar",
            str(self._installation.homes / "registry" / "quarkus-run.jar"),
        ]

    def is_ready(self) -> bool:
        """Ask for the subjects, and for what is not there.

        The first request for a path that it does not have may never be answered, and Confluent's
        clients wait for ever when they ask for `/associations`.
        """
        unknown = f"{_CONFLUENT_API}/associations/resources/-/none"
        is_settled = status(self.port, unknown, _PATIENCE) == http.client.NOT_FOUND
        return is_settled and answers(self.port, f"{_CONFLUENT_API}/subjects")
