"""The servers of a secure testbed: Kafka with SASL_SSL, the others with TLS and a password."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from reviewstream_testbed.faults.link import Link
from reviewstream_testbed.installation.homes import Installation
from reviewstream_testbed.processes.free_ports import LOOPBACK
from reviewstream_testbed.security.certificates import STORE_PASSWORD
from reviewstream_testbed.security.credentials import Security
from reviewstream_testbed.security.oidc_server import AUDIENCE, NAME, OidcServer
from reviewstream_testbed.security.tls_proxy import TlsProxy
from reviewstream_testbed.services.elasticsearch import Elasticsearch, ElasticsearchConfig
from reviewstream_testbed.services.kafka import Kafka
from reviewstream_testbed.services.kafka_connect import ConnectConfig, KafkaConnect
from reviewstream_testbed.services.schema_registry import SchemaRegistry
from reviewstream_testbed.services.server_process import Server
from reviewstream_testbed.testbed_error import TestbedError

_LOGIN: Final = "org.apache.kafka.common.security"
_LISTENERS: Final = """\
listeners=SASL_SSL://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=SASL_SSL://127.0.0.1:{port}
listener.security.protocol.map=SASL_SSL:SASL_SSL,CONTROLLER:PLAINTEXT
inter.broker.listener.name=SASL_SSL
"""
_BROKER: Final = """\
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
sasl.mechanism.inter.broker.protocol=PLAIN
ssl.keystore.type=PKCS12
ssl.keystore.location={store}
ssl.keystore.password={word}
ssl.key.password={word}
ssl.truststore.type=JKS
ssl.truststore.location={trust}
ssl.truststore.password={word}
listener.name.sasl_ssl.plain.sasl.jaas.config={login}.plain.PlainLoginModule required \
username="{user}" password="{password}" user_{user}="{password}";
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={login}.scram.ScramLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.jaas.config=\
{login}.oauthbearer.OAuthBearerLoginModule required;
listener.name.sasl_ssl.oauthbearer.sasl.server.callback.handler.class=\
{login}.oauthbearer.OAuthBearerValidatorCallbackHandler
listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer.jwks.endpoint.url={keys}
listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer.expected.audience={audience}
listener.name.sasl_ssl.oauthbearer.sasl.oauthbearer.expected.issuer={issuer}
"""
_CLIENT: Final = """\
{prefix}security.protocol=SASL_SSL
{prefix}sasl.mechanism=PLAIN
{prefix}sasl.jaas.config={login}.plain.PlainLoginModule required \
username="{user}" password="{password}";
{prefix}ssl.truststore.type=JKS
{prefix}ssl.truststore.location={trust}
{prefix}ssl.truststore.password={word}
"""
_ITERATIONS: Final = 4096  # of SCRAM; Kafka's minimum
_ANSWER: Final = 3.0  # seconds
_PATIENCE: Final = 60.0


class SecureKafka(Kafka):
    """A broker that accepts only SASL_SSL, with PLAIN, SCRAM or OAUTHBEARER.

    Its controller listens on loopback without protection.
    """

    def __init__(self, installation: Installation, folder: Path, *, security: Security) -> None:
        super().__init__(installation, folder)
        self.security = security
        self._oidc_server = OidcServer(security, self.folder)

    @property
    def token_url(self) -> str:
        """The OAUTHBEARER token endpoint, which accepts the same user and password."""
        return self._oidc_server.url

    @property
    def client_config(self) -> dict[str, Any]:
        """A new dict of settings for confluent-kafka's clients, with the credentials."""
        return super().client_config | {
            "security.protocol": "SASL_SSL",
            "sasl.mechanism": "PLAIN",
            "sasl.username": self.security.username,
            "sasl.password": self.security.password,
            "ssl.ca.location": str(self.security.certificates),
        }

    def prepare(self) -> None:
        """Write the configuration."""
        super().prepare()
        file = self.folder / "server.properties"
        file.chmod(0o600)
        file.write_text(file.read_text() + self._broker())

    def listeners(self) -> str:
        """Return the settings of its listeners: SASL_SSL, and no listener for a link."""
        return _LISTENERS.format(port=self._ports[0], controller=self._ports[1])

    def link(self) -> Link:
        """Raise TestbedError: a broker with passwords does not support links."""
        raise TestbedError("a secure testbed's Kafka has no link: use one without passwords")

    def arguments(self) -> list[str]:
        """Return the permitted key file, the heap, the class path and the main class."""
        allowed = "-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls"
        return [f"{allowed}={self._oidc_server.keys.as_uri()}", *super().arguments()]

    def start(self) -> None:
        """Start the broker, and register the SCRAM users."""
        super().start()
        self._add_scram_users()

    def is_ready(self) -> bool:
        """Report whether an authenticated client can list the brokers."""
        from confluent_kafka import KafkaException  # noqa: PLC0415 - as for all clients
        from confluent_kafka.admin import AdminClient  # noqa: PLC0415

        with suppress(KafkaException):
            admin = AdminClient(self.client_config | {"log_level": 0})
            return bool(admin.list_topics(timeout=_ANSWER).brokers)
        return False

    def close(self) -> None:
        """Stop the broker and its token server permanently."""
        super().close()
        self._oidc_server.close()

    def _broker(self) -> str:
        keys = self._oidc_server.keys.as_uri()
        return _filled(_BROKER, self.security, keys=keys, audience=AUDIENCE, issuer=NAME)

    def _add_scram_users(self) -> None:
        from confluent_kafka import KafkaException  # noqa: PLC0415 - as for all clients
        from confluent_kafka.admin import AdminClient, _scram  # noqa: PLC0415

        client = AdminClient(self.client_config | {"log_level": 0})
        for mechanism in (_scram.ScramMechanism.SCRAM_SHA_256, _scram.ScramMechanism.SCRAM_SHA_512):
            info = _scram.ScramCredentialInfo(mechanism, _ITERATIONS)
            user, password = self.security.username, self.security.password.encode()
            change = _scram.UserScramCredentialUpsertion(user, info, password)
            try:
                client.alter_user_scram_credentials([change])[user].result(_PATIENCE)
            except KafkaException as error:
                raise TestbedError(f"kafka takes no user for SCRAM: {error}") from error


