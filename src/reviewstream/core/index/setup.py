"""Set-up of a pipeline: topics, schemas, index and connector."""

import logging
from dataclasses import dataclass

from reviewstream.core.delivery.ports import RecordLog
from reviewstream.core.index.connector import connector_advice, connector_config
from reviewstream.core.index.mapping import index_mapping
from reviewstream.core.index.ports import ConnectCluster, SearchIndex
from reviewstream.core.schemas.ports import SchemaRegistry
from reviewstream.core.schemas.registered import register_schemas, subjects
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.errors import ConfigError
from reviewstream.settings import ElasticsearchSettings, KafkaSettings, Settings

_log = logging.getLogger("reviewstream.setup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of one pipeline."""

    log: RecordLog
    registry: SchemaRegistry
    index: SearchIndex
    connect: ConnectCluster


def set_up(services: Services, settings: Settings) -> tuple[str, ...]:
    """Create missing resources in order, and return one message per step.

    Idempotent: a second run changes nothing. Without `registry.auto_register` the schemas must be
    registered already.

    Raises:
        ConfigError: A schema is not registered, or Connect refuses the configuration.
        IncompatibleSchemaError: The registry holds a schema that is incompatible with the current
            one.
    """
    return (
        _topics(services.log, settings.kafka),
        _schemas(services.registry, settings),
        _index(services.index, settings.elasticsearch),
        _connector(services.connect, settings),
    )


def _topics(log: RecordLog, kafka: KafkaSettings) -> str:
    created = log.ensure((kafka.labelled_topic, kafka.rejected_topic, kafka.dead_letter_topic))
    return f"topics: {', '.join(created)} created" if created else "topics: there already"


def _index(index: SearchIndex, elasticsearch: ElasticsearchSettings) -> str:
    index.setup(index_mapping(schema_text("labelled_review")))
    return f"index: {elasticsearch.index} is ready"


def _connector(connect: ConnectCluster, settings: Settings) -> str:
    name = settings.connect.name
    connect.apply(name, connector_config(settings))
    status = connect.status(name)
    if status is not None and (advice := connector_advice(status.state)):
        _log.warning("connector %s: %s", name, advice)
    return f"connector: {name} is applied"


def _schemas(registry: SchemaRegistry, settings: Settings) -> str:
    if settings.registry.auto_register:
        found = register_schemas(registry, settings.kafka)
        return f"schemas: {', '.join(f'{each.subject} v{each.version}' for each in found)}"
    for subject, name in subjects(settings.kafka).items():
        if registry.find(subject, schema_text(name)) is None:
            raise ConfigError(
                f"subject {subject} does not have today's {name} schema: run `reviewstream schemas "
                "register`, or set registry.auto_register in development"
            )
    return "schemas: registered already"
