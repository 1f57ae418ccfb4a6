"""Set-up of a pipeline: topics, schemas, index and connector."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

from reviewstream.core.delivery.ports import RecordLog
from reviewstream.core.index.mapping import index_mapping
from reviewstream.core.index.ports import ConnectCluster, ConnectorStatus, SearchIndex
from reviewstream.core.records.topic_names import TopicNames
from reviewstream.core.schemas.ports import SubjectRegistry
from reviewstream.core.schemas.registered import register_schemas, subjects
from reviewstream.core.schemas.schema_files import schema_text
from reviewstream.errors import ConfigError

_log = logging.getLogger("reviewstream.setup")


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """The services of one pipeline."""

    log: RecordLog
    registry: SubjectRegistry
    index: SearchIndex
    connect: ConnectCluster


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineSpec:
    """The resources that one pipeline needs.

    Attributes:
        topics: Names of the topics.
        auto_register: Register the current schemas; otherwise they must be registered already.
        index: Name of the index.
        connector: Name of the connector.
        connector_config: Its configuration.
    """

    topics: TopicNames
    auto_register: bool
    index: str
    connector: str
    connector_config: Mapping[str, str]


def set_up(services: Services, wanted: PipelineSpec) -> tuple[str, ...]:
    """Create missing resources in order, and return one message per step.

    Idempotent: a second run changes nothing.

    Raises:
        ConfigError: A schema is not registered, or Connect refuses the configuration.
        IncompatibleSchemaError: The registry holds a schema that is incompatible with the current
            one.
    """
    return (
        _topics(services.log, wanted.topics),
        _schemas(services.registry, wanted),
        _index(services.index, wanted.index),
        _connector(services.connect, wanted),
    )


def resting_advice(status: ConnectorStatus) -> str:
    """Return advice about a paused or stopped connector; empty for any other."""
    if not status.is_resting:
        return ""
    return f"it is {status.state} and indexes nothing: run `reviewstream connector resume`"


def _topics(log: RecordLog, topics: TopicNames) -> str:
    created = log.ensure((topics.labelled, topics.rejected, topics.dead_letter))
    return f"topics: {', '.join(created)} created" if created else "topics: there already"


def _index(index: SearchIndex, name: str) -> str:
    index.setup(index_mapping(schema_text("labelled_review")))
    return f"index: {name} is ready"


def _connector(connect: ConnectCluster, wanted: PipelineSpec) -> str:
    name = wanted.connector
    connect.apply(name, wanted.connector_config)
    status = connect.status(name)
    if status is not None and (advice := resting_advice(status)):
        _log.warning("connector %s: %s", name, advice)
    return f"connector: {name} is applied"


def _schemas(registry: SubjectRegistry, wanted: PipelineSpec) -> str:
    if wanted.auto_register:
        found = register_schemas(registry, wanted.topics)
        return f"schemas: {', '.join(f'{each.subject} v{each.version}' for each in found)}"
    for subject, name in subjects(wanted.topics).items():
        if registry.find(subject, schema_text(name)) is None:
            raise ConfigError(
                f"subject {subject} does not have today's {name} schema: run `reviewstream schemas "
                "register`, or set registry.auto_register in development"
            )
    return "schemas: registered already"
