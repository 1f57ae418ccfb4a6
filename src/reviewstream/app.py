# ruff: noqa: PLC0415 - a Spark task pays only for the vendor that it uses, and extras may be missing
"""The composition root: settings in, wired objects out."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from importlib import import_module

from reviewstream.pipeline.labelling import Labeller, LabelPolicy
from reviewstream.pipeline.unlimited import NoLedger, NoLimit
from reviewstream.ports import (
    ConnectCluster,
    LineReader,
    RecordLog,
    RecordSink,
    SchemaRegistry,
    SearchIndex,
)
from reviewstream.settings import (
    ConnectSettings,
    KafkaSettings,
    OpenAISettings,
    RegistrySettings,
    Settings,
)

VENDORS = ("openai", "kafka")  # adapters that a Spark task may need


def preload() -> None:
    """Import every vendor that a Spark task may need and that is installed."""
    for name in VENDORS:
        with suppress(ImportError):
            import_module(f"reviewstream.adapters.{name}")


def open_reader(host: str, port: int, *, timeout: float) -> LineReader:
    """Return a reader of the review server; it connects when it is first asked."""
    from reviewstream.adapters.tcp_client import ReviewClient

    return ReviewClient(host, port, timeout=timeout)


@asynccontextmanager
async def open_labeller(settings: OpenAISettings) -> AsyncIterator[Labeller]:
    """Return a labeller on the running event loop; its connections end with the context."""
    from reviewstream.adapters.clock import SystemClock
    from reviewstream.adapters.openai import OpenAIChat

    model = OpenAIChat.connect(settings)
    try:
        policy = LabelPolicy.of(settings)
        yield Labeller(model, NoLedger(), NoLimit(), SystemClock(), policy)
    finally:
        await model.aclose()


def open_record_sink(settings: KafkaSettings) -> RecordSink:
    """Return a sink with a producer of its own."""
    from reviewstream.adapters.kafka import KafkaRecordSink

    return KafkaRecordSink(settings)


def open_registry(settings: RegistrySettings) -> SchemaRegistry:
    """Return a client of the Schema Registry."""
    from reviewstream.adapters.registry import ConfluentRegistry

    return ConfluentRegistry(settings)


def open_log(settings: KafkaSettings) -> RecordLog:
    """Return the topics, to create them and to read them back."""
    from reviewstream.adapters.kafka import KafkaLog

    return KafkaLog(settings)


def open_connect(settings: ConnectSettings) -> ConnectCluster:
    """Return a client of Kafka Connect."""
    from reviewstream.adapters.connect import KafkaConnectCluster

    return KafkaConnectCluster(settings)


def open_index(settings: Settings) -> SearchIndex:
    """Return the index of the labelled reviews."""
    from reviewstream.adapters.elasticsearch import ElasticsearchIndex

    return ElasticsearchIndex(settings.elasticsearch)


def prepare(settings: Settings) -> tuple[str, ...]:
    """Create what is missing before the first review flows; see `pipeline.setup`."""
    from reviewstream.pipeline.setup import Services, set_up

    services = Services(
        log=open_log(settings.kafka),
        registry=open_registry(settings.registry),
        index=open_index(settings),
        connect=open_connect(settings.connect),
    )
    return set_up(services, settings)
