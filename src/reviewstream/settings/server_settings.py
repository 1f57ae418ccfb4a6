"""Settings of the servers: source, Kafka, registry, Connect, Elasticsearch, Spark."""

from typing import Annotated, ClassVar, Literal, TypeAlias

from pydantic import Field, SecretStr, field_validator

from reviewstream.settings.section import (
    Bytes,
    Count,
    Name,
    Replicas,
    Seconds,
    Section,
    is_secret,
)

Delivery: TypeAlias = Literal["exactly_once", "at_least_once"]


class SourceSettings(Section):
    """The TCP server to read from.

    Attributes:
        max_rows_per_trigger: Lines in one micro-batch.
        max_bytes_per_trigger: Bytes in one micro-batch; a review server gives 64 MiB at most.
        partitions: Ranges of a micro-batch that are read and labelled in parallel.
        tls: Speak TLS, and check the server's certificate.
        ca_location: File of the certificates to trust; None: those of the system.
        token: What the server asks for, and what `reviewstream serve` asks for.
    """

    host: Name = "127.0.0.1"
    port: int = Field(default=9999, ge=1, le=65535)
    max_rows_per_trigger: Count = 10_000
    max_bytes_per_trigger: Bytes = 64 << 20
    partitions: Count = 2
    tls: bool = False
    ca_location: Name | None = None
    token: SecretStr | None = None


class KafkaSettings(Section):
    """Connection to Kafka, and the topics.

    Attributes:
        security_protocol: PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL.
        sasl_mechanism: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER.
        ssl_ca_location: File of the certificates to trust; None: those of the system.
        oauth_token_url: Where OAUTHBEARER's tokens come from (OpenID Connect).
        oauth_client_id: Of the application, as the token's issuer knows it.
        oauth_client_secret: Its password there.
        oauth_scope: What is asked for, if the issuer wants to know.
        partitions: Of a topic that we create.
        replication_factor: Of a topic that we create.
        delivery: `exactly_once`, or `at_least_once`: a crash may then write records twice.
        stream_name: Tells the stream from others that write to the same topics; by default the path
            of its checkpoint.
        delivery_timeout: Seconds until an unacknowledged record is an error.
        client: Any other librdkafka setting, verbatim.
        client_secrets: The same for secret values, such as `ssl.key.password`.
    """

    bootstrap_servers: Name = "127.0.0.1:9092"
    security_protocol: Name = "PLAINTEXT"
    sasl_mechanism: str | None = None
    sasl_username: str | None = None
    sasl_password: SecretStr | None = None
    ssl_ca_location: Name | None = None
    oauth_token_url: str | None = None
    oauth_client_id: str | None = None
    oauth_client_secret: SecretStr | None = None
    oauth_scope: str | None = None
    labelled_topic: Name = "reviews.labelled"
    rejected_topic: Name = "reviews.rejected"
    dead_letter_topic: Name = "reviews.labelled.dlq"
    partitions: Count = 3
    replication_factor: Annotated[int, Field(ge=1, le=1_000)] = 1
    delivery: Delivery = "exactly_once"
    stream_name: Name | None = None
    delivery_timeout: Seconds = 120.0
    client: dict[str, str] = Field(default_factory=dict)
    client_secrets: dict[str, SecretStr] = Field(default_factory=dict)

    @field_validator("client")
    @classmethod
    def _has_no_secret(cls, client: dict[str, str]) -> dict[str, str]:
        if secrets := [name for name in client if is_secret(name)]:
            raise ValueError(
                f"{secrets[0]} is a secret: set kafka.sasl_password, kafka.oauth_client_secret or"
                f' kafka.client_secrets."{secrets[0]}"'
            )
        return client


class RegistrySettings(Section):
    """The Schema Registry.

    Attributes:
        token: Sent as bearer token, instead of user and password.
        logical_cluster: That the token is for; Confluent Cloud wants its id (`lsrc-...`).
        auto_register: Register our schemas when a query starts (development only).
    """

    takes_urls: ClassVar[bool] = True
    url: str = "http://127.0.0.1:8081"
    username: str | None = None
    password: SecretStr | None = None
    token: SecretStr | None = None
    logical_cluster: str | None = None
    ca_location: Name | None = None
    auto_register: bool = False


class ConnectSettings(Section):
    """Kafka Connect and the sink connector.

    Attributes:
        ca_location: File of the certificates to trust; None: those of the system.
        value_converter: Converter class for Avro values.
        value_converter_config: Its settings, without the prefix `value.converter.`.
        connector: Settings added to the connector, verbatim; they win over ours.
    """

    url: str = "http://127.0.0.1:8083"
    username: str | None = None
    password: SecretStr | None = None
    ca_location: Name | None = None
    name: Name = "reviews-elasticsearch"
    connector_class: Name = "io.confluent.connect.elasticsearch.ElasticsearchSinkConnector"
    value_converter: Name = "io.confluent.connect.avro.AvroConverter"
    # Both may hold secrets, and are sent unchanged, so `repr` omits them.
    value_converter_config: dict[str, str] = Field(default_factory=dict, repr=False)
    connector: dict[str, str] = Field(default_factory=dict, repr=False)


class ElasticsearchSettings(Section):
    """Elasticsearch. `index` is the alias; the first index behind it is `<index>-v1`."""

    url: str = "http://127.0.0.1:9200"
    username: str | None = None
    password: SecretStr | None = None
    api_key: SecretStr | None = None
    ca_location: Name | None = None
    index: Name = "reviews"
    replicas: Replicas = 0


class SparkSettings(Section):
    """Spark.

    Attributes:
        master: `local[*]` or `spark://host:7077`; None: what `spark-submit` says, without it
            `local[*]`.
        checkpoint: Folder of the query's checkpoint; the next driver must see it too.
        config: Any Spark setting, verbatim.
    """

    master: Name | None = None
    checkpoint: Name = "checkpoint"
    config: dict[str, str] = Field(default_factory=dict)