class BehindTlsProxy(Server):
    """A server behind a proxy; clients connect to the proxy's port."""

    def __init__(
        self,
        installation: Installation,
        folder: Path,
        *,
        security: Security,
        **others: Any,  # noqa: ANN401 - arguments of the upstream server
    ) -> None:
        super().__init__(installation, folder, **others)
        self.security = security
        self._proxy = TlsProxy(lambda: self.port, security)

    @property
    def url(self) -> str:
        """The base URL."""
        return f"https://{LOOPBACK}:{self._proxy.port}"

    def close(self) -> None:
        """Stop the server and its proxy permanently."""
        super().close()
        self._proxy.close()


class SecureRegistry(SchemaRegistry, BehindTlsProxy):
    """A registry behind a proxy."""

    @property
    def client_config(self) -> dict[str, Any]:
        """A new dict of settings for confluent-kafka's `SchemaRegistryClient`."""
        return super().client_config | {
            "basic.auth.user.info": f"{self.security.username}:{self.security.password}",
            "ssl.ca.location": str(self.security.certificates),
        }


class SecureElasticsearchConfig(ElasticsearchConfig):
    """Arguments of `elasticsearch.Elasticsearch`."""

    basic_auth: tuple[str, str]
    ca_certs: str


class SecureElasticsearch(Elasticsearch, BehindTlsProxy):
    """A node behind a proxy that accepts a password or an API key."""

    @property
    def client_config(self) -> SecureElasticsearchConfig:
        """Arguments for `elasticsearch.Elasticsearch(**client_config)`."""
        return {
            "hosts": [self.url],
            "basic_auth": (self.security.username, self.security.password),
            "ca_certs": str(self.security.certificates),
        }


class SecureConnectConfig(ConnectConfig):
    """Arguments of `httpx2.Client` and `httpx.Client`."""

    auth: tuple[str, str]
    verify: str


class SecureConnect(BehindTlsProxy, KafkaConnect):  # KafkaConnect's `__init__` has no `security`
    """A worker behind a proxy; it uses SASL_SSL for Kafka, and trusts the testbed's authority."""

    @property
    def client_config(self) -> SecureConnectConfig:
        """Arguments for `httpx2.Client(**client_config)`, for Connect's REST API."""
        return {
            "base_url": self.url,
            "auth": (self.security.username, self.security.password),
            "verify": str(self.security.certificates),
        }

    @property
    def value_converter_config(self) -> dict[str, str]:
        """The converter's settings with the password, without the prefix `value.converter.`."""
        return super().value_converter_config | {
            "apicurio.auth.username": self.security.username,
            "apicurio.auth.password": self.security.password,
        }

    def prepare(self) -> None:
        """Write the configuration."""
        super().prepare()
        file = self.folder / "connect.properties"
        file.chmod(0o600)
        clients = ("", "producer.", "consumer.", "admin.")
        secure = [_filled(_CLIENT, self.security, prefix=prefix) for prefix in clients]
        file.write_text(file.read_text() + "".join(secure))

    def arguments(self) -> list[str]:
        """Return the trust store, the heap, the class path and the main class."""
        return [
            f"-Djavax.net.ssl.trustStore={self.security.trust_store}",
            "-Djavax.net.ssl.trustStoreType=JKS",
            f"-Djavax.net.ssl.trustStorePassword={STORE_PASSWORD}",
            *super().arguments(),
        ]


def _filled(template: str, security: Security, **others: str) -> str:
    return template.format(
        store=security.server.store,
        trust=security.trust_store,
        word=STORE_PASSWORD,
        login=_LOGIN,
        user=security.username,
        password=security.password,
        **others,
    )


KINDS: Final[dict[str, Callable[..., Server]]] = {
    kind.name: kind for kind in (SecureKafka, SecureRegistry, SecureConnect, SecureElasticsearch)
}
