# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""Kafka's topics and their schemas."""

from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import RecordLog, RecordSink, TransactionalSink
from reviewstream.core.schemas.ports import SchemaRegistry
from reviewstream.settings import KafkaSettings, RegistrySettings


def open_record_sink(settings: KafkaSettings) -> RecordSink:
    """Return a sink with a separate producer."""
    from reviewstream.adapters.kafka.record_sink import KafkaRecordSink

    return KafkaRecordSink(settings)


def open_transactional_sink(settings: KafkaSettings, name: str) -> TransactionalSink:
    """Return a sink with a separate producer; only one sink per name can be active."""
    from reviewstream.adapters.kafka.transactions import KafkaTransactionalSink

    return KafkaTransactionalSink(settings, name)


def find_marker(settings: KafkaSettings, name: str) -> Marker | None:
    """Return the newest marker of a name, or None, without fencing other sinks."""
    from reviewstream.adapters.kafka.transactions import find_marker

    return find_marker(settings, name)


def kafka_oauth_login(settings: KafkaSettings) -> dict[str, str | None]:
    """Return librdkafka's settings of a login by OpenID Connect; empty without a token URL."""
    from reviewstream.adapters.kafka.configuration import oauth_login

    return oauth_login(settings)


def open_registry(settings: RegistrySettings) -> SchemaRegistry:
    """Return a client of the Schema Registry."""
    from reviewstream.adapters.registry import ConfluentRegistry

    return ConfluentRegistry(settings)


def open_log(settings: KafkaSettings) -> RecordLog:
    """Return the topics, to create them and to read their records."""
    from reviewstream.adapters.kafka.record_log import KafkaLog

    return KafkaLog(settings)
