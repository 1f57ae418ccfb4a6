"""Elasticsearch: one node, started from the published jars.

These jars lack ILM, data streams, painless, ingest, reindex and delete_by_query.
"""

from typing import TypedDict

from reviewstream_testbed.installation.builder import class_path
from reviewstream_testbed.services.readiness import answers
from reviewstream_testbed.services.server_process import Server

_SETTINGS = """\
cluster.name: testbed
node.name: testbed
path.data: {folder}/data
path.logs: {folder}/logs
http.host: 127.0.0.1
http.port: {port}
transport.host: 127.0.0.1
transport.port: {transport}
discovery.type: single-node
cluster.routing.allocation.disk.threshold_enabled: false
action.auto_create_index: false
"""


class ElasticsearchConfig(TypedDict):
    """Arguments of `elasticsearch.Elasticsearch`."""

    hosts: list[str]


class Elasticsearch(Server):
    """A node without security; automatic index creation is off."""

    name = "elasticsearch"
    memory = 700
    port_count = 2

    @property
    def client_config(self) -> ElasticsearchConfig:
        """Arguments for `elasticsearch.Elasticsearch(**client_config)`."""
        return {"hosts": [self.url]}

    def prepare(self) -> None:
        """Write the configuration."""
        port, transport = self._ports
        config = self.folder / "config"
        config.mkdir(exist_ok=True)
        settings = _SETTINGS.format(folder=self.folder, port=port, transport=transport)
        (config / "elasticsearch.yml").write_text(settings)

    def arguments(self) -> list[str]:
        """Return the heap, the class path and the main class."""
        home = self._installation.homes / "elasticsearch"
        options = [
            "-Xms256m",
            "-Xmx512m",
            "-Des.distribution.type=zip",
            "-Dlog4j2.disable.jmx=true",
        ]
        jars = class_path(*sorted((home / "lib").glob("*.jar")))
        main = "reviewstream.elasticsearch.Main"
        return [*options, "-cp", jars, main, str(home), str(self.folder / "config")]

    def is_ready(self) -> bool:
        """Report whether it answers a request for the cluster's health."""
        return answers(self.port, "/_cluster/health?wait_for_status=yellow&timeout=1s")
