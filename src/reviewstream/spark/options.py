"""Options of our formats as Spark passes them: strings, with case-insensitive names."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from pydantic import SecretStr

from reviewstream.app import kafka_oauth_login
from reviewstream.core.retry import waits
from reviewstream.errors import ConfigError
from reviewstream.settings import (
    KafkaSettings,
    RegistrySettings,
    SourceSettings,
    is_secret,
    secret_value,
)
from reviewstream.spark.option_reader import EARLIEST, OptionReader

TIMEOUT: Final = 30.0  # seconds

_SOURCE_NAMES: Final = (
    "host",
    "port",
    "maxRowsPerTrigger",
    "maxBytesPerTrigger",
    "startingOffset",
    "partitions",
    "timeout",
    "retryTimeout",
    "tls",
    "caLocation",
    "token",
    "drainFile",
)
_SINK_NAMES: Final = (
    "labelledTopic",
    "rejectedTopic",
    "delivery",
    "deliveryTimeout",
    "streamName",
    "schemaRegistryUrl",
    "schemaRegistryUsername",
    "schemaRegistryPassword",
    "schemaRegistryToken",
    "schemaRegistryLogicalCluster",
    "schemaRegistryCaLocation",
    "registerSchemas",
    "labelledSchemaId",
    "rejectedSchemaId",
)
_KAFKA: Final = "kafka."


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceOptions:
    """Options of `format("reviews")`.

    Attributes:
        server: Address of the server, and the credentials.
        starting_offset: `earliest`, `latest`, or bytes from the start of the file; used only by
            the first start of a query.
        timeout: Seconds for one answer of the server.
        retry_timeout: Seconds without an answer until the query ends.
        drain_file: While this file exists, no new micro-batch begins; see `drain_and_stop`.
    """

    server: SourceSettings
    max_rows: int
    max_bytes: int
    starting_offset: int | str = EARLIEST
    partitions: int
    timeout: float = TIMEOUT
    retry_timeout: float = waits.REVIEW_SERVER.total
    drain_file: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Self:
        """Parse Spark's options.

        Raises:
            ConfigError: An option is unknown or invalid.
        """
        given = OptionReader("reviews", options, _SOURCE_NAMES)
        default = SourceSettings()
        return cls(
            server=_server_settings(given),
            max_rows=given.whole("maxRowsPerTrigger", default.max_rows_per_trigger),
            max_bytes=given.whole("maxBytesPerTrigger", default.max_bytes_per_trigger),
            starting_offset=given.offset("startingOffset"),
            partitions=given.whole("partitions", default.partitions),
            timeout=given.seconds("timeout", TIMEOUT),
            retry_timeout=given.seconds("retryTimeout", waits.REVIEW_SERVER.total),
            drain_file=given.maybe("drainFile"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SinkOptions:
    """Options of `format("reviews-kafka")`.

    Attributes:
        registry: `auto_register` is the option `registerSchemas`.
        labelled_id: Schema id in the registry; None: ask the registry.
        rejected_id: Likewise.
    """

    kafka: KafkaSettings
    registry: RegistrySettings
    labelled_id: int | None
    rejected_id: int | None

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Self:
        """Parse Spark's options.

        Raises:
            ConfigError: An option is unknown or invalid.
        """
        client = {
            name.lower().removeprefix(_KAFKA): value
            for name, value in options.items()
            if name.lower().startswith(_KAFKA)
        }
        ours = {name: v for name, v in options.items() if not name.lower().startswith(_KAFKA)}
        given = OptionReader("reviews-kafka", ours, _SINK_NAMES)
        return cls(
            kafka=_kafka_settings(given, client),
            registry=_registry_settings(given),
            labelled_id=given.schema_id("labelledSchemaId"),
            rejected_id=given.schema_id("rejectedSchemaId"),
        )


def _server_settings(given: OptionReader) -> SourceSettings:
    default = SourceSettings()
    return SourceSettings(
        host=given.text("host", default.host),
        port=given.whole("port", default.port, most=65_535),
        tls=given.flag("tls"),
        ca_location=given.maybe("caLocation"),
        token=given.secret("token"),
    )


def _kafka_settings(given: OptionReader, client: dict[str, str]) -> KafkaSettings:
    default = KafkaSettings()
    servers = client.pop("bootstrap.servers", None)
    if servers is None:
        raise ConfigError('reviews-kafka: option "kafka.bootstrap.servers" is missing')
    password = client.pop("sasl.password", None)
    secrets = {name: SecretStr(value) for name, value in client.items() if is_secret(name)}
    return KafkaSettings(
        bootstrap_servers=servers,
        security_protocol=client.pop("security.protocol", default.security_protocol),
        sasl_password=None if password is None else SecretStr(password),
        labelled_topic=given.text("labelledTopic", default.labelled_topic),
        rejected_topic=given.text("rejectedTopic", default.rejected_topic),
        delivery=given.delivery("delivery", default.delivery),
        delivery_timeout=given.seconds("deliveryTimeout", default.delivery_timeout),
        stream_name=given.maybe("streamName") or given.checkpoint(),
        client={name: value for name, value in client.items() if name not in secrets},
        client_secrets=secrets,
    )


def _registry_settings(given: OptionReader) -> RegistrySettings:
    return RegistrySettings(
        url=given.text("schemaRegistryUrl", RegistrySettings().url),
        username=given.maybe("schemaRegistryUsername"),
        password=given.secret("schemaRegistryPassword"),
        token=given.secret("schemaRegistryToken"),
        logical_cluster=given.maybe("schemaRegistryLogicalCluster"),
        ca_location=given.maybe("schemaRegistryCaLocation"),
        auto_register=given.flag("registerSchemas"),
    )


def sink_options(kafka: KafkaSettings, registry: RegistrySettings) -> dict[str, str]:
    """Return the options of `format("reviews-kafka")` that correspond to the settings."""
    options: dict[str, str | None] = {
        "kafka.bootstrap.servers": kafka.bootstrap_servers,
        "kafka.security.protocol": kafka.security_protocol,
        "kafka.sasl.mechanism": kafka.sasl_mechanism,
        "kafka.sasl.username": kafka.sasl_username,
        "kafka.sasl.password": secret_value(kafka.sasl_password),
        "kafka.ssl.ca.location": kafka.ssl_ca_location,
        **_passed_through(kafka),
        "labelledTopic": kafka.labelled_topic,
        "rejectedTopic": kafka.rejected_topic,
        "delivery": kafka.delivery,
        "deliveryTimeout": str(kafka.delivery_timeout),
        "streamName": kafka.stream_name,
        "schemaRegistryUrl": registry.url,
        "schemaRegistryUsername": registry.username,
        "schemaRegistryPassword": secret_value(registry.password),
        "schemaRegistryToken": secret_value(registry.token),
        "schemaRegistryLogicalCluster": registry.logical_cluster,
        "schemaRegistryCaLocation": registry.ca_location,
        "registerSchemas": str(registry.auto_register).lower(),
    }
    return {name: value for name, value in options.items() if value is not None}


def _passed_through(kafka: KafkaSettings) -> dict[str, str | None]:
    secrets = {name: secret_value(secret) for name, secret in kafka.client_secrets.items()}
    return {
        f"{_KAFKA}{name}": value
        for name, value in (kafka_oauth_login(kafka) | kafka.client | secrets).items()
    }


def source_options(source: SourceSettings) -> dict[str, str]:
    """Return the options of `format("reviews")` that correspond to the settings."""
    options = {
        "host": source.host,
        "port": str(source.port),
        "maxRowsPerTrigger": str(source.max_rows_per_trigger),
        "maxBytesPerTrigger": str(source.max_bytes_per_trigger),
        "partitions": str(source.partitions),
        "tls": str(source.tls).lower(),
        "caLocation": source.ca_location,
        "token": secret_value(source.token),
    }
    return {name: value for name, value in options.items() if value is not None}
