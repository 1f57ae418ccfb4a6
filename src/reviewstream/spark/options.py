"""Options of our formats as Spark passes them: strings, with case-insensitive names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from pydantic import SecretStr

from reviewstream.app import kafka_oauth_login
from reviewstream.errors import ConfigError
from reviewstream.settings import (
    Delivery,
    KafkaSettings,
    RegistrySettings,
    SourceSettings,
    absolute,
    is_secret,
    secret_value,
)

EARLIEST: Final = "earliest"
LATEST: Final = "latest"
TIMEOUT: Final = 30.0  # seconds
RETRY_TIMEOUT: Final = 600.0  # seconds
TRUE_FALSE: Final = {"true": True, "false": False}

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
_SPARK_NAMES: Final = ("checkpointLocation", "path", "queryName", "outputMode")
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
    retry_timeout: float = RETRY_TIMEOUT
    drain_file: str | None = None

    @classmethod
    def of(cls, options: Mapping[str, str]) -> Self:
        """Parse Spark's options.

        Raises:
            ConfigError: An option is unknown or invalid.
        """
        given = _Options("reviews", options, _SOURCE_NAMES)
        default = SourceSettings()
        return cls(
            server=_server_settings(given),
            max_rows=given.whole("maxRowsPerTrigger", default.max_rows_per_trigger),
            max_bytes=given.whole("maxBytesPerTrigger", default.max_bytes_per_trigger),
            starting_offset=given.offset("startingOffset"),
            partitions=given.whole("partitions", default.partitions),
            timeout=given.seconds("timeout", TIMEOUT),
            retry_timeout=given.seconds("retryTimeout", RETRY_TIMEOUT),
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
        given = _Options("reviews-kafka", ours, _SINK_NAMES)
        return cls(
            kafka=_kafka_settings(given, client),
            registry=_registry_settings(given),
            labelled_id=given.schema_id("labelledSchemaId"),
            rejected_id=given.schema_id("rejectedSchemaId"),
        )


def _server_settings(given: "_Options") -> SourceSettings:
    default = SourceSettings()
    return SourceSettings(
        host=given.text("host", default.host),
        port=given.whole("port", default.port, most=65_535),
        tls=given.flag("tls"),
        ca_location=given.maybe("caLocation"),
        token=given.secret("token"),
    )


def _kafka_settings(given: "_Options", client: dict[str, str]) -> KafkaSettings:
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


def _registry_settings(given: "_Options") -> RegistrySettings:
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


class _Options:
    """Options of one format, parsed with clear errors."""

    def __init__(self, form: str, options: Mapping[str, str], names: Iterable[str]) -> None:
        self._form = form
        self._given = {name.lower(): value for name, value in options.items()}
        known = {name.lower() for name in (*names, *_SPARK_NAMES)}
        if unknown := sorted(self._given.keys() - known):
            raise ConfigError(
                f'{form}: unknown option "{unknown[0]}"; there are {", ".join(sorted(names))}'
            )

    def maybe(self, name: str) -> str | None:
        return self._given.get(name.lower())

    def secret(self, name: str) -> SecretStr | None:
        value = self.maybe(name)
        return None if value is None else SecretStr(value)

    def text(self, name: str, default: str) -> str:
        return self._given.get(name.lower(), default)

    def whole(self, name: str, default: int, *, least: int = 1, most: int = 1 << 62) -> int:
        value = self.text(name, str(default))
        if not (value.isascii() and value.isdigit() and least <= int(value) <= most):
            raise self._wrong(name, value, f"a whole number from {least} to {most}")
        return int(value)

    def schema_id(self, name: str) -> int | None:
        return None if self.maybe(name) is None else self.whole(name, 0, least=0)

    def seconds(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        try:
            seconds = float(value)
        except ValueError:
            seconds = -1.0
        if not 0 < seconds < 1e9:
            raise self._wrong(name, value, "a number of seconds above 0")
        return seconds

    def offset(self, name: str) -> int | str:
        value = self.text(name, EARLIEST)
        if value in {EARLIEST, LATEST}:
            return value
        if not (value.isascii() and value.isdigit()):
            raise self._wrong(name, value, f"{EARLIEST}, {LATEST} or a byte offset")
        return int(value)

    def checkpoint(self) -> str | None:
        """Return the checkpoint; None if a Spark setting names it instead."""
        given = self.maybe("checkpointLocation")
        return None if given is None else absolute(given)

    def delivery(self, name: str, default: Delivery) -> Delivery:
        match value := self.text(name, default).lower():
            case "exactly_once" | "at_least_once":
                return value
            case _:
                raise self._wrong(name, value, "exactly_once or at_least_once")

    def flag(self, name: str) -> bool:
        value = self.text(name, "false").lower()
        if value not in TRUE_FALSE:
            raise self._wrong(name, value, "true or false")
        return TRUE_FALSE[value]

    def _wrong(self, name: str, value: str, wanted: str) -> ConfigError:
        return ConfigError(f'{self._form}: option "{name}" is {value!r}, not {wanted}')
