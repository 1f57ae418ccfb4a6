"""What registry, Connect and Elasticsearch clients say of a certificate that nobody vouches for."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from reviewstream.adapters.connect.connect_cluster import KafkaConnectCluster
from reviewstream.adapters.elasticsearch_index import ElasticsearchIndex
from reviewstream.adapters.registry import ConfluentRegistry
from reviewstream.errors import ConfigError, TransientError
from reviewstream.settings import ConnectSettings, ElasticsearchSettings, RegistrySettings
from reviewstream_testbed.security.certificates import Authority
from reviewstream_testbed.security.credentials import Security
from reviewstream_testbed.security.tls_proxy import TlsProxy
from tests.unit.adapters.canned import canned

CLIENTS: dict[str, Callable[[dict[str, Any]], object]] = {
    "registry": lambda given: ConfluentRegistry(RegistrySettings(**given)).subjects(),
    "connect": lambda given: KafkaConnectCluster(ConnectSettings(**given)).status("c"),
    "elasticsearch": lambda given: ElasticsearchIndex(ElasticsearchSettings(**given)).count(),
}


@pytest.fixture(scope="module")
def security(tmp_path_factory: pytest.TempPathFactory) -> Security:
    return Security.new(tmp_path_factory.mktemp("secure") / "security")


@pytest.fixture
def proxy(security: Security) -> Iterator[TlsProxy]:
    with canned({}) as server:
        running = TlsProxy(lambda: int(server.url.rpartition(":")[2]), security)
        yield running
        running.close()


@pytest.mark.parametrize("section", CLIENTS)
def test_a_certificate_of_somebody_else_is_an_error_that_names_the_setting(
    proxy: TlsProxy, section: str, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other").certificates
    for ca_location in (None, str(other)):
        given = {"url": f"https://127.0.0.1:{proxy.port}", "ca_location": ca_location}
        with pytest.raises(ConfigError, match=f"is not trusted .*{section}.ca_location names"):
            CLIENTS[section](given)


@pytest.mark.parametrize("section", CLIENTS)
def test_a_file_of_certificates_that_is_not_there_is_a_setting_that_is_wrong(
    section: str, tmp_path: Path
) -> None:
    given = {"url": "https://127.0.0.1:1", "ca_location": str(tmp_path / "none.pem")}
    with pytest.raises(ConfigError, match=r"No such file"):
        CLIENTS[section](given)


@pytest.mark.parametrize("section", CLIENTS)
def test_a_server_without_tls_is_an_error_that_names_the_setting(
    security: Security, section: str
) -> None:
    with canned({}) as server:
        url = server.url.replace("http:", "https:")
        given = {"url": url, "ca_location": str(security.certificates)}
        with pytest.raises(ConfigError, match=rf"does not speak TLS as we do .*see {section}\.url"):
            CLIENTS[section](given)


@pytest.mark.parametrize("section", CLIENTS)
def test_a_server_that_is_away_is_waited_for_with_tls_too(security: Security, section: str) -> None:
    given = {"url": "https://127.0.0.1:1", "ca_location": str(security.certificates)}
    with pytest.raises(TransientError, match="cannot be reached"):
        CLIENTS[section](given)
