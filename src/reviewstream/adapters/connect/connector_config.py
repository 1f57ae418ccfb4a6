"""Configuration of the connector that writes `reviews.labelled` to the index.

The keys are those of Confluent's Elasticsearch sink; the testbed's connector accepts the same.

Source: Confluent, "Elasticsearch Service Sink Connector: configuration reference"; Apache Kafka,
"Sink connector configs".
"""

from collections.abc import Mapping
from typing import Final

from reviewstream.core.records.versions import VERSION_HEADER
from reviewstream.settings import (
    ElasticsearchSettings,
    RegistrySettings,
    Settings,
    is_secret,
    secret_value,
)

_OTHER_VERSION: Final = "media_type_header_exception"  # another Elasticsearch version


def failure_advice(failure: str) -> str:
    """Return advice about a connector's failure, or an empty string.

    Args:
        failure: Message of the failure, or empty.

    Source: Confluent, "Elasticsearch Service Sink Connector: changelog", version 16.0.0.
    """
    if _OTHER_VERSION in failure:
        return (
            "the sink speaks another version than this Elasticsearch: Confluent's needs version"
            " 16.0 or newer for Elasticsearch 9 and 8, and 15 for Elasticsearch 7"
        )
    return ""


def connector_config(settings: Settings) -> dict[str, str]:
    """Return the connector's configuration; keys of `settings.connect.connector` override it."""
    return (
        _reading(settings)
        | _writing(settings.elasticsearch, settings.kafka.labelled_topic)
        | _errors(settings)
        | settings.connect.connector
    )


def without_secrets(config: Mapping[str, str]) -> dict[str, str]:
    """Return a configuration with its secrets masked."""
    return {
        name: "***" if is_secret(name) or _has_login(value) else value
        for name, value in config.items()
    }


def _has_login(value: str) -> bool:
    """Say whether a value may be a URL that contains a password."""
    return "://" in value and "@" in value


def _reading(settings: Settings) -> dict[str, str]:
    prefix = "value.converter."
    converter = _converter(settings.registry, settings.connect.value_converter_config)
    return {
        "connector.class": settings.connect.connector_class,
        "tasks.max": "1",
        "topics": settings.kafka.labelled_topic,
        # Records of an aborted transaction must not reach the index.
        "consumer.override.isolation.level": "read_committed",
        "consumer.override.auto.offset.reset": "earliest",
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": settings.connect.value_converter,
    } | {f"{prefix}{name}": value for name, value in converter.items()}


def _converter(registry: RegistrySettings, own: dict[str, str]) -> dict[str, str]:
    """Return the registry settings of Avro converters; other converters ignore them."""
    # If the user configures another login, ours is left out: Confluent's converter refuses two.
    other = "bearer.auth." if registry.token is None else "basic.auth."
    login = {} if any(name.startswith(other) for name in own) else _login(registry)
    return {"schema.registry.url": registry.url} | login | own


def _login(registry: RegistrySettings) -> dict[str, str]:
    if registry.token is not None:
        cluster = registry.logical_cluster
        return {
            "bearer.auth.credentials.source": "STATIC_TOKEN",
            "bearer.auth.token": registry.token.get_secret_value(),
            **({} if cluster is None else {"bearer.auth.logical.cluster": cluster}),
        }
    if registry.username is not None:
        return {
            "basic.auth.credentials.source": "USER_INFO",
            "basic.auth.user.info": f"{registry.username}:{secret_value(registry.password) or ''}",
        }
    return {}


def _writing(elasticsearch: ElasticsearchSettings, topic: str) -> dict[str, str]:
    config = {
        "connection.url": elasticsearch.url,
        # The template defines the mapping: the connector creates and infers nothing.
        "external.resource.usage": "ALIAS_INDEX",
        "topic.to.external.resource.mapping": f"{topic}:{elasticsearch.index}",
        "schema.ignore": "true",
        "key.ignore": "false",
        "write.method": "INSERT",
        "external.version.header": VERSION_HEADER,
        "behavior.on.null.values": "delete",
    }
    if elasticsearch.username is not None:
        config["connection.username"] = elasticsearch.username
        config["connection.password"] = secret_value(elasticsearch.password) or ""
    return config


def _errors(settings: Settings) -> dict[str, str]:
    """Return the error settings: dead letter topic and retries."""
    return {
        "behavior.on.malformed.documents": "warn",
        "errors.tolerance": "all",
        "errors.deadletterqueue.topic.name": settings.kafka.dead_letter_topic,
        "errors.deadletterqueue.topic.replication.factor": str(settings.kafka.replication_factor),
        "errors.deadletterqueue.context.headers.enable": "true",
        "drop.invalid.message": "true",  # it is in the dead letter topic; others continue
        "max.retries": "10",
        "retry.backoff.ms": "500",
        "connection.timeout.ms": "5000",
        "read.timeout.ms": "30000",
    }
