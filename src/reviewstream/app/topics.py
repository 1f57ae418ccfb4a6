# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""Kafka's topics and their schemas."""

from typing import TYPE_CHECKING

from reviewstream.core.delivery.markers import Marker
from reviewstream.core.delivery.ports import RecordLog, RecordSink, TransactionalSink
from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.settings import KafkaSettings, RegistrySettings

if TYPE_CHECKING:
    from reviewstream.core.delivery.checkpoint_metadata import Identity
    from reviewstream.core.delivery.publishing import Topics


def topic_names(settings: KafkaSettings) -> TopicNames:
    """Return the names of the topics."""
    return TopicNames(
        labelled=settings.labelled_topic,
        rejected=settings.rejected_topic,
        dead_letter=settings.dead_letter_topic,
    )


def find_topics(
    kafka: KafkaSettings, settings: RegistrySettings, registry: SubjectRegistry
) -> "Topics":
    """Return the topics with their schemas' ids; see `core.delivery.publishing.find_topics`."""
    from reviewstream.core.delivery.publishing import find_topics

    return find_topics(
        topic_names(kafka),
        registry,
        address=settings.url,
        auto_register=settings.auto_register,
    )


def identity_of(
    kafka: KafkaSettings, query: str | None, account: str | None = None, since: int = -1
) -> "Identity":
    """Return a query's identity; see `core.delivery.checkpoint_metadata.Identity`."""
    from reviewstream.core.delivery.checkpoint_metadata import identity_of

    return identity_of(
        topic_names(kafka), query, stream=kafka.stream_name, account=account, since=since
    )


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


def open_registry(settings: RegistrySettings) -> SubjectRegistry:
    """Return a client of the Schema Registry."""
    from reviewstream.adapters.registry import ConfluentRegistry

    return ConfluentRegistry(settings)


def open_log(settings: KafkaSettings) -> RecordLog:
    """Return the topics, to create them and to read their records."""
    from reviewstream.adapters.kafka.record_log import KafkaLog

    return KafkaLog(settings)
